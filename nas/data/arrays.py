"""Images that come as arrays: their checks, and the pool made of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from nas.data.part import Memory
from nas.data.source import Opened, Style
from nas.errors import UserError


@final
@dataclass(frozen=True, eq=False)
class ArrayPool:
    """Images of one shape, all in memory."""

    images: Tensor
    """(N, C, H, W), uint8 or float32 in [0, 1]."""
    labels: Tensor

    def digest(self) -> bytes:
        """A hash of shape, type, images and labels."""
        state = hashlib.blake2b(f"{tuple(self.images.shape)} {self.images.dtype}".encode(), digest_size=16)
        state.update(self.images.contiguous().numpy().data)
        state.update(self.labels.contiguous().numpy().data)
        return state.digest()

    def style(self, index: Tensor, image_size: int | None) -> Style:
        """As the images are, or a square of the size asked for."""
        _, channels, height, width = self.images.shape
        same = image_size is None or (height == image_size and width == image_size)
        return Style(channels, None if same else image_size)

    def open(self, index: Tensor, style: Style) -> Opened:
        """A copy of these images, so that the others can be forgotten."""
        images = self.images[index]
        if style.size is not None:
            images = torch.cat([_squared(piece, style.size) for piece in torch.split(images, 512)])
        return Opened(Memory(images, self.labels[index]))


def array_pool(images: Any, labels: Any, *, what: str, classes: int | None = None) -> ArrayPool:
    """A pool of checked images and labels.

    images: (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1, 3 or 4; integers, or floats in 0 to 1 or 0 to 255.
    labels: (N,) or (N, 1), whole numbers from 0. Raises UserError, which names `what` and the first fault.
    """
    pixels = _scaled(_channels_first(_plain(images, what, "images"), what), what)
    names = _whole(_plain(labels, what, "labels"), what, classes)
    if len(pixels) != len(names):
        raise UserError(f"{what} has {len(pixels)} images and {len(names)} labels", fix="give one label an image")
    return ArrayPool(pixels, names)


def _whole(labels: NDArray[Any], what: str, classes: int | None) -> Tensor:
    """Labels as (N,) int64, all of them whole numbers from 0 and below `classes` (or below N)."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not len(labels):
        raise UserError(f"labels of {what} have shape {labels.shape}, expected (N,)", fix="give one number an image")
    broken = ~np.isfinite(labels) | (labels != np.floor(labels))
    if broken.any():
        raise UserError(
            f"label {labels[broken][0]!s} of {what} is no whole number", fix="number the classes 0, 1, 2, ..."
        )
    limit = len(labels) if classes is None else classes
    lowest, highest = labels.min(), labels.max()
    if lowest < 0 or highest >= limit:
        odd = lowest if lowest < 0 else highest
        why = "classes" if classes is not None else "images"
        raise UserError(
            f"label {int(odd)} of {what} is out of range, expected 0 to {limit - 1} for {limit} {why}",
            fix="number the classes 0, 1, 2, ... without gaps",
        )
    return torch.from_numpy(labels.astype(np.int64))


def _plain(values: Any, what: str, which: str) -> NDArray[Any]:
    """Values as an array of numbers, be they a tensor, an array or a list."""
    try:
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    except (ValueError, TypeError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iufb":
        mixed = "are of mixed shapes or objects" if array.dtype == object else f"are of type {array.dtype}"
        raise UserError(f"{which} of {what} {mixed}, expected one array of numbers", fix="bring all to one shape first")
    return array


def _channels_first(images: NDArray[Any], what: str) -> NDArray[Any]:
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] not in (1, 3, 4) and images.shape[3] in (1, 3, 4):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3, 4) or 0 in images.shape:
        raise UserError(
            f"images of {what} have shape {images.shape}",
            fix="give (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels",
        )
    return images


def _scaled(images: NDArray[Any], what: str) -> Tensor:
    """Images as uint8, or as float32 in [0, 1]; floats up to 255 are divided, whole numbers stay whole."""
    if images.dtype == np.bool_:
        return torch.from_numpy(images.astype(np.uint8) * np.uint8(255))
    if images.dtype == np.uint8:
        return torch.from_numpy(np.require(images, requirements=["C", "W"]))
    if images.dtype.kind == "f":
        odd = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
        if len(odd):
            raise UserError(
                f"{len(odd)} images of {what} hold NaN or infinite values, the first is number {odd[0]}",
                fix="mend or leave out these images",
            )
    low, high = images.min(), images.max()
    if low < 0 or high > 255:
        raise UserError(
            f"images of {what} lie in {low:g} to {high:g}", fix="give 0 to 255 or 0 to 1; means are subtracted later"
        )
    if images.dtype.kind != "f":
        return torch.from_numpy(np.require(images, np.uint8, ["C", "W"]))
    return torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32) / np.float32(255 if high > 1 else 1))


def _squared(images: Tensor, size: int) -> Tensor:
    """Images whose shorter side is brought to `size` and whose middle is cut out."""
    height, width = images.shape[2:]
    scale = size / min(height, width)
    target = (max(size, round(height * scale)), max(size, round(width * scale)))
    resized = interpolate(images.float(), target, mode="bilinear", antialias=True, align_corners=False)
    top, left = (target[0] - size) // 2, (target[1] - size) // 2
    resized = resized[:, :, top : top + size, left : left + size]
    return resized.round().clamp(0, 255).byte() if images.dtype == torch.uint8 else resized.clamp(0, 1)
