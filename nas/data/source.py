"""What every reader gives: images that may be split, and official parts that stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

from torch import Tensor

from nas.data.part import Part


@final
@dataclass(frozen=True)
class Style:
    """How images are brought to one shape: channels, and the side of the square (None: as they are)."""

    channels: int
    size: int | None


@final
@dataclass(frozen=True)
class Opened:
    """A part that was made of a pool, and the names of the images in it that could not be read."""

    part: Part
    unreadable: tuple[str, ...] = ()


class Pool(Protocol):
    """Images that were found and not yet split; labels are known, images may be undecoded."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64."""

    def digest(self) -> bytes:
        """A hash of the contents."""

    def style(self, index: Tensor, image_size: int | None) -> Style:
        """The style to use, found from images of these places alone."""

    def open(self, index: Tensor, style: Style) -> Opened:
        """The part of these places; no image of another place is decoded."""


@final
@dataclass(frozen=True)
class Source:
    """A data set as it was found."""

    name: str
    class_names: tuple[str, ...]
    pool: Pool
    """Everything, or the official training images."""
    validation: Pool | None = None
    """The official validation images, if there are any."""
    test: Callable[[], Pool] | None = None
    """Opens the official test images, if there are any; a search never calls it."""
    test_count: int = 0
    validation_share: float = 0.2
    """Which share of the pool (less our own test) becomes validation."""
