"""The parts of a data set: images with labels, in memory, picked from another part, or two parts as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor

from nas.data.split import hold_out


@final
@dataclass(frozen=True)
class Info:
    """What is known of a data set without looking at a test image."""

    spec: str
    """What `load` was given, made absolute, so that any other process can load the same."""
    name: str
    """A short name in a-z, 0-9 and hyphens."""
    input: tuple[int, int, int]
    """The shape of one image: (C, H, W)."""
    classes: int
    class_names: tuple[str, ...]
    counts: Mapping[str, int]
    """Images in train, validation and test; test is 0 where it cannot be counted without opening it."""
    hash: str
    """16 hex digits over the contents (of an image folder: names and sizes) and the split."""
    mean: tuple[float, ...]
    """By channel, of the training images scaled to [0, 1]."""
    std: tuple[float, ...]
    skipped: int = 0
    """Unreadable images that were left out of train and validation."""


class Part(Protocol):
    """One of train, validation and test."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64."""

    def __len__(self) -> int:
        """How many images it has."""

    def take(self, index: Tensor) -> Tensor:
        """The images of these places: (B,) int64 to (B, C, H, W), uint8 in 0 to 255 or float32 in [0, 1]."""


@runtime_checkable
class Streams(Protocol):
    """A part whose images come from disk, so that it pays to start early."""

    def start(self, index: Tensor) -> Callable[[], Tensor]:
        """Begins to decode these images in the background; the function given back waits for them."""


@final
@dataclass(frozen=True)
class Data:
    """A data set as a search sees it: no test images."""

    info: Info
    train: Part
    validation: Part


@final
@dataclass(frozen=True, eq=False)
class Memory:
    """A part that lives in memory, on any device."""

    images: Tensor
    """(N, C, H, W), uint8 or float32 in [0, 1]."""
    labels: Tensor

    def __len__(self) -> int:
        """How many images it has."""
        return len(self.labels)

    def take(self, index: Tensor) -> Tensor:
        """The images of these places, on the part's own device."""
        return self.images[index.to(self.images.device)]


@final
@dataclass(frozen=True, eq=False)
class Picked:
    """Some images of another part, by their places there."""

    part: Part
    index: Tensor

    @property
    def labels(self) -> Tensor:
        """(N,) int64."""
        return self.part.labels[self.index]

    def __len__(self) -> int:
        """How many images were picked."""
        return len(self.index)

    def take(self, index: Tensor) -> Tensor:
        """The images of these places among the picked."""
        return self.part.take(self.index[index.cpu()])

    def start(self, index: Tensor) -> Callable[[], Tensor]:
        """Begins to decode; see Streams."""
        return start(self.part, self.index[index.cpu()])


@final
@dataclass(frozen=True, eq=False)
class Joined:
    """Two parts one after the other."""

    first: Part
    second: Part

    @property
    def labels(self) -> Tensor:
        """(N,) int64."""
        return torch.cat([self.first.labels, self.second.labels.to(self.first.labels.device)])

    def __len__(self) -> int:
        """How many images both have."""
        return len(self.first) + len(self.second)

    def take(self, index: Tensor) -> Tensor:
        """The images of these places, in the order asked for."""
        return self.start(index)()

    def start(self, index: Tensor) -> Callable[[], Tensor]:
        """Begins to decode in both; see Streams."""
        index = index.cpu()
        late = index >= len(self.first)
        sides = [(self.first, index[~late], ~late), (self.second, index[late] - len(self.first), late)]
        begun = [(start(part, places), rows) for part, places, rows in sides if len(places)]

        def finish() -> Tensor:
            pieces = [(wait(), rows) for wait, rows in begun]
            if len(pieces) == 1:
                return pieces[0][0]
            (one, one_rows), (two, two_rows) = pieces
            one, two = same_scale(one, two.to(one.device))
            images = one.new_empty((len(index), *one.shape[1:]))
            images[one_rows.to(one.device)] = one
            images[two_rows.to(one.device)] = two
            return images

        return finish if begun else lambda: self.first.take(index)


@final
@dataclass(frozen=True, eq=False)
class Moved:
    """A part too large for the device: each batch is moved there when it is taken."""

    part: Part
    device: torch.device

    @property
    def labels(self) -> Tensor:
        """(N,) int64, on the device."""
        return self.part.labels.to(self.device)

    def __len__(self) -> int:
        """How many images it has."""
        return len(self.part)

    def take(self, index: Tensor) -> Tensor:
        """The images of these places, on the device."""
        return self.part.take(index.cpu()).to(self.device)

    def start(self, index: Tensor) -> Callable[[], Tensor]:
        """Begins to decode; see Streams."""
        wait = start(self.part, index.cpu())
        return lambda: wait().to(self.device)


def start(part: Part, index: Tensor) -> Callable[[], Tensor]:
    """Begins to take images if the part can do so in the background; the function given back has them."""
    if isinstance(part, Streams):
        return part.start(index)
    return lambda: part.take(index)


def unit(images: Tensor) -> Tensor:
    """Images as float32 in [0, 1]: uint8 is divided by 255, floats stay."""
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def same_scale(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both as they are if they are of one dtype, else both as float32 in [0, 1]."""
    return (a, b) if a.dtype == b.dtype else (unit(a), unit(b))


def join(a: Part, b: Part) -> Part:
    """The images of both parts as one part, for the last training on train and validation."""
    if isinstance(a, Memory) and isinstance(b, Memory):
        first, second = same_scale(a.images, b.images.to(a.images.device))
        return Memory(torch.cat([first, second]), torch.cat([a.labels, b.labels.to(a.labels.device)]))
    return Joined(a, b)


def subset(part: Part, size: int, *, seed: int) -> Part:
    """A stratified choice of `size` images (all, if the part has no more), in the part's own order."""
    if size >= len(part):
        return part
    if size < 1:
        raise ValueError(f"a subset has at least 1 image, not {size}")
    _, index = hold_out(part.labels.cpu(), size, seed=seed, salt="subset")
    return pick(part, index)


def pick(part: Part, index: Tensor) -> Part:
    """The images of a part at these places, as a part."""
    if isinstance(part, Memory):
        return Memory(part.take(index), part.labels[index.to(part.labels.device)])
    return Picked(part, index)


def on_device(part: Part, device: torch.device | str) -> Part:
    """The part on a device: whole if it is in memory and fills less than half of what is free, else batch by batch."""
    device = torch.device(device)
    if not isinstance(part, Memory):
        return part if device.type == "cpu" else Moved(part, device)
    if device.type == "cuda" and part.images.device.type != "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if part.images.nbytes > free // 2:
            return Moved(part, device)
    return Memory(part.images.to(device), part.labels.to(device))
