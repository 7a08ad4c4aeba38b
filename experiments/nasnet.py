"""NASNet: cells found in a small network by PPO, stacked to a larger one (Zoph et al. 2018, arXiv:1707.07012)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

from experiments._drawn import drawn
from experiments._stacked import stacked
from nas.experiment import Experiment
from nas.problem import Problem
from nas.roles import Strategy
from nas.space import Json
from nas.strategies import Random
from nas.strategies.controller import Controller
from nas.strategies.ppo import PPO


@final
@dataclass(frozen=True)
class Config:
    """A policy over a normal and a reduction cell, taught by PPO; the best is stacked and trained with dropped paths.

    Example: nas run nasnet --data digits --trials 40
    """

    data: str = "digits"
    """What is classified: see `nas search --help`."""
    images: int = 0
    """Images that train a network, 0 for all: 45,000 in the paper."""
    blocks: int = 2
    """Blocks of a cell: 5 in the paper."""
    operations: tuple[str, ...] = ("identity", "sep_3x3", "sep_5x5", "avg_3x3", "max_3x3", "conv_1x3_3x1")
    """Those of a block: these and 7 more in the paper."""
    cells: int = 1
    """Normal cells in each third of the network, N: 2 in the paper's search."""
    filters: int = 4
    """Channels of the first third, F: 32 in the paper's search."""
    trials: int = 30
    """Networks trained by each search: some 20,000 in the paper."""
    epochs: int = 3
    """Epochs of each: 20 in the paper."""
    batch: int = 4
    """Networks in each update of the policy."""
    rate: float = 0.008
    """Of the policy: 0.00035 in the paper."""
    large: tuple[int, int] = (2, 8)
    """Cells and filters of the stacked networks: 6 32 in the paper."""
    retrain: int = 5
    """Epochs of the stacked networks: 600 in the paper."""
    drop_path: float = 0.4
    """Rate of ScheduledDropPath in the last cell, at the end of the training: 0.4 in the released code."""
    seed: int = 0
    """Of the split, the searches and the trainings."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Search small, stack the best of PPO and of chance, train them with ScheduledDropPath, and PPO's without."""
    data = run.data(config.data)
    shape = {"blocks": config.blocks, "operations": config.operations}
    space = run.space("nasnet", data, cells=config.cells, filters=config.filters, **shape)
    problem, controller = Problem(space), replace(Controller.nasnet(), lr=config.rate)
    evaluate = run.scratch(space, data, epochs=config.epochs, images=config.images)
    taught: Strategy = PPO(problem, controller=controller, batch=config.batch)
    strategies = {"ppo": taught, "random": Random(problem)}
    best, told = drawn(run, problem, evaluate, strategies, trials=config.trials, epochs=config.epochs)
    asked: dict[str, Any] = {**shape, "epochs": config.retrain, "images": config.images}
    asked |= dict(zip(("cells", "filters"), config.large, strict=True))
    dropped = stacked(run, data, best, study="stacked", drop_path=config.drop_path, **asked)
    whole = stacked(run, data, {"ppo": best["ppo"]} if "ppo" in best else {}, study="whole", **asked)
    cells: Json = {by: space.spell(arch) for by, arch in best.items()}
    return {"space": space.size, **told, "dropped": dropped, "whole": whole, "cells": cells}
