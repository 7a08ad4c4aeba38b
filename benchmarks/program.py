"""Exact choice of one option a layer, beside HiGHS alone and beside regularised evolution, on the same instances.

    python benchmarks/program.py [--instances 10]

The values are those of a ridge that was fitted to 300 rated architectures of the space, the budgets lie at 45 % of what
the options span. Milliseconds are the median and the worst over the instances, from tables to the proved best
architecture. "ratio" is the time of HiGHS on the same program over ours. Evolution (population 50, tournament 10) is
told the predictor's value and the budgets that are broken; printed is how far below the optimum it ends.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from nas.problem import Problem, State, Trial, at_most
from nas.programs.additive import Additive, columns_of
from nas.programs.choose import Chooser, Limit
from nas.programs.milp import Program
from nas.programs.tables import Tables, costs
from nas.space import Space
from nas.strategies import Evolution
from nas.tree import Chain, Choice, Identity
from search_spaces import SPACES

T = TypeVar("T")
RATED = 300


def chain(layers: int, options: int) -> Space:
    """A space of `layers` choices among `options`, which build to nothing: the costs are given."""
    items = [Choice.over(f"layer{i}", **{f"o{k}": Identity() for k in range(options)}) for i in range(layers)]
    return Space("chain", Chain.seq(*items), (1,))


def instance(space: Space, budgets: int, seed: int, chooser: Chooser) -> tuple[Tables, list[Limit]]:
    """A predictor fitted to rated architectures, and budgets on random costs that rise with the options."""
    rng = np.random.default_rng(seed)
    worth = {name: np.sort(rng.random(len(c.options))) for name, c in space.choices.items()}
    archs = [space.sample(rng) for _ in range(RATED)]
    y = [sum(worth[n][space.choices[n].index(label)] for n, label in a.choices) for a in archs]
    model = Additive.fit(archs, np.array(y) + 0.1 * rng.standard_normal(RATED), columns_of(space))
    limits = []
    for _ in range(budgets):
        parts = {(name,): np.sort(rng.random(len(c.options))) for name, c in space.choices.items()}
        least, most = sum(p.min() for p in parts.values()), sum(p.max() for p in parts.values())
        limits.append((Tables(space, parts), float(least + 0.45 * (most - least))))
    return model.tables(chooser.openings), limits


def timed(once: Callable[[], T]) -> tuple[T, float]:
    """What a call gives, and its milliseconds."""
    began = time.perf_counter()
    made = once()
    return made, 1e3 * (time.perf_counter() - began)


def evolved(space: Space, objective: Tables, limits: list[Limit], checks: tuple[int, ...], seed: int) -> list[float]:
    """The best value within the budgets that evolution has found after so many evaluations."""
    problem = Problem(space, constraints=tuple(at_most(f"b{i}", roof) for i, (_, roof) in enumerate(limits)))
    strategy, best, found = Evolution(problem, 50, 10), -np.inf, []
    for number in range(1, checks[-1] + 1):
        proposal = strategy.ask(np.random.default_rng((seed, number)))
        assert proposal is not None  # evolution always proposes
        metrics = {f"b{i}": table(proposal.arch) for i, (table, _) in enumerate(limits)}
        metrics["accuracy"] = objective(proposal.arch)
        strategy.tell(Trial(number, proposal, State.DONE, metrics))
        if not problem.violation(metrics):
            best = max(best, metrics["accuracy"])
        if number in checks:
            found.append(best)
    return found


def line(name: str, ours: list[float], highs: list[float], asked: str, short: str = "") -> None:
    """One row of the table."""
    mine, theirs = statistics.median(ours), statistics.median(highs) if highs else float("nan")
    row = f"{name:34}{mine:9.1f}{max(ours):9.1f}{asked:>8}"
    print(row + (f"{theirs:10.1f}{theirs / mine:8.1f}" if highs else f"{'':18}") + f"   {short}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--instances", type=int, default=10)
    count = parser.parse_args().instances
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; milliseconds")
    print(
        f"{'instance':34}{'median':>9}{'worst':>9}{'asked':>8}{'HiGHS':>10}{'ratio':>8}   evolution, 1,000 and 10,000"
    )
    for layers, options, asked in ((20, 8, "100"), (53, 9, "300")):
        space = chain(layers, options)
        chooser = Chooser(space)
        for budgets in (1, 3):
            ours, highs, short = [], [], ""
            for seed in range(count):
                objective, limits = instance(space, budgets, seed, chooser)
                found, spent = timed(lambda c=chooser, o=objective, b=limits: c.ranked(o, b)[0])
                solved, theirs = timed(lambda o=objective, b=limits: Program(o, b).solve())
                assert solved is not None  # the budgets can be met
                assert solved[1] + 1e-6 >= found.value, "the bound of HiGHS is below our value"
                ours.append(spent)
                highs.append(theirs)
                if seed == 0:
                    ends = evolved(space, objective, limits, (1000, 10_000), seed)
                    short = ", ".join(f"-{100 * (found.value - e) / abs(found.value):.2f} %" for e in ends)
            line(f"{layers} x {options}, {budgets} budgets", ours, highs, asked, short)
        fronts = []
        for seed in range(count):
            objective, limits = instance(space, 1, seed, chooser)
            points, spent = timed(lambda c=chooser, o=objective, b=limits: c.front(o, b[0][0]))
            fronts.append(spent)
        line(f"{layers} x {options}, front of {len(points)} points", fronts, [], "50" if layers == 20 else "")
    space = SPACES["ofa"]()
    made, spent = timed(lambda: costs(space))
    line("ofa, tables of MACs and params", [spent], [], "seconds")
    chooser, rng = Chooser(space), np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(RATED)]
    model = Additive.fit(archs, rng.random(RATED), columns_of(space)).tables(chooser.openings)
    limits = [(made["macs"], 260e6), (made["params"], 4.6e6)]
    _, ours_ms = timed(lambda: chooser.ranked(model, limits))
    _, highs_ms = timed(lambda: Program(model, limits).solve())
    line("ofa, 2 budgets", [ours_ms], [highs_ms], "")


if __name__ == "__main__":
    main()
