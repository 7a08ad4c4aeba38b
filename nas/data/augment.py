"""Random changes of training images: shifted crop, mirror, cutout, and mixed pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from nas.data.part import Info

DRAWN = ("digits", "mnist")
"""Data sets whose images mean something else when mirrored."""


@final
@dataclass(frozen=True)
class Augment:
    """How training images are changed; the zero of each field leaves them as they are."""

    crop: int = 0
    """Pixels of black border, out of which an image of the old size is cut at a random place."""
    flip: bool = False
    """Mirrors half of the images left to right."""
    cutout: int = 0
    """Side of a square of zeros at a random place (DeVries and Taylor 2017, arXiv:1708.04552)."""
    mixup: float = 0.0
    """Both parameters of the beta distribution that pairs are mixed by (Zhang et al. 2018, arXiv:1710.09412)."""

    def __post_init__(self) -> None:
        """Refuses negative values."""
        if min(self.crop, self.cutout, self.mixup) < 0:
            raise ValueError(f"no field of an Augment may be negative: {self}")


def default_augment(info: Info) -> Augment:
    """What is usual for a data set: no mirror for drawn figures, the standard crop and mirror for CIFAR."""
    side = min(info.input[1:])
    if info.name in DRAWN:
        return Augment(crop=max(1, side // 8))
    if info.name == "fashion-mnist":
        return Augment(crop=2, flip=True)
    if info.name in ("cifar10", "cifar100"):
        return Augment(crop=4, flip=True)
    return Augment(crop=side // 8, flip=True)


def augment(images: Tensor, generator: torch.Generator, recipe: Augment) -> Tensor:
    """Images (B, C, H, W) of any type on any device, each changed at random by the recipe's crop, flip and cutout.

    generator: on the CPU, so that the same numbers are drawn whatever the device. Mixing is done by `mixup`.
    """
    if recipe.crop:
        images = _cropped(images, generator, recipe.crop)
    if recipe.flip:
        mirrored = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)
    if recipe.cutout:
        images = _cut_out(images, generator, recipe.cutout)
    return images


def mixup(
    images: Tensor, labels: Tensor, classes: int, alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Each image mixed with another of the batch, and the labels in the same proportion (Zhang et al. 2018, eq. 1).

    images: (B, C, H, W) float. labels: (B,) int64, or (B, classes) float. One proportion, drawn from
    Beta(alpha, alpha), serves the whole batch, as in the paper's code. Gives images and labels (B, classes) float32.
    """
    soft = labels.float() if labels.ndim == 2 else one_hot(labels, classes).float()
    if alpha <= 0:
        return images, soft
    # torch draws no beta from a given generator; numpy does, from a seed that the generator gives.
    bits = int(torch.randint(2**62, (), generator=generator))
    keep = float(np.random.default_rng(bits).beta(alpha, alpha))
    other = torch.randperm(len(images), generator=generator).to(images.device)
    return keep * images + (1 - keep) * images[other], keep * soft + (1 - keep) * soft[other]


def _cropped(images: Tensor, generator: torch.Generator, border: int) -> Tensor:
    batch, _, height, width = images.shape
    corner = torch.randint(2 * border + 1, (2, batch, 1), generator=generator).to(images.device)
    rows = corner[0] + torch.arange(height, device=images.device)  # (B, H)
    columns = corner[1] + torch.arange(width, device=images.device)  # (B, W)
    wide = pad(images, (border,) * 4).permute(0, 2, 3, 1)  # (B, H + 2 border, W + 2 border, C)
    which = torch.arange(batch, device=images.device)[:, None, None]
    return wide[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _cut_out(images: Tensor, generator: torch.Generator, side: int) -> Tensor:
    batch, _, height, width = images.shape
    draws = torch.rand((2, batch, 1), generator=generator)
    masks = []
    for draw, length in zip(draws, (height, width), strict=True):
        first = (draw * length).long() - side // 2  # the square may hang over the edge, as in the paper
        place = torch.arange(length)
        masks.append((place >= first) & (place < first + side))
    hole = (masks[0][:, :, None] & masks[1][:, None, :])[:, None].to(images.device)  # (B, 1, H, W)
    return images.masked_fill(hole, 0)
