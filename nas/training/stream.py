"""Training images as batches: drawn in a new order each epoch, changed at random, normalised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from nas.data import Info, Part, batches
from nas.data.augment import augment, default_augment
from nas.training.measure import Normal
from nas.training.recipe import Recipe
from nas.training.speed import PLAIN, Speed


@final
class Stream:
    """The images of a part as batches (B, C, H, W) with labels (B,), on a device; equal seeds give equal batches."""

    def __init__(
        self, part: Part, info: Info, recipe: Recipe, *, seed: int, device: torch.device, speed: Speed = PLAIN
    ) -> None:
        if not len(part):
            raise ValueError("a training needs at least one image")
        self.part, self.device = part, device
        self.batch = min(recipe.batch_size, len(part))
        self.steps = len(part) // self.batch
        self.generator = torch.Generator().manual_seed(seed)
        self.normal = Normal(info, device, speed)
        self._augment = default_augment(info) if recipe.augment is None else recipe.augment

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each image once, in a new order, augmented; an incomplete last batch is left to another epoch's order."""
        order = torch.randperm(len(self.part), generator=self.generator)[: self.steps * self.batch]
        for pixels, labels in batches(self.part, self.batch, device=self.device, order=order):
            yield self.normal(augment(pixels, self.generator, self._augment)), labels

    def endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Epochs without end; to be begun anew each epoch where a training must go on exactly."""
        while True:
            yield from self.epoch()

    def views(self, pixels: Tensor) -> Tensor:
        """Another random view of the same images (B, C, H, W) in [0, 1], normalised."""
        return self.normal(augment(pixels, self.generator, self._augment))
