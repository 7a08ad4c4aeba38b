"""MNIST and Fashion-MNIST: files in the IDX format, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nas.data.arrays import ArrayPool, array_pool
from nas.data.fetch import cache_folder, fetch
from nas.data.source import Source
from nas.errors import UserError

GZIP = b"\x1f\x8b"
IMAGES, LABELS = 3, 1
"""Number of axes of an image file and of a label file."""


@final
@dataclass(frozen=True)
class _Official:
    class_names: tuple[str, ...]
    url: str
    md5: dict[str, str]
    places: tuple[Path, ...] = ()
    """Folders where a system package may have put the files."""


SETS = {
    "mnist": _Official(
        tuple("0123456789"),
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {  # as in torchvision
            "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion-mnist": _Official(
        ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"),
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {  # as in the README of github.com/zalandoresearch/fashion-mnist
            "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        # where Debian's package dataset-fashion-mnist puts them
        tuple(Path(prefix) / "share/datasets/fashion-mnist" for prefix in ("/usr", "/usr/local")),
    ),
}


def idx_source(name: str, folder: Path | None) -> Source:
    """MNIST or Fashion-MNIST from a folder, else from the system's package, the cache or the internet.

    The official test images stay unopened; how many they are is read from their labels.
    """
    names = SETS[name].class_names
    pool = _pool(name, folder, "train", names)
    return Source(
        name,
        names,
        pool,
        test=lambda: _pool(name, folder, "t10k", names),
        test_count=_count(name, folder),
        validation_share=1 / 6,
    )


def _pool(name: str, folder: Path | None, which: str, names: tuple[str, ...]) -> ArrayPool:
    images = _find(name, folder, f"{which}-images-idx3-ubyte")
    labels = _find(name, folder, f"{which}-labels-idx1-ubyte")
    return array_pool(read_idx(images, IMAGES), read_idx(labels, LABELS), what=str(images), classes=len(names))


def _count(name: str, folder: Path | None) -> int:
    """Test images by their label file; 0 if that cannot be read, for a search can go on without."""
    try:
        return len(read_idx(_find(name, folder, "t10k-labels-idx1-ubyte"), LABELS))
    except UserError:
        return 0


def _find(name: str, folder: Path | None, stem: str) -> Path:
    official = SETS[name]
    cached = cache_folder() / name
    folders = [folder] if folder is not None else [*official.places, cached]
    for place in folders:
        # Some mirrors write "train-images.idx3-ubyte".
        for file in (stem, stem.replace("-idx", ".idx")):
            for path in (place / file, place / f"{file}.gz"):
                if path.is_file():
                    return path
    if folder is not None:
        raise UserError(
            f"no file {stem} (or .gz) in {folder}",
            fix=f"put the four IDX files there, or give {name} alone to download them",
        )
    return fetch(f"{official.url}{stem}.gz", official.md5[stem], cached / f"{stem}.gz", name=name)


def read_idx(path: Path, axes: int) -> NDArray[Any]:
    """The array of bytes in an IDX file; raises UserError if the file is torn or of another kind.

    Format: two zero bytes, type 8 (unsigned byte), number of axes, each size as 4 bytes big-endian, then the values.
    """
    try:
        content = path.read_bytes()
        if content[:2] == GZIP:
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path}: {error}", fix="get the file again") from error
    start = 4 + 4 * axes
    expected = bytes((0, 0, 8, axes))
    if content[:4] != expected:
        raise UserError(
            f"{path} begins with {content[:4].hex() or 'nothing'}, expected {expected.hex()} for IDX with {axes} axes",
            fix="get the file again",
        )
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist()) if len(content) >= start else (0,)
    size = start + math.prod(shape)
    if len(content) != size or len(content) < start:
        raise UserError(f"{path} has {len(content)} bytes unpacked, expected {size}", fix="get the file again")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy()
