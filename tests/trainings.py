"""A small training for tests: images, a network, and reports that stop it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from nas.data import Info
from nas.data.part import Memory
from nas.training import Fitted, Recipe, fit, seeded

CPU = torch.device("cpu")
INFO = Info("toy", "toy", (1, 8, 8), 3, ("a", "b", "c"), {"train": 70, "validation": 30}, "0" * 16, (0.5,), (0.3,))
RECIPE = Recipe(epochs=4, batch_size=16, mixup=0.2, lr=0.02)
LONG = replace(RECIPE, epochs=150)


def toy(seed: int, size: int) -> Memory:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (size,), generator=generator)
    return Memory(torch.rand(size, 1, 8, 8, generator=generator) * (1 + labels[:, None, None, None]) / 3, labels)


TRAIN, VALIDATION = toy(1, 70), toy(2, 30)


def net(classes: int = 3, width: int = 8) -> nn.Module:
    with seeded(5):
        return nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(2 * width, classes),
        )


def silent(epoch: int, metrics: Mapping[str, float]) -> None:
    del epoch, metrics


def train(
    module: nn.Module,
    folder: Path | None = None,
    recipe: Recipe = RECIPE,
    report: Callable[[int, Mapping[str, float]], None] = silent,
    seed: int = 3,
) -> Fitted:
    return fit(module, TRAIN, VALIDATION, INFO, recipe, seed=seed, device=CPU, folder=folder, report=report)


def same(a: nn.Module, b: nn.Module) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


class Stop(Exception):
    pass


def stop_after(last: int) -> Callable[[int, Mapping[str, float]], None]:
    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == last:
            raise Stop

    return report
