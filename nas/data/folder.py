"""A folder of class folders with images of any size."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import statistics
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.decode import SUFFIXES, decode, glance, threads
from nas.data.fetch import cache_folder
from nas.data.part import Memory
from nas.data.source import Opened, Source, Style
from nas.data.split import shuffled
from nas.errors import UserError

MEMORY_BYTES = 2**30
"""Decoded parts below this size are kept in memory; larger ones are decoded batch by batch."""
GLANCED = 64
"""How many images decide on grey or colour and on the size."""
FIXED = {"validation": ("validation", "val", "valid"), "test": ("test",)}


@final
@dataclass(frozen=True, eq=False)
class Files:
    """A part whose images stay on disk."""

    root: Path
    names: tuple[str, ...]
    labels: Tensor
    style: Style

    def __len__(self) -> int:
        """How many images it has."""
        return len(self.names)

    def take(self, index: Tensor) -> Tensor:
        """The images of these places, decoded."""
        return self.start(index)()

    def start(self, index: Tensor) -> Callable[[], Tensor]:
        """Begins to decode in the background; see Streams."""
        places = index.tolist()
        pending = [threads().submit(decode, self.root / self.names[place], self.style) for place in places]

        def finish() -> Tensor:
            return torch.from_numpy(np.stack([self._checked(*pair) for pair in zip(places, pending, strict=True)]))

        return finish

    def _checked(self, place: int, pending: Future[NDArray[np.uint8] | None]) -> NDArray[np.uint8]:
        image = pending.result()
        if image is None:
            raise UserError(
                f"image {self.root / self.names[place]} could be read before and cannot now",
                fix="leave the data folder as it is during a run, then resume",
            )
        return image


@final
@dataclass(frozen=True, eq=False)
class FilePool:
    """Image files that were found, not yet opened."""

    root: Path
    names: tuple[str, ...]
    """Relative to the root, with forward slashes, sorted."""
    sizes: tuple[int, ...]
    labels: Tensor

    def digest(self) -> bytes:
        """A hash of names and sizes."""
        lines = "\n".join(f"{name}\t{size}" for name, size in zip(self.names, self.sizes, strict=True))
        return hashlib.blake2b(lines.encode(errors="surrogateescape"), digest_size=16).digest()

    def style(self, index: Tensor, image_size: int | None) -> Style:
        """Grey if every image of a sample is; the side is the sample's median, a multiple of 8 from 16 to 224."""
        sample = index[torch.from_numpy(shuffled(len(index), seed=0, salt="style")[:GLANCED])]
        seen = [found for place in sample.tolist() if (found := glance(self.root / self.names[place]))]
        if not seen:
            raise UserError(
                f"none of {len(sample)} images looked at in {self.root} can be read",
                fix="check that these are images: " + self.names[int(sample[0])],
            )
        side = round(statistics.median(side for _, side in seen) / 8) * 8
        return Style(1 if all(grey for grey, _ in seen) else 3, image_size or min(224, max(16, side)))

    def open(self, index: Tensor, style: Style) -> Opened:
        """These images in memory if they fit there, else left on disk after each was decoded once."""
        names = tuple(self.names[place] for place in index.tolist())
        side = style.size or 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata of a readable image is not the user's trouble
            if len(names) * style.channels * side * side < MEMORY_BYTES:
                return self._in_memory(names, self.labels[index], style)
            return self._on_disk(names, self.labels[index], style)

    def _in_memory(self, names: tuple[str, ...], labels: Tensor, style: Style) -> Opened:
        side = style.size or 0
        images = torch.empty((len(names), style.channels, side, side), dtype=torch.uint8)
        good = torch.ones(len(names), dtype=torch.bool)
        work = functools.partial(decode, style=style)
        for place, image in enumerate(threads().map(work, (self.root / name for name in names))):
            if image is None:
                good[place] = False
            else:
                images[place] = torch.from_numpy(np.ascontiguousarray(image))
        bad = tuple(name for name, fine in zip(names, good.tolist(), strict=True) if not fine)
        return Opened(Memory(images[good], labels[good]) if bad else Memory(images, labels), bad)

    def _on_disk(self, names: tuple[str, ...], labels: Tensor, style: Style) -> Opened:
        bad = self._unreadable(names, style)
        lost = frozenset(bad)
        good = torch.tensor([name not in lost for name in names])
        return Opened(Files(self.root, tuple(n for n in names if n not in lost), labels[good], style), bad)

    def _unreadable(self, names: tuple[str, ...], style: Style) -> tuple[str, ...]:
        """The names that cannot be decoded, remembered for later runs and other processes."""
        key = hashlib.blake2b(self.digest() + "\n".join(names).encode(errors="surrogateescape"), digest_size=8)
        memo = cache_folder() / "checked" / f"{key.hexdigest()}.json"
        try:
            return tuple(str(name) for name in json.loads(memo.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            pass
        bad: list[str] = []
        for first in range(0, len(names), 1024):  # in pieces, so that no more than these wait in memory
            piece = names[first : first + 1024]
            fine = threads().map(lambda name: decode(self.root / name, style) is not None, piece)
            bad += [name for name, readable in zip(piece, fine, strict=True) if not readable]
        try:
            memo.parent.mkdir(parents=True, exist_ok=True)
            draft = memo.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(bad), encoding="utf-8")
            draft.replace(memo)
        except OSError:
            pass  # without a cache the check is made again, which is slow and no more
        return tuple(bad)


def folder_source(root: Path, name: str) -> Source:
    """Images in class folders, or in class folders under train, validation (val, valid) and test.

    Raises UserError if there are no images. Test files are listed with their sizes, and not opened.
    """
    if not _is_fixed(root):
        classes = _folders(root)
        return Source(name, classes, _pool(root, root, classes))
    classes = _folders(root / "train")
    found = {which: next((root / n for n in names if (root / n).is_dir()), None) for which, names in FIXED.items()}
    validation, test = found["validation"], found["test"]
    tests = None if test is None else _pool(root, test, classes)
    return Source(
        name,
        classes,
        _pool(root, root / "train", classes),
        validation=None if validation is None else _pool(root, validation, classes),
        test=None if tests is None else lambda: tests,
        test_count=0 if tests is None else len(tests.names),
        validation_share=0.2 if test is None else 1 / 6,
    )


def _is_fixed(root: Path) -> bool:
    """Whether `train` is a part with class folders in it, and not a class of that name."""
    train = root / "train"
    return train.is_dir() and bool(_subfolders(train)) and not any(map(_is_image, train.iterdir()))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _folders(root: Path) -> tuple[str, ...]:
    names = tuple(path.name for path in _subfolders(root))
    if not names:
        raise UserError(f"no class folders in {root}", fix="give a folder with one sub-folder of images for each class")
    return names


def _pool(root: Path, top: Path, classes: tuple[str, ...]) -> FilePool:
    """All images below the class folders of `top`."""
    strange = [name for name in (path.name for path in _subfolders(top)) if name not in classes]
    if strange:
        raise UserError(f"class folder {strange[0]!r} in {top} is not in {root / 'train'}", fix="remove or rename it")
    found: list[tuple[str, int, int]] = []
    for label, name in enumerate(classes):
        paths = (path for path in (top / name).rglob("*") if _is_image(path))
        found += [(path.relative_to(root).as_posix(), path.stat().st_size, label) for path in paths]
    if not found:
        wanted = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise UserError(f"no images in {top}", fix=f"images end in one of {wanted} and lie in class folders")
    found.sort()
    names, sizes, labels = zip(*found, strict=True)
    return FilePool(root, names, sizes, torch.tensor(labels))
