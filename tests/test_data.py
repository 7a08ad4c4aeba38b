"""Data: every source reads what was written, splits are fair and the same everywhere, and test stays closed."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import batches, join, load, load_test, on_device, subset
from nas.data import folder as folder_module
from nas.data.cifar_names import CIFAR100
from nas.data.folder import Files
from nas.data.part import Moved
from nas.data.split import hold_out

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def pictures(count: int, *shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def write_idx(path: Path, array: np.ndarray[Any, Any]) -> None:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist(folder: Path, count: int = 120) -> None:
    for which, n in (("train", count), ("t10k", 20)):
        write_idx(folder / f"{which}-images-idx3-ubyte.gz", pictures(n, 28, 28, seed=n))
        write_idx(folder / f"{which}-labels-idx1-ubyte", (np.arange(n) % 10).astype(np.uint8))


def write_folder(folder: Path, per_class: int, mode: str = "RGB", size: tuple[int, int] = (40, 24)) -> None:
    suffixes = ("png", "jpg", "bmp", "webp" if mode == "RGB" else "tif")  # webp knows no grey
    for c, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = pictures(1, *size[::-1], 3, seed=1000 * c + i)[0]
            image = Image.fromarray(pixels).convert(mode)
            image.save(folder / name / f"{i}.{suffixes[i % 4]}")


def contents(part: Any) -> set[bytes]:
    return {image.numpy().tobytes() for image in part.take(torch.arange(len(part)))}


def test_digits_are_split_by_class_and_disjoint() -> None:
    data, test = load("digits"), load_test("digits")
    info = data.info
    assert (info.input, info.classes) == ((1, 8, 8), 10)
    assert dict(info.counts) == {"train": 1150, "validation": 288, "test": 359}
    for part in (data.train, data.validation, test):
        share = torch.bincount(part.labels, minlength=10) / len(part)
        assert (share - 0.1).abs().max() < 0.01
    # Digits has no two equal images, so equal contents would mean an overlap.
    assert len(contents(data.train) | contents(data.validation) | contents(test)) == 1797
    assert info.mean[0] == pytest.approx(0.305, abs=0.003)


def test_the_hash_is_the_same_in_another_process_and_not_for_another_seed() -> None:
    code = "import nas.data; print(nas.data.load('digits', seed=3).info.hash)"
    env = os.environ | {"PYTHONHASHSEED": "77", "PYTHONPATH": str(Path(__file__).parent.parent)}
    other = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    here = load("digits", seed=3).info.hash
    assert other.stdout.strip() == here
    assert len(here) == 16
    assert load("digits", seed=4).info.hash != here


@pytest.mark.parametrize("seed", range(5))
def test_hold_out_gives_each_class_its_share_and_loses_nothing(seed: int) -> None:
    counts = np.random.default_rng(seed).integers(2, 60, 7)
    labels = torch.from_numpy(np.repeat(np.arange(7), counts))
    size = int(0.2 * len(labels))
    kept, held = hold_out(labels, size, seed=seed, salt="x")
    assert sorted(torch.cat([kept, held]).tolist()) == list(range(len(labels)))
    got = torch.bincount(labels[held], minlength=7).numpy()
    assert (got >= 1).all()
    assert (np.abs(got - 0.2 * counts) <= 1.5).all()
    assert abs(len(held) - size) <= 1
    assert not torch.equal(held, hold_out(labels, size, seed=seed + 1, salt="x")[1])
    rare = torch.tensor([0] * 100 + [1] * 101 + [2] * 2)  # 0.2 of 2 would be rounded to none
    assert torch.bincount(rare[hold_out(rare, 40, seed=seed, salt="x")[1]]).tolist() in ([19, 20, 1], [20, 19, 1])


def test_mnist_from_a_folder_never_opens_its_test(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    whole = load(f"mnist:{tmp_path}", seed=1)
    assert dict(whole.info.counts) == {"train": 100, "validation": 20, "test": 20}
    assert torch.bincount(whole.validation.labels).tolist() == [2] * 10
    assert len(load_test(whole.info.spec)) == 20
    original = {image.tobytes() for image in pictures(120, 28, 28, seed=120)}
    assert contents(join(whole.train, whole.validation)) == original
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"garbage")
    assert load(f"mnist:{tmp_path}", seed=2).info.counts["test"] == 20
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert load(f"mnist:{tmp_path}", seed=3).info.counts["test"] == 0


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed")
def test_fashion_mnist_has_its_known_mean_and_deviation() -> None:
    data = load("fashion-mnist")
    assert dict(data.info.counts) == {"train": 50000, "validation": 10000, "test": 10000}
    pixels = join(data.train, data.validation).take(torch.arange(60000)).double() / 255
    assert float(pixels.mean()) == pytest.approx(0.2860, abs=5e-5)
    assert float(pixels.std()) == pytest.approx(0.3530, abs=5e-5)
    assert torch.bincount(data.validation.labels).tolist() == [1000] * 10


def cifar_arrays(batch: int, classes: int = 10) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    count = 20 if classes == 10 else 300
    return pictures(count, 3072, seed=batch), (np.arange(count) % classes).astype(np.uint8)


def write_cifar(folder: Path, form: str) -> None:
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    labels = {"train": [], "test": []}  # type: dict[str, list[int]]
    for batch, name in enumerate(names):
        x, y = cifar_arrays(batch)
        labels["test" if name == "test_batch" else "train"] += y.tolist()
        if form == "bin":
            (folder / f"{name}.bin").write_bytes(np.concatenate([y[:, None], x], axis=1).tobytes())
        elif form == "png":
            rows = x.reshape(-1, 3, 1024).transpose(0, 2, 1)
            Image.fromarray(np.ascontiguousarray(rows)).save(folder / f"{name}.png")
        else:
            value = {b"data": x, b"labels": y.tolist(), b"batch_label": name.encode()}
            (folder / name).write_bytes(pickle.dumps(value, protocol=int(form)))
    if form == "png":
        for which, values in labels.items():
            (folder / f"{which}_lables.json").write_text(json.dumps(values))


@pytest.mark.parametrize("form", ["bin", "png", "2", "4", "5"])
def test_each_form_of_cifar10_is_the_same_data(tmp_path: Path, form: str) -> None:
    write_cifar(tmp_path, form)
    data = load(f"cifar10:{tmp_path}")
    assert (data.info.input, data.info.counts["train"], data.info.counts["validation"]) == ((3, 32, 32), 90, 10)
    wanted = {image.tobytes() for batch in range(5) for image in cifar_arrays(batch)[0]}
    assert contents(join(data.train, data.validation)) == wanted
    test = load_test(f"cifar10:{tmp_path}")
    assert contents(test) == {image.tobytes() for image in cifar_arrays(5)[0]}
    assert test.labels.tolist() == cifar_arrays(5)[1].tolist()
    next(tmp_path.glob("test_batch*")).write_bytes(b"garbage")
    assert load(f"cifar10:{tmp_path}", seed=1).info.counts["train"] == 90


def test_cifar100_from_an_archive(tmp_path: Path) -> None:
    assert len(set(CIFAR100)) == 100
    archive = tmp_path / "cifar-100-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for batch, name in enumerate(("train.bin", "test.bin")):
            x, y = cifar_arrays(batch, 100)
            content = np.concatenate([y[:, None] // 5, y[:, None], x], axis=1).tobytes()
            member = tarfile.TarInfo(f"cifar-100-binary/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    for spec in (f"cifar100:{archive}", f"cifar100:{tmp_path}"):
        data = load(spec)
        assert (data.info.classes, data.info.counts["test"]) == (100, 300)
        assert set(torch.bincount(data.train.labels).tolist()) == {2, 3}  # 30 of 300 are held out
        image, label = cifar_arrays(1, 100)
        test = load_test(spec)
        assert np.array_equal(test.take(torch.tensor([7])).reshape(-1), image[7])
        assert int(test.labels[7]) == label[7]


def test_a_folder_of_class_folders_is_brought_to_one_size(tmp_path: Path) -> None:
    write_folder(tmp_path / "My Pets", 20)
    data = load(str(tmp_path / "My Pets"))
    assert (data.info.name, data.info.class_names) == ("my-pets", ("cat", "dog"))
    assert data.info.input == (3, 24, 24)
    assert dict(data.info.counts) == {"train": 26, "validation": 6, "test": 8}
    assert load(str(tmp_path / "My Pets"), image_size=16).info.input == (3, 16, 16)
    assert load_test(str(tmp_path / "My Pets"), image_size=16).take(torch.arange(8)).shape == (8, 3, 16, 16)
    # Lossless and of full height, so the middle 24 columns must come back as they were written.
    written = pictures(1, 24, 40, 3, seed=0)[0][:, 8:32].transpose(2, 0, 1)
    everything = join(join(data.train, data.validation), load_test(data.info.spec))
    assert np.ascontiguousarray(written).tobytes() in contents(everything)


def test_fixed_parts_of_a_folder_are_honoured_and_grey_stays_grey(tmp_path: Path) -> None:
    for part, count in (("train", 12), ("val", 3), ("test", 4)):
        write_folder(tmp_path / part, count, mode="L")
    for file in (tmp_path / "test").rglob("*.*"):
        file.write_bytes(b"garbage")  # a search must not notice
    data = load(str(tmp_path))
    assert data.info.input == (1, 24, 24)
    assert dict(data.info.counts) == {"train": 24, "validation": 6, "test": 8}


def test_exif_orientation_is_respected(tmp_path: Path) -> None:
    for name, side in (("a", 0), ("b", 16)):
        (tmp_path / name).mkdir()
        for i in range(4):
            pixels = np.zeros((32, 32), dtype=np.uint8)
            pixels[:, side : side + 16] = 255  # the left or the right half is white
            exif = Image.Exif()
            exif[0x0112] = 6  # turn by a quarter, clockwise: left becomes top
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png", exif=exif)
    data = load(str(tmp_path))
    for image, label in zip(data.train.take(torch.arange(len(data.train))), data.train.labels.tolist(), strict=True):
        white = (image[0, :16] if label == 0 else image[0, 16:]).float().mean()
        assert white == 255


def test_a_large_folder_streams_the_same_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "x", 30)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    at_once = load(str(tmp_path / "x"))
    monkeypatch.setattr(folder_module, "MEMORY_BYTES", 0)
    later = load(str(tmp_path / "x"), seed=0, image_size=24)  # not what `load` remembers, for it names the size
    streamed = later.train
    assert isinstance(streamed, Files)
    assert later.info.hash == at_once.info.hash
    assert later.info.mean == at_once.info.mean
    order = torch.randperm(len(streamed), generator=torch.Generator().manual_seed(0))
    for part in (streamed, join(streamed, later.validation), subset(streamed, 9, seed=0)):
        index = order[order < len(part)]
        fed = list(batches(part, 7, order=index, device="cpu"))
        assert torch.equal(torch.cat([y for _, y in fed]), part.labels[index])
        assert torch.equal((torch.cat([x for x, _ in fed]) * 255).round().byte(), part.take(index))
    both, same = join(streamed, later.validation), join(at_once.train, at_once.validation)
    mixed = torch.tensor([47, 0, 38, 5, 39, 5])  # 38 of training, then 10 of validation
    assert (len(streamed), len(both)) == (38, 48)
    assert torch.equal(both.take(mixed), same.take(mixed))
    assert torch.equal(both.labels, same.labels)
    assert list((tmp_path / "cache/treenas/checked").glob("*.json"))


def test_npz_and_function_in_every_layout(tmp_path: Path) -> None:
    x, y = pictures(40, 3, 12, 12), np.arange(40) % 4
    np.savez(tmp_path / "first.npz", images=x, labels=y)
    np.savez(tmp_path / "last.npz", X=x.transpose(0, 2, 3, 1), target=y[:, None])
    np.savez(tmp_path / "float.npz", x=x / 255, y=y.astype(float))
    (tmp_path / "mine.py").write_text(
        "import numpy as np, torch\n"
        "def give():\n"
        f"    found = np.load({str(tmp_path / 'first.npz')!r})\n"
        "    return torch.from_numpy(found['images']), found['labels'].tolist()\n"
        "def both():\n    return give(), give()\n"
    )
    first, last, floats, mine, both = (
        load(str(tmp_path / spec)) for spec in ("first.npz", "last.npz", "float.npz", "mine.py:give", "mine.py:both")
    )
    assert first.info.hash == last.info.hash == mine.info.hash
    assert dict(first.info.counts) == {"train": 26, "validation": 6, "test": 8}
    assert dict(both.info.counts) == {"train": 33, "validation": 7, "test": 40}
    assert floats.train.take(torch.arange(2)).dtype == torch.float32
    assert floats.info.mean == pytest.approx(first.info.mean, abs=1e-5)
    assert load(str(tmp_path / "first.npz"), image_size=6).info.input == (3, 6, 6)
    assert mine.info.spec == f"{(tmp_path / 'mine.py').resolve()}:give"


def test_npz_test_members_stay_closed(tmp_path: Path) -> None:
    x, y = pictures(30, 8, 8), np.arange(30) % 3
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=pictures(9, 8, 8, seed=9), y_test=np.arange(9) % 3)
    content = (tmp_path / "a.npz").read_bytes()
    hidden = pictures(9, 8, 8, seed=9).tobytes()
    (tmp_path / "b.npz").write_bytes(content.replace(hidden, bytes(len(hidden))))  # its checksum is now wrong
    assert content.count(hidden) == 1
    assert dict(load(str(tmp_path / "b.npz")).info.counts) == {"train": 25, "validation": 5, "test": 9}
    with pytest.raises(Exception, match="x_test"):
        load_test(str(tmp_path / "b.npz"))
    assert len(load_test(str(tmp_path / "a.npz"))) == 9


def test_batches_follow_the_order_and_keep_the_rest() -> None:
    part = load("digits").train
    order = torch.tensor([5, 3, 3, 0, 9])
    fed = list(batches(part, 2, order=order, device="cpu"))
    assert [len(y) for _, y in fed] == [2, 2, 1]
    assert torch.equal(torch.cat([x for x, _ in fed]), part.take(order).float() / 255)
    assert torch.equal(torch.cat([y for _, y in fed]), part.labels[order])
    assert on_device(part, "cpu").take(order).shape == (5, 1, 8, 8)
    moved = Moved(part, torch.device("cpu"))
    assert torch.equal(next(batches(moved, 5, order=order, device="cpu"))[0], torch.cat([x for x, _ in fed]))


def test_subset_is_stratified_and_load_remembers() -> None:
    small = subset(load("digits").train, 100, seed=0)
    assert load("digits").train is load("digits").train
    assert torch.bincount(small.labels).tolist() == [10] * 10
    assert contents(small) != contents(subset(load("digits").train, 100, seed=1))
