"""BANANAS (White et al. 2021, arXiv:1910.11858) on the cells of NAS-Bench-201, beside evolution and random search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.experiment import Experiment
from nas.problem import Problem, maximise
from nas.space import Json
from nas.strategies import Evolution, Random
from nas.strategies.bananas import Bananas
from predictors.neural import Networks
from predictors.paths import Paths


@final
@dataclass(frozen=True)
class Config:
    """Bayesian optimisation with an ensemble of networks that read the paths of a cell, on NAS-Bench-201.

    Example: nas run bananas --data digits --trials 30
    """

    data: str = "digits"
    """What is classified: see `nas search --help`."""
    cells: int = 1
    """Cells a stage; 5 in the paper of the space."""
    channels: int = 8
    """Channels of the first stage; 16 in the paper of the space."""
    first: int = 10
    """Random members at the start, as in the paper."""
    step: int = 5
    """Proposals between two fits of the ensemble: 10 in the paper, which trains 150 models."""
    members: int = 5
    """Networks of the ensemble, as in the paper."""
    layers: int = 10
    """Layers of each, as in the paper."""
    longest: int = 2
    """The most operations of a path: 2 of 3 leaves 30 of 155 paths, where the released code cuts them."""
    trials: int = 30
    """Models trained: 150 in the paper."""
    epochs: int = 6
    """Epochs a model."""
    images: int = 0
    """Images that train a model, 0 for all."""
    seed: int = 0
    """Of the split, the search and the trainings."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Algorithm 1: random models; then fit the ensemble, mutate the best, and train what a draw from it rates best."""
    data = run.data(config.data)
    space = run.space("nasbench201", data, cells=config.cells, channels=config.channels)
    problem, paths = Problem(space, (maximise("accuracy"),)), Paths(space, longest=config.longest)
    evaluate = run.scratch(space, data, epochs=config.epochs, images=config.images)

    def ensemble() -> Networks:
        return Networks(paths, members=config.members, layers=config.layers, seed=config.seed)

    bananas = Bananas(problem, ensemble, first=config.first, step=config.step)
    best: dict[str, Json] = {}
    for strategy in (bananas, Evolution(problem), Random(problem)):
        name = type(strategy).__name__.lower()
        found = run.search(
            problem, strategy=strategy, evaluate=evaluate, trials=config.trials, study=name, epochs=config.epochs
        )
        best[name] = (
            {"accuracy": found[0].metrics["accuracy"], "architecture": space.spell(found[0].arch)} if found else None
        )
    return best
