"""AmoebaNet: regularised evolution over the cells of NASNet (Real et al. 2019, arXiv:1802.01548)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from experiments._drawn import drawn
from experiments._stacked import stacked
from nas.experiment import Experiment
from nas.problem import Problem
from nas.roles import Strategy
from nas.space import Json
from nas.strategies import Evolution, Random


@final
@dataclass(frozen=True)
class Config:
    """Evolution of a normal and a reduction cell in a small network; the best are stacked to a larger one.

    Example: nas run amoebanet --data digits --trials 30
    """

    data: str = "digits"
    """What is classified: see `nas search --help`."""
    images: int = 0
    """Images that train a network, 0 for all: 45,000 in the paper."""
    blocks: int = 2
    """Blocks of a cell: 5 in the paper."""
    operations: tuple[str, ...] = ("identity", "sep_3x3", "sep_5x5", "avg_3x3", "max_3x3", "conv_1x7_7x1")
    """Those of a block: the paper has sep_7x7 and dilated_3x3 as well."""
    cells: int = 1
    """Normal cells in each third of the network, N: 3 in the paper's search."""
    filters: int = 4
    """Channels of the first third, F: 24 in the paper's search."""
    population: int = 10
    """P: 100 in the paper."""
    sample: int = 4
    """S, the size of a tournament: 25 in the paper."""
    trials: int = 30
    """Networks trained by each search: 20,000 in the paper."""
    epochs: int = 3
    """Epochs of each: 25 in the paper."""
    large: tuple[int, int] = (2, 8)
    """Cells and filters of the stacked networks: 6 32 and 6 36 in the paper."""
    retrain: int = 5
    """Epochs of the stacked networks: 600 in the paper."""
    drop_path: float = 0.2
    """Rate of ScheduledDropPath in the last cell of the stacked networks, at the end of their training."""
    seed: int = 0
    """Of the split, the searches and the trainings."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Algorithm 1, where a mutation changes one input or one operation; then the best of each search, stacked."""
    data = run.data(config.data)
    shape = {"blocks": config.blocks, "operations": config.operations}
    space = run.space("nasnet", data, cells=config.cells, filters=config.filters, **shape)
    problem = Problem(space)
    evaluate = run.scratch(space, data, epochs=config.epochs, images=config.images)
    evolution: Strategy = Evolution(problem, config.population, config.sample)
    strategies = {"evolution": evolution, "random": Random(problem)}
    best, told = drawn(run, problem, evaluate, strategies, trials=config.trials, epochs=config.epochs)
    more: dict[str, Any] = {**shape, "drop_path": config.drop_path}
    more |= dict(zip(("cells", "filters"), config.large, strict=True))
    large = stacked(run, data, best, study="stacked", epochs=config.retrain, images=config.images, **more)
    cells: Json = {by: space.spell(arch) for by, arch in best.items()}
    return {"space": space.size, **told, "stacked": large, "cells": cells}
