"""Bad data: each fault is one line that names it, and says what to do."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import idx as idx_module
from nas.data import load, load_test
from nas.data.fetch import fetch
from nas.data.idx import read_idx
from nas.data.pickled import read_pickle
from nas.errors import UserError


def fault(action: Callable[[], Any]) -> UserError:
    """The error that the action raises: always one line, with a fix."""
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    assert caught.value.fix
    return caught.value


def idx(*shape: int) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + bytes(int(np.prod(shape)))


def write_folder(folder: Path, **counts: int) -> None:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:03}.png")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("digit", "did you mean digits?"),
        ("fashion_mnist", "did you mean fashion-mnist"),
        ("mnsit:/data", "did you mean mnist"),
        ("no/such/folder", "no folder or file 'no/such/folder'"),
        ("missing.npz", "no folder or file 'missing.npz'"),
        ("mnist:/no/such", "no folder or file '/no/such' for mnist"),
        ("missing.py:give", "no file 'missing.py'"),
        ("no_such_module:give", "cannot import no_such_module"),
        ("json:give", "json has no function 'give'"),
        ("digits:/tmp", "names no folder"),
        ("", "no data set is named"),
    ],
)
def test_unknown_data(spec: str, words: str) -> None:
    assert words in str(fault(lambda: load(spec)))


def test_a_relative_path_means_the_same_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "pets", a=5, b=5)
    monkeypatch.chdir(tmp_path)
    spec = load("pets").info.spec
    monkeypatch.chdir("/")
    assert load(spec).info.spec == spec == str(tmp_path / "pets")


def test_image_size_out_of_range() -> None:
    assert "image size 2" in str(fault(lambda: load("digits", image_size=2)))


def test_folders_that_hold_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no class folders" in str(fault(lambda: load(str(tmp_path / "empty"))))
    (tmp_path / "texts/a").mkdir(parents=True)
    (tmp_path / "texts/a/note.txt").write_text("hello")
    assert "no images in" in str(fault(lambda: load(str(tmp_path / "texts"))))
    write_folder(tmp_path / "one", only=6)
    assert "one class alone, 'only'" in str(fault(lambda: load(str(tmp_path / "one"))))
    write_folder(tmp_path / "few", many=9, single=1)
    assert "class 'single' of data set 'few' has 1 images" in str(fault(lambda: load(str(tmp_path / "few"))))
    write_folder(tmp_path / "pair", a=2, b=2)
    assert "too few for test images" in str(fault(lambda: load(str(tmp_path / "pair"))))
    write_folder(tmp_path / "fixed/train", a=6, b=6)
    write_folder(tmp_path / "fixed/test", a=2, c=2)
    assert "class folder 'c'" in str(fault(lambda: load(str(tmp_path / "fixed"))))


def test_unreadable_images_are_counted_and_refused_above_one_percent(tmp_path: Path) -> None:
    write_folder(tmp_path / "data/train", a=75, b=75)
    write_folder(tmp_path / "data/test", a=2, b=2)
    whole = (tmp_path / "data/train/a/000.png").read_bytes()
    (tmp_path / "data/train/a/000.png").write_bytes(whole[: len(whole) // 2])  # torn in the middle
    info = load(str(tmp_path / "data")).info
    assert info.skipped == 1
    assert sum(info.counts[part] for part in ("train", "validation")) == 149
    (tmp_path / "data/train/b/007.png").write_bytes(b"")
    (tmp_path / "data/train/b/008.png").write_text("not an image")
    text = str(fault(lambda: load(str(tmp_path / "data"), seed=1)))
    assert "3 of 150 images" in text
    assert any(f"train/{name}.png" in text for name in ("a/000", "b/007", "b/008"))


def test_unreadable_test_images_are_found_by_load_test_alone(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", a=10, b=10)
    write_folder(tmp_path / "test", a=2, b=2)
    (tmp_path / "test/a/000.png").write_bytes(b"garbage")
    assert load(str(tmp_path)).info.skipped == 0
    assert "1 of 4 images" in str(fault(lambda: load_test(str(tmp_path))))


def npz(tmp_path: Path, **arrays: Any) -> Callable[[], Any]:
    np.savez(tmp_path / "data.npz", **arrays)
    return lambda: load(str(tmp_path / "data.npz"), seed=np.random.default_rng().integers(2**30).item())


Y = np.arange(20) % 2
X = np.zeros((20, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, Y - 1, "label -1"),
        (X, Y + 0.5, "label 0.5"),
        (X, np.where(Y, np.nan, 0), "label nan"),
        (X, np.where(Y, np.inf, 0), "label inf"),
        (X, Y * 1000, "label 1000"),
        (X, Y * 2, "class '1' of data set 'data' has 0 images"),
        (X, Y[:-1], "20 images and 19 labels"),
        (X, np.eye(2)[Y], "labels"),
        (X, np.array(["cat", "dog"])[Y], "labels"),
        (X, Y * 0, "one class alone"),
        (X, np.r_[np.zeros(19, int), 1], "class '1' of data set 'data' has 1 images"),
        (np.where(np.arange(20)[:, None, None] == 7, np.nan, X), Y, "1 images of"),
        (np.full((20, 8, 8), np.inf), Y, "NaN or infinite"),
        (X - 1.0, Y, "lie in -1 to -1"),
        (X.astype(int) + 300, Y, "lie in 300 to 300"),
        (np.zeros((20, 8, 8, 5)), Y, "shape (20, 8, 8, 5)"),
        (np.zeros((20, 64)), Y, "shape (20, 64)"),
    ],
)
def test_bad_arrays(tmp_path: Path, x: Any, y: Any, words: str) -> None:
    assert words in str(fault(npz(tmp_path, images=x, labels=y)))


def test_images_of_mixed_shapes(tmp_path: Path) -> None:
    mixed = np.empty(4, dtype=object)
    mixed[:] = [np.zeros((i + 2, 8)) for i in range(4)]
    assert "images" in str(fault(npz(tmp_path, images=mixed, labels=Y[:4])))
    (tmp_path / "f.py").write_text("def give():\n    return [[[1, 2]], [[1], [2]], [[3]]], [0, 1, 0]\n")
    assert "mixed shapes" in str(fault(lambda: load(f"{tmp_path}/f.py:give")))


def test_bad_npz_files(tmp_path: Path) -> None:
    assert "only other" in str(fault(npz(tmp_path, other=X)))
    assert "no 'y_train'" in str(fault(npz(tmp_path, x_train=X)))
    assert "class names" in str(fault(npz(tmp_path, images=X, labels=Y, class_names=np.array(["a"]))))
    whole = (tmp_path / "data.npz").read_bytes()
    for content in (b"", b"garbage", whole[: len(whole) // 2]):
        (tmp_path / "torn.npz").write_bytes(content)
        assert "torn.npz" in str(fault(lambda: load(str(tmp_path / "torn.npz"))))


def test_functions_that_fail(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(
        "def wrong():\n    return 1\ndef broken():\n    raise RuntimeError('no disk\\nat all')\n"
        "def nothing():\n    return None, None\n"
    )
    assert "gave int" in str(fault(lambda: load(f"{tmp_path}/f.py:wrong")))
    assert "RuntimeError: no disk at all" in str(fault(lambda: load(f"{tmp_path}/f.py:broken")))
    assert "images" in str(fault(lambda: load(f"{tmp_path}/f.py:nothing")))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "begins with nothing"),
        (idx(5)[:6], "has 6 bytes"),
        (b"\x00\x00\x0d" + idx(5)[3:], "begins with 00000d01"),
        (idx(5, 2, 2), "begins with 00000803"),
        (idx(5)[:-1], "has 12 bytes unpacked, expected 13"),
        (idx(5) + b"x", "has 14 bytes"),
        (gzip.compress(idx(5), mtime=0)[:-9], "cannot read"),
        (b"\x1f\x8bgarbage", "cannot read"),
    ],
)
def test_bad_idx_files(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "labels").write_bytes(content)
    assert words in str(fault(lambda: read_idx(tmp_path / "labels", 1)))


def test_a_mnist_folder_without_its_files(tmp_path: Path) -> None:
    assert "train-images-idx3-ubyte" in str(fault(lambda: load(f"mnist:{tmp_path}")))
    assert "no cifar10 images" in str(fault(lambda: load(f"cifar10:{tmp_path}")))


def test_torn_cifar_files(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(bytes(3074 * 2 + 1))
    assert "expected a multiple of 3074" in str(fault(lambda: load(f"cifar100:{tmp_path}")))
    (tmp_path / "torn.tar.gz").write_bytes(gzip.compress(os.urandom(2000))[:-100])
    assert "torn.tar.gz" in str(fault(lambda: load(f"cifar10:{tmp_path}/torn.tar.gz")))
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3073))
    assert "no file data_batch_2.bin" in str(fault(lambda: load(f"cifar10:{tmp_path}")))


class Harm:
    """What an attacker writes: a pickle that makes a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_calls_something_is_refused(tmp_path: Path, protocol: int) -> None:
    harm = pickle.dumps({b"data": Harm(tmp_path / "harm"), b"labels": [0]}, protocol=protocol)
    assert ".mkdir" in str(fault(lambda: read_pickle(harm, what="x")))
    for i in range(1, 6):
        (tmp_path / f"data_batch_{i}").write_bytes(harm)
    assert ".mkdir" in str(fault(lambda: load(f"cifar10:{tmp_path}", seed=protocol)))
    assert not (tmp_path / "harm").exists()
    pickle.loads(harm)
    assert (tmp_path / "harm").exists()  # so the pickle does do harm where it is let


def test_other_pickles_that_are_refused() -> None:
    # cnumpy\nndarray with a buffer would read any memory; objects in arrays could be anything.
    assert "cannot read" in str(fault(lambda: read_pickle(b"cnumpy\nndarray\n((I1\ntVO8\ntR.", what="x")))
    assert "cannot read" in str(fault(lambda: read_pickle(pickle.dumps(np.array([None])), what="x")))
    assert "builtins.eval" in str(fault(lambda: read_pickle(pickle.dumps(eval), what="x")))
    assert "cannot read" in str(fault(lambda: read_pickle(pickle.dumps([1, 2])[:-3], what="x")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        old = pickle.dumps(np.arange(3), protocol=2).replace(b"numpy._core", b"numpy.core")
        assert read_pickle(old, what="x").tolist() == [0, 1, 2]


def test_downloads_are_checked_and_failures_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").write_bytes(b"content")
    url = (tmp_path / "there").as_uri()
    target = tmp_path / "cache/file"
    wrong = fault(lambda: fetch(url, "0" * 32, target, name="mnist"))
    assert "checksum 9a0364b9e99bb480dd25e1f0284c8555, expected 000" in str(wrong)
    assert wrong.code == 5
    assert list(target.parent.iterdir()) == []  # nothing half done is left
    assert fetch(url, "9a0364b9e99bb480dd25e1f0284c8555", target, name="mnist").read_bytes() == b"content"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    missing = idx_module._Official(tuple("0123456789"), (tmp_path / "no").as_uri() + "/", idx_module.SETS["mnist"].md5)
    monkeypatch.setitem(idx_module.SETS, "mnist", missing)
    absent = fault(lambda: load("mnist", seed=99))
    assert "mnist:/folder" in absent.fix
    assert absent.code == 5


def test_a_dark_16_bit_image_stays_dark(tmp_path: Path) -> None:
    for name, value in (("dark", 257), ("light", 65535)):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.fromarray(np.full((16, 16), value, dtype=np.uint16)).save(tmp_path / name / f"{i}.png")
    data = load(str(tmp_path))
    values = data.train.take(torch.arange(len(data.train)))[:, 0, 0, 0]
    assert data.info.input == (1, 16, 16)
    assert values.tolist() == [255 if label else 1 for label in data.train.labels.tolist()]
