"""Strategies beside each other on a table, over many seeds."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, final

import numpy as np

from nas import plugins
from nas.bench.simulate import Course, simulate
from nas.bench.table import Table
from nas.problem import Constraint, Objective, Problem

CHUNK = 5
"""Searches that a process does before it says so."""
Watch: TypeAlias = Callable[[str, int], None]


@final
@dataclass(frozen=True)
class Budget:
    """What one search may spend: evaluations, or simulated seconds, or the first of both."""

    evals: int | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        parts = (f"{self.evals} evaluations" if self.evals else "", f"{self.seconds:g} s" if self.seconds else "")
        return " or ".join(filter(None, parts))


@final
@dataclass(frozen=True)
class Wanted:
    """What is searched for beside the search column: limits on costs, and further objectives."""

    limits: tuple[Constraint, ...] = ()
    more: tuple[Objective, ...] = ()


@final
@dataclass(frozen=True, eq=False)
class Result:
    """What a strategy reached on a table: a search for each seed."""

    strategy: str
    courses: tuple[Course, ...] = field(repr=False)

    @property
    def report(self) -> list[float]:
        """The report column's value of what each search chose; those that chose nothing are left out."""
        return [c.chosen[1] for c in self.courses if np.isfinite(c.chosen[1])]

    @property
    def search(self) -> list[float]:
        """The search column's value of what each search chose."""
        return [c.chosen[0] for c in self.courses if np.isfinite(c.chosen[0])]

    @property
    def evals(self) -> float:
        """Evaluations of a search, on average."""
        return float(np.mean([len(c.at) for c in self.courses]))

    @property
    def rate(self) -> float:
        """Asks, each with its tell, in a second of real time."""
        return sum(c.asked for c in self.courses) / max(1e-9, sum(c.asking for c in self.courses))

    @property
    def seconds(self) -> float:
        """Simulated seconds of a search, on average."""
        return float(np.mean([c.at[-1] if c.at else 0.0 for c in self.courses]))

    @property
    def ended(self) -> str:
        """Why searches ended before their budget was used up, and how many did; "" for none."""
        early = [c.ended for c in self.courses if c.ended]
        return f"{early[0]} ({len(early)} of {len(self.courses)} searches)" if early else ""

    def regret(self, table: Table, points: Sequence[int]) -> list[tuple[int, float, float, float]]:
        """At numbers of evaluations: how far the report value of the best so far is from the table's best.

        The mean over seeds with its interval of 95 % (normal); a search that ended earlier stays where it was.
        """
        made = []
        for n in points:
            values = [c.report[min(n, len(c.report)) - 1] for c in self.courses if c.report]
            gaps = np.abs(table.best - np.array(values))
            if len(gaps):
                half = 1.96 * float(gaps.std(ddof=1)) / len(gaps) ** 0.5 if len(gaps) > 1 else 0.0
                made.append((n, float(gaps.mean()), float(gaps.mean()) - half, float(gaps.mean()) + half))
        return made


def compare(
    table: Table,
    strategies: Sequence[str],
    budget: Budget,
    *,
    seeds: int,
    first: int = 0,
    wanted: Wanted | None = None,
    processes: int = 0,
    watch: Watch = lambda strategy, done: None,
) -> Iterator[Result]:
    """Each strategy's searches with the seeds first, first + 1, ..., in as many processes as there are cores.

    strategies: names, or FILE.py:NAME.
    """
    problem = table.problem(*((wanted.limits, wanted.more) if wanted else ()))
    for name in strategies:
        plugins.strategy(name, problem)  # what cannot be made is refused before anything runs
    processes = processes or len(os.sched_getaffinity(0))
    numbers = range(first, first + seeds)
    chunks = [list(numbers[k : k + CHUNK]) for k in range(0, seeds, CHUNK)]
    if processes == 1 or len(chunks) == 1:
        _prepare(table, problem, threads=False)
        yield from (_gathered(name, map(partial(_searched, name, budget), chunks), watch) for name in strategies)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _prepare, (table, problem)) as pool:
        for name in strategies:
            yield _gathered(name, pool.map(partial(_searched, name, budget), chunks), watch)


def _gathered(name: str, parts: Iterator[list[Course]], watch: Watch) -> Result:
    courses: list[Course] = []
    for part in parts:
        courses += part
        watch(name, len(courses))
    return Result(name, tuple(courses))


_GIVEN: list[tuple[Table, Problem]] = []
"""What a process searches: sent to it once."""


def _prepare(table: Table, problem: Problem, threads: bool = True) -> None:
    _GIVEN[:] = [(table, problem)]
    if threads:
        import torch  # noqa: PLC0415  # only a process of its own may change its threads

        torch.set_num_threads(1)


def _searched(name: str, budget: Budget, seeds: Sequence[int]) -> list[Course]:
    table, problem = _GIVEN[0]
    make = partial(plugins.strategy, name)
    return [
        simulate(table, make, evals=budget.evals, seconds=budget.seconds, seed=seed, problem=problem) for seed in seeds
    ]
