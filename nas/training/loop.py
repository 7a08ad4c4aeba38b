"""The training of one network, which can be killed at any moment and goes on with the same numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import nn

from nas.data import Info, Part, on_device
from nas.training import checkpoint
from nas.training.recipe import Recipe
from nas.training.seeds import seeded
from nas.training.steps import Training

Report = Callable[[int, Mapping[str, float]], None]
"""Told the epoch (from 1) and its metrics."""


@final
@dataclass(frozen=True)
class Fitted:
    """What came of a training.

    metrics: train_loss, and accuracy and loss on the validation images if there are any; of the averaged weights.
    seconds: over all sittings. images_per_second: in training steps alone. notes: what a user should know, by line.
    """

    metrics: Mapping[str, float]
    seconds: float
    images_per_second: float
    precision: str
    layout: str
    compiled: bool
    epochs: int
    notes: tuple[str, ...] = ()


def fit(
    module: nn.Module,
    train: Part,
    validation: Part | None,
    info: Info,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    folder: Path | None,
    report: Report,
    until: int | None = None,
) -> Fitted:
    """Train a module in place, and leave the averaged weights in it, in evaluation mode, contiguous, in fp32.

    A checkpoint is written to the folder after each epoch, before `report` is told; what `report` raises goes through.
    A later call with the same arguments goes on from there with the numbers of a training that was never stopped.
    until: the last epoch, where that is not the recipe's; the rate goes its way to the recipe's, so that a training of
    few epochs is the beginning of a long one, and a later call with a larger `until` makes it that one.
    Raises Diverged where the loss or the weights are not finite, and UserError where the disk is full.
    """
    # Cudnn's fastest kernels may add in another order each time.
    with seeded(seed, device), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        if validation is not None:
            validation = on_device(validation, device)
        training = Training(module, on_device(train, device), info, recipe, seed=seed, device=device, until=until)
        notes = training.start(folder)
        while training.epoch < training.until:
            start = time.perf_counter()
            training.run_epoch()
            training.measure(validation)
            training.seconds += time.perf_counter() - start
            if folder is not None:
                checkpoint.write(folder, training.state())
            report(training.epoch, training.metrics)
        training.finish()
    return Fitted(
        metrics=training.metrics,
        seconds=training.seconds,
        images_per_second=training.images / training.stepping if training.stepping else 0.0,
        precision=training.speed.precision,
        layout=training.speed.layout,
        compiled=training.speed.compiled,
        epochs=training.epoch,
        notes=notes,
    )
