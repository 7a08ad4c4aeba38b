"""D-DARTS and DARTOpti: cells that are searched each for itself (Heuillet et al. 2021, arXiv:2108.09306)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import final

from experiments._cells import decided, distributed, drawn, heaviest, shown, spaces, tied, untied
from experiments._relaxed import found
from nas.derive import Way, thresholded
from nas.experiment import Experiment
from nas.problem import Problem
from nas.space import Json
from nas.training import Recipe
from search_spaces.dartopti import start


@final
@dataclass(frozen=True)
class Config:
    """Cells with alphas of their own, or from a network made by hand, beside tied cells and beside random ones.

    Example: nas run ddarts --epochs 5 --trials 3 --check 8
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    side: int = 14
    """To which images are brought, 0 for their own: 32 in the paper."""
    images: int = 1024
    """Images that train, half of them the alphas, 0 for all: 50,000 in the paper."""
    baseline: str = ""
    """resnet18, resnet50 or xception for DARTOpti; none for D-DARTS."""
    layers: tuple[int, int] = (3, 3)
    """Cells in the search, and alone, made of those: 8 and 8, 14 or 20 in the paper."""
    channels: tuple[int, int] = (4, 4)
    """In the search and alone: 32 36 in the paper."""
    operations: tuple[str, ...] = ("max_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3")
    """Of an edge: avg_pool_3x3, sep_conv_5x5, dil_conv_5x5 too in the paper; DARTOpti has its twelve."""
    epochs: int = 5
    """Of the search: 50 in the paper, and 5 before in which DARTOpti trains its baseline."""
    batch: int = 32
    """Images of a step: 72 in the paper."""
    rates: tuple[float, float] = (0.025, 0.2)
    """Of the weights and of the alphas: 0.005 0.003 in the paper, in over 200 times the steps."""
    weights: tuple[float, float] = (9.0, 0.7)
    """How much it counts that alphas decide themselves, and what a cell contributes."""
    way: Way = "sparse"
    """How cells are derived, at 0.85: two edges a node, or all ("edge")."""
    alone: int = 2
    """Epochs of the networks trained alone: 600 in the paper."""
    trials: int = 3
    """Networks of random search."""
    check: int = 8
    """Networks trained alone, to see how far ratings by the search's weights can be trusted."""
    seed: int = 0
    """Of the split, the supernets and the searches."""


def main(run: Experiment, c: Config) -> dict[str, Json]:
    """Search cells for themselves and tied, derive by the threshold, and train what comes out beside chance."""
    data, warmup = run.data(c.data, c.side), 5 if c.baseline else 0
    there = spaces(run, data, c.baseline, c.layers, c.channels, c.operations)
    shared = partial(run.shared, recipe=Recipe(epochs=c.epochs + warmup, batch_size=c.batch), images=c.images)
    method = distributed(there.own, c.baseline, c.weights, warmup, c.rates)
    folder = shared(Problem(there.own), data, method, study="own")
    mix = found(folder)["mix"]
    archs = {"own": thresholded(there.own, mix, way=c.way)}
    if there.tied:
        left = found(shared(Problem(there.tied), data, tied(c.rates), study="tied"))
    archs["beside"] = untied(there.own, there.tied, left["mix"]) if there.tied else there.own.parse(start(c.baseline))
    archs |= {f"random-{k}": arch for k, arch in enumerate(drawn(there.own, c.way, c.trials, c.seed), 1)}
    train = run.scratch(there.alone, data, epochs=c.alone, images=c.images, rated=2000)
    reached = run.rate(Problem(there.alone), list(archs.values()), train, study="alone", epochs=c.alone)
    rate = run.inherited(there.own, data, folder, calibration=512, images=1000)
    light = Problem(there.own, constraints=(heaviest(there.own, archs.values()),))
    check = run.check(light, data, rate, count=c.check, epochs=c.alone, images=c.images, rated=2000)
    return {**shown(there.own, archs, reached), "decided": decided(mix), "check": check}
