"""DARTS: Differentiable Architecture Search (Liu et al. 2019, arXiv:1806.09055), its collapse and the cures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import final

from experiments._relaxed import described, found, looked_up, shown, summed, ways
from nas.derive import derive
from nas.experiment import Experiment
from nas.problem import Problem
from nas.space import Json
from nas.strategies import Random
from nas.strategies.argmax import Argmax
from nas.training import Recipe


@final
@dataclass(frozen=True)
class Config:
    """Alphas of first and of second order and of a cure, and random search; what each finds is trained alone.

    Example: nas run darts --epochs 4 --cure skips --trials 3 --check 8
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    images: int = 1600
    """Images that train, half of them the alphas, 0 for all: 50,000 in the paper."""
    space: str = "nasbench201"
    """nasbench201, or darts, the paper's."""
    size: tuple[int, int] = (1, 8)
    """Cells (of each stage; for darts of all) and channels in the search: 5 16 for nasbench201, 8 16 for darts."""
    epochs: int = 3
    """Of each search: 50 in the paper."""
    batch: int = 32
    """Images of a step: 64 in the paper."""
    alpha_rate: float = 0.03
    """The alphas' learning rate: 0.0003 in the paper, whose search has 200 times the steps."""
    cure: str = "skips"
    """skips (DARTS+, arXiv:1909.06035), sharpness (arXiv:1909.09656) or partial (PC-DARTS, arXiv:1907.05737)."""
    start: int = 1
    """The first epoch in which a cure acts, 10 for sharpness; for partial 15, so long the alphas are frozen."""
    partial: int = 4
    """PC-DARTS sends one of so many parts of the channels through the choices."""
    alone_size: tuple[int, int] = (1, 8)
    """As `size`, of the networks trained alone: 5 16 for nasbench201, 20 36 for darts."""
    alone: int = 2
    """Epochs of the networks trained alone: 600 in the paper, 200 in the tables of nasbench201."""
    trials: int = 4
    """Networks of random search."""
    check: int = 8
    """Networks trained alone, to see how far ratings by the first order's weights can be trusted."""
    table: str = ""
    """A Parquet file of measured cells of nasbench201, columns `arch` and c10_test_200ep; none by default."""
    seed: int = 0
    """Of the split, the supernets and the searches."""


def main(run: Experiment, c: Config) -> dict[str, Json]:
    """Search three ways, then train what was found alone, beside random networks."""
    data, never = run.data(c.data), ("none",) if c.space == "darts" else ()
    space = run.space(c.space, data, **described(c.space, *c.size))
    bare = run.space(c.space, data, **described(c.space, *c.alone_size))
    problem, recipe = Problem(space), Recipe(epochs=c.epochs, batch_size=c.batch)
    methods = ways(c.cure, c.space, c.partial, c.start, c.alpha_rate)
    folders = {n: run.shared(problem, data, m, recipe=recipe, images=c.images, study=n) for n, m in methods.items()}
    alone = run.scratch(bare, data, epochs=c.alone, images=c.images, rated=2000)
    train = partial(run.search, Problem(bare), evaluate=alone, epochs=c.alone)
    made: dict[str, Json] = {}
    for name, left in ((name, found(folder)) for name, folder in folders.items()):
        best = Argmax(Problem(bare), left["mix"], never=never)
        trials = train(strategy=best, trials=1, study=f"{name}-alone")
        published = looked_up(c.table, "c10_test_200ep", bare, derive(bare, left["mix"], never=never))
        made[name] = {**shown(bare, left, never), "search_s": run.timed(name), **summed(trials), **published}
    drawn = train(strategy=Random(Problem(bare)), trials=c.trials, study="random")
    rate = run.inherited(space, data, folders["first"], calibration=512, images=1000)
    check = run.check(problem, data, rate, count=c.check, epochs=c.alone, images=c.images, rated=2000)
    return {**made, "random": summed(drawn), "check": check}
