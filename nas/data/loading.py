"""Opens a data set for a search, or its test part for the last report."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nas.data.part import Data, Info, Memory, Part, unit
from nas.data.read import absolute, read
from nas.data.source import Opened, Source, Style
from nas.data.split import hold_out, shuffled
from nas.errors import UserError

OWN_TEST = 0.2
"""Which share becomes test where a data set has no official test images."""
MOST_UNREADABLE = 0.01
SAMPLE = 4096
"""Images of a part on disk that its mean and deviation are taken from."""


def load(spec: str, *, seed: int = 0, image_size: int | None = None) -> Data:
    """A data set split into train, validation and test by the seed; test images are never opened.

    spec: digits, a known name with or without `:folder`, a folder of class folders, a .npz file, or `module:function`.
    image_size: the side of the square that images are brought to; by default the images' own.
    Raises UserError for whatever is wrong with the data. Loaded data is kept for the next call of this process.
    """
    return _load(absolute(spec), seed, _checked(image_size))


def load_test(spec: str, *, seed: int = 0, image_size: int | None = None) -> Part:
    """The test part of the same split, to be read once, for the report."""
    source = read(absolute(spec))
    split = _split(source, seed)
    style = source.pool.style(split.seen, _checked(image_size))
    pool = source.test() if source.test else source.pool
    index = split.test if split.test is not None else torch.arange(len(pool.labels))
    opened = pool.open(index, style)
    _refuse_many_unreadable([opened], spec)
    return opened.part


@final
@dataclass(frozen=True)
class _Split:
    train: Tensor
    validation: Tensor | None
    test: Tensor | None

    @property
    def seen(self) -> Tensor:
        """Places that a search may look at."""
        return self.train if self.validation is None else torch.cat([self.train, self.validation])


@functools.lru_cache(maxsize=4)
def _load(spec: str, seed: int, image_size: int | None) -> Data:
    source = read(spec)
    split = _split(source, seed)
    style = source.pool.style(split.seen, image_size)
    train = source.pool.open(split.train, style)
    if source.validation is not None:
        validation = source.validation.open(torch.arange(len(source.validation.labels)), style)
    else:
        validation = source.pool.open(split.seen[len(split.train) :], style)
    _refuse_many_unreadable([train, validation], spec)
    mean, std = _statistics(train.part)
    counts = {
        "train": len(train.part),
        "validation": len(validation.part),
        "test": source.test_count if split.test is None else len(split.test),
    }
    info = Info(
        spec=spec,
        name=source.name,
        input=_shape(train.part, style),
        classes=len(source.class_names),
        class_names=source.class_names,
        counts=counts,
        hash=_hash(source, split),
        mean=mean,
        std=std,
        skipped=len(train.unreadable) + len(validation.unreadable),
    )
    return Data(info, train.part, validation.part)


def _checked(image_size: int | None) -> int | None:
    if image_size is not None and not 4 <= image_size <= 1024:
        raise UserError(f"image size {image_size} is out of range", fix="give a side from 4 to 1024")
    return image_size


def _split(source: Source, seed: int) -> _Split:
    labels = source.pool.labels
    _refuse_small_classes(labels, source)
    places = torch.arange(len(labels))
    test = None
    if source.test is None:
        places, test = hold_out(labels, round(OWN_TEST * len(labels)), seed=seed, salt="test", spare=2)
    train, validation = places, None
    if source.validation is None:
        size = round(source.validation_share * len(places))
        kept, held = hold_out(labels[places], size, seed=seed, salt="validation")
        train, validation = places[kept], places[held]
    for which, index in (("test", test), ("validation", validation)):
        if index is not None and not len(index):
            raise UserError(
                f"data set {source.name!r} has {len(labels)} images, too few for {which} images",
                fix="give at least 5 images of each class",
            )
    return _Split(train, validation, test)


def _refuse_small_classes(labels: Tensor, source: Source) -> None:
    names = source.class_names
    if len(names) < 2:
        raise UserError(f"data set {source.name!r} has one class alone, {names[0]!r}", fix="give two classes or more")
    counts = torch.bincount(labels, minlength=len(names)).tolist()
    small = [(name, count) for name, count in zip(names, counts, strict=True) if count < 2]
    if small:
        more = f" (and {len(small) - 1} more such classes)" if len(small) > 1 else ""
        raise UserError(
            f"class {small[0][0]!r} of data set {source.name!r} has {small[0][1]} images{more}, which cannot be split",
            fix="give each class at least 2 images, or leave the class out",
        )


def _refuse_many_unreadable(opened: list[Opened], spec: str) -> None:
    names = [name for one in opened for name in one.unreadable]
    total = sum(len(one.part) for one in opened) + len(names)
    if len(names) > MOST_UNREADABLE * total:
        raise UserError(
            f"{len(names)} of {total} images of {spec} cannot be read, the first is {names[0]}",
            fix="mend or delete them; at most 1 % are skipped",
        )


def _shape(part: Part, style: Style) -> tuple[int, int, int]:
    if isinstance(part, Memory):
        _, channels, height, width = part.images.shape
        return channels, height, width
    side = style.size or 0
    return style.channels, side, side


def _statistics(part: Part) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation by channel; of a part on disk, from a fixed sample of its images."""
    index = torch.arange(len(part))
    if not isinstance(part, Memory):
        index = torch.from_numpy(shuffled(len(part), seed=0, salt="statistics")[:SAMPLE])
    total, square, count = torch.zeros(1), torch.zeros(1), 0
    for piece in torch.split(index, 1024):
        images = unit(part.take(piece)).double()
        total = total + images.sum(dim=(0, 2, 3))
        square = square + images.square().sum(dim=(0, 2, 3))
        count += images.numel() // images.shape[1]
    mean = total / count
    # A channel that is the same everywhere must not be divided by zero.
    std = (square / count - mean.square()).clamp(min=0).sqrt().clamp(min=1e-3)
    return tuple(round(x, 6) for x in mean.tolist()), tuple(round(x, 6) for x in std.tolist())


def _hash(source: Source, split: _Split) -> str:
    state = hashlib.blake2b(source.pool.digest(), digest_size=8)
    if source.validation is not None:
        state.update(source.validation.digest())
    for index in (split.train, split.validation, split.test):
        state.update(b"|" if index is None else index.contiguous().numpy().data)
    return state.hexdigest()
