"""Regularised evolution (Real et al. 2019, arXiv:1802.01548) on the cells of NAS-Bench-201, beside random search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.experiment import Experiment
from nas.problem import Problem, maximise
from nas.space import Json
from nas.strategies import Evolution, Random


@final
@dataclass(frozen=True)
class Config:
    """Regularised evolution on NAS-Bench-201.

    Example: nas run aging_evolution --data digits --trials 30
    """

    data: str = "digits"
    """What is classified: see `nas search --help`."""
    cells: int = 1
    """Cells a stage; 5 in the paper of the space."""
    channels: int = 16
    """Channels of the first stage."""
    population: int = 10
    """P: 100 in the paper, for 20,000 models."""
    sample: int = 3
    """S, the size of a tournament: 25 in the paper."""
    trials: int = 30
    """Models trained."""
    epochs: int = 10
    """Epochs a model."""
    images: int = 0
    """Images that train a model, 0 for all."""
    seed: int = 0
    """Of the split, the search and the trainings."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Algorithm 1: a population of random models; then mutate a tournament's winner, and let the oldest die."""
    data = run.data(config.data)
    space = run.space("nasbench201", data, cells=config.cells, channels=config.channels)
    problem = Problem(space, (maximise("accuracy"),))
    evaluate = run.scratch(space, data, epochs=config.epochs, images=config.images)
    best = {}
    for strategy in (Evolution(problem, config.population, config.sample), Random(problem)):
        name = type(strategy).__name__.lower()
        found = run.search(
            problem, strategy=strategy, evaluate=evaluate, trials=config.trials, study=name, epochs=config.epochs
        )
        best[name] = (
            {"accuracy": found[0].metrics["accuracy"], "architecture": space.spell(found[0].arch)} if found else None
        )
    return best
