"""Single Path One-Shot NAS with Uniform Sampling (Guo et al. 2020, arXiv:1904.00420)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from experiments._oneshot import checked, searched
from nas.experiment import Experiment
from nas.problem import Problem, at_most
from nas.roles import Strategy
from nas.space import Json
from nas.strategies import Random
from nas.strategies.generations import Generations
from nas.training import Recipe
from nas.training.rules import Uniform
from nas.training.sharing import ByRule


@final
@dataclass(frozen=True)
class Config:
    """A supernet trained by uniform sampling, then evolution on inherited weights.

    Example: nas run spos --epochs 10 --trials 100 --check 16
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    images: int = 6000
    """Images that train, 0 for all."""
    widths: tuple[int, ...] = (32, 64, 128)
    """Channels of the stages: 64 160 320 640 in the paper, with a head of 1024."""
    depths: tuple[int, ...] = (2, 2, 2)
    """Choice blocks of the stages: 4 4 8 4 in the paper."""
    epochs: int = 6
    """Of the supernet: 120 in the paper, with batches of 1024."""
    macs: float = 0.0
    """No network has more, 0 for no limit: 330e6 in the paper, for images of 224."""
    trials: int = 30
    """Networks rated by inherited weights, by each strategy: 1,000 in the paper."""
    population: int = 10
    """Of evolution: 50 in the paper, of which half mutate and half cross."""
    alone: int = 3
    """Epochs of a network trained alone: 240 in the paper."""
    check: int = 8
    """Networks trained alone, to see how far the ratings can be trusted."""
    seed: int = 0
    """Of the split, the supernet and the search."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Train all paths, one a step; then search under hard limits, statistics anew for each path; train the best."""
    data = run.data(config.data)
    space = run.space("shufflenet", data, widths=config.widths, depths=config.depths, head=4 * config.widths[-1])
    problem = Problem(space, constraints=(at_most("macs", config.macs),) if config.macs else ())
    method = ByRule(Uniform(), {"affine": False})  # the supernet's norms have no scale nor shift
    recipe = Recipe(epochs=config.epochs, weight_decay=4e-5, ema=0.0)
    supernet = run.shared(problem, data, method, recipe=recipe, images=config.images)
    rate = run.inherited(space, data, supernet, images=2000)
    many, half = config.population, config.population // 2
    evolution = Generations(problem, first=many, size=many, parents=half, mutations=half, crossovers=half)
    strategies: dict[str, Strategy] = {"evolution": evolution, "random": Random(problem)}
    found = searched(run, problem, data, rate, config, strategies)
    return {"seconds": run.timed(), **found, "check": checked(run, problem, data, rate, config)}
