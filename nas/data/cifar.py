"""CIFAR-10 and CIFAR-100: the binary, the Python and the PNG version."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.arrays import ArrayPool, array_pool
from nas.data.box import Box, folder_box, tar_box
from nas.data.cifar_names import CIFAR10, CIFAR100
from nas.data.fetch import cache_folder, fetch
from nas.data.pickled import read_pickle
from nas.data.source import Source
from nas.errors import UserError

PIXELS = 3 * 32 * 32
Arrays = tuple[NDArray[Any], NDArray[Any]]


@final
@dataclass(frozen=True)
class _Version:
    """One of the ways in which the images are published."""

    train: tuple[str, ...]
    test: str
    decode: Callable[[Box, tuple[str, ...], str], Arrays]
    count: Callable[[Box, str], int]
    """Test images, without opening them."""


@final
@dataclass(frozen=True)
class _Official:
    class_names: tuple[str, ...]
    label_bytes: int
    url: str
    md5: str
    inside: tuple[str, ...]
    """Folders that the archives unpack to."""


SETS = {  # checksums as on www.cs.toronto.edu/~kriz/cifar.html
    "cifar10": _Official(
        CIFAR10,
        1,
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
        ("cifar-10-batches-bin", "cifar-10-batches-py", "package"),
    ),
    "cifar100": _Official(
        CIFAR100,
        2,
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "03b5dce01913d631647c71ecec9e9cb8",
        ("cifar-100-binary", "cifar-100-python"),
    ),
}


def cifar_source(name: str, path: Path | None) -> Source:
    """CIFAR from a folder or archive, else from the cache or the internet (the binary version).

    The official test images stay unopened; how many they are is read from sizes or labels.
    """
    official = SETS[name]
    if path is None:
        target = cache_folder() / name / Path(official.url).name
        path = fetch(official.url, official.md5, target, name=name)
    box, version = _find(name, path)
    classes = len(official.class_names)

    def pool(files: tuple[str, ...]) -> ArrayPool:
        missing = [file for file in files if file not in box.sizes]
        if missing:
            raise UserError(f"no file {missing[0]} in {box.where}", fix="get the whole archive again")
        images, labels = version.decode(box, files, name)
        return array_pool(images.reshape(-1, 3, 32, 32), labels, what=f"{box.where}/{files[0]}", classes=classes)

    return Source(
        name,
        official.class_names,
        pool(version.train),
        test=lambda: pool((version.test,)),
        test_count=version.count(box, name) if version.test in box.sizes else 0,
        validation_share=0.1,
    )


def _find(name: str, path: Path) -> tuple[Box, _Version]:
    """The first version whose training file is there: in the folder, in a known folder or archive inside it."""
    official = SETS[name]
    if path.is_file():
        boxes = [tar_box(path)]
    else:
        folders = [path, *(path / inner for inner in official.inside)]
        boxes = [folder_box(folder) for folder in folders if folder.is_dir()]
        stem = Path(official.url).name
        archives = (stem, stem.replace("binary", "python"))
        boxes += [tar_box(path / archive) for archive in archives if (path / archive).is_file()]
    for box in boxes:
        for version in VERSIONS[name]:
            if version.train[0] in box.sizes:
                return box, version
    wanted = ", ".join(version.train[0] for version in VERSIONS[name])
    raise UserError(f"no {name} images in {path}, expected one of {wanted}", fix=f"unpack {official.url} there")


def _binary(box: Box, files: tuple[str, ...], name: str) -> Arrays:
    """Records of label bytes (the last is the class; CIFAR-100 has the coarse class before it) and 3072 pixels."""
    size = SETS[name].label_bytes + PIXELS
    content = box.read(files)
    for file in files:
        if len(content[file]) % size or not content[file]:
            raise UserError(
                f"{box.where}/{file} has {len(content[file])} bytes, expected a multiple of {size}",
                fix="get the archive again",
            )
    records = np.frombuffer(b"".join(content[file] for file in files), dtype=np.uint8).reshape(-1, size)
    return records[:, -PIXELS:], records[:, size - PIXELS - 1]


def _pickles(box: Box, files: tuple[str, ...], name: str) -> Arrays:
    """Dictionaries with `data` (N, 3072) and `labels` or `fine_labels`."""
    key = "labels" if name == "cifar10" else "fine_labels"
    images, labels = [], []
    for file, content in box.read(files).items():
        value = read_pickle(content, what=f"{box.where}/{file}")
        found = {k.decode() if isinstance(k, bytes) else k: v for k, v in value.items()} if type(value) is dict else {}
        data = found.get("data")
        good = isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.shape[1:] == (PIXELS,)
        if data is None or not good or key not in found:
            raise UserError(
                f"{box.where}/{file} holds no CIFAR batch, expected data (N, {PIXELS}) and {key}",
                fix="get the archive again",
            )
        images.append(data)
        labels.append(np.asarray(found[key]))
    return np.concatenate(images), np.concatenate(labels)


def _pngs(box: Box, files: tuple[str, ...], _name: str) -> Arrays:
    """Pictures of 1024 columns whose row i is image i, RGB, and labels as a JSON list."""
    images = []
    for file, content in box.read(files).items():
        try:
            with Image.open(io.BytesIO(content)) as picture:
                pixels = np.asarray(picture.convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f"cannot read {box.where}/{file}: {error}", fix="get the archive again") from error
        if pixels.shape[1] != PIXELS // 3:
            raise UserError(f"{box.where}/{file} is {pixels.shape[1]} wide, expected 1024", fix="get it again")
        images.append(pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2))
    return np.concatenate(images), _json_labels(box, "test" if files[0].startswith("test") else "train")


def _json_labels(box: Box, which: str) -> NDArray[Any]:
    names = [f"{which}_lables.json", f"{which}_labels.json"]  # the package spells it so
    name = next((name for name in names if name in box.sizes), names[0])
    if name not in box.sizes:
        raise UserError(f"no file {name} in {box.where}", fix="get the whole archive again")
    try:
        return np.asarray(json.loads(box.read([name])[name])).reshape(-1)
    except ValueError as error:
        raise UserError(f"cannot read {box.where}/{name}: {error}", fix="get the archive again") from error


def _png_count(box: Box, _name: str) -> int:
    """Test images by their label file; 0 if that cannot be read, for a search can go on without."""
    try:
        return len(_json_labels(box, "test"))
    except UserError:
        return 0


BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
VERSIONS = {
    "cifar10": (
        _Version(
            tuple(f"{batch}.bin" for batch in BATCHES),
            "test_batch.bin",
            _binary,
            lambda box, _: box.sizes["test_batch.bin"] // (1 + PIXELS),
        ),
        _Version(BATCHES, "test_batch", _pickles, lambda *_: 10_000),
        _Version(tuple(f"{batch}.png" for batch in BATCHES), "test_batch.png", _pngs, _png_count),
    ),
    "cifar100": (
        _Version(("train.bin",), "test.bin", _binary, lambda box, _: box.sizes["test.bin"] // (2 + PIXELS)),
        _Version(("train",), "test", _pickles, lambda *_: 10_000),
    ),
}
