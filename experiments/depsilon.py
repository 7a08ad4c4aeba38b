"""Delayed epsilon-shrinking (Khare et al. 2024, arXiv:2407.06167): sub-networks join a half-trained full network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from experiments._oneshot import between, checked, named, searched
from nas.experiment import Experiment
from nas.problem import Problem
from nas.roles import Strategy
from nas.space import Json
from nas.strategies import Evolution, Random
from nas.training import Recipe
from nas.training.rules import Delayed
from nas.training.sharing import ByRule


@final
@dataclass(frozen=True)
class Config:
    """Supernets whose sub-networks join at different times of the training, by accuracy and by cost.

    Example: nas run depsilon --starts 0 0.2 0.5 0.8 --epochs 10
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    images: int = 2000
    """Images that train, 0 for all."""
    widths: tuple[int, ...] = (8, 16)
    """Channels of the stages; `--space ofa` has its own."""
    space: str = "mobile"
    """`ofa` is the paper's, for images of 224 (MobileNetV3) and of 32."""
    starts: tuple[float, ...] = (0.0, 0.5)
    """When the others join, as shares of the training: 0.556 in the paper; 0 is the sandwich of BigNAS."""
    ramp: float = 0.02
    """The share in which they come in: 5 of 270 epochs in the paper."""
    epochs: int = 4
    """Of each supernet: 270 in the paper."""
    trials: int = 20
    """Networks rated by inherited weights, by each strategy."""
    alone: int = 3
    """Epochs of a network trained alone."""
    check: int = 8
    """Networks trained alone, to see how far the ratings can be trusted."""
    seed: int = 0
    """Of the split, the supernets and the search."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """The full network alone until `start`, then g = g_max + beta(t) (g_min + g_r + g_r'), beta from 0 to 1."""
    data = run.data(config.data)
    more = {"widths": config.widths, "multipliers": (1.0,), "depths": (1, 2), "kernels": (3, 5), "head": 64}
    space = run.space(config.space, data, **(more if config.space == "mobile" else {}))
    problem, recipe = Problem(space), Recipe(epochs=config.epochs, ema=0.0, weight_decay=3e-5)
    made: dict[str, Json] = {}
    rates = {}
    for start in config.starts:
        method, name = ByRule(Delayed(start, min(config.ramp, start)), {}), f"start {start:g}"
        folder = run.shared(problem, data, method, recipe=recipe, images=config.images, study=name.replace(" ", "-"))
        rates[start] = run.inherited(space, data, folder, images=2000)
        reached = named(run, problem, rates[start], between(problem), f"{name.replace(' ', '-')}-ratings")
        passes = 1 * start + 4 * (1 - start)
        made[name] = {**reached, "passes a step": passes, "seconds": run.timed(name.replace(" ", "-"))}
    last = rates[config.starts[-1]]
    strategies: dict[str, Strategy] = {"evolution": Evolution(problem), "random": Random(problem)}
    found = searched(run, problem, data, last, config, strategies)
    return {**made, **found, "check": checked(run, problem, data, last, config)}
