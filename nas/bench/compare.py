"""Strategies beside each other on a table, over many seeds."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, final

import numpy as np

from nas import plugins
from nas.bench.simulate import Course, simulate
from nas.bench.table import Table
from nas.errors import UserError
from nas.problem import Problem

CHUNK = 5
"""Searches that a process does before it says so."""
WORTH = 8.0
"""Seconds of work for which further processes are started; that takes them some four seconds."""
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
    problem: Problem | None = None,
    processes: int = 0,
    watch: Watch = lambda strategy, done: None,
) -> Iterator[Result]:
    """Each strategy's searches with the seeds first, first + 1, ..., in as many processes as there are cores.

    strategies: names, or FILE.py:NAME. problem: the table's, with limits or further objectives.
    """
    problem = problem or table.problem()
    for name in strategies:  # what cannot be made is refused before anything runs
        if plugins.takes(name, "budgets") and not table.fidelities:
            raise UserError(f"{name} trains for several lengths, {table.name} knows one", fix="choose another strategy")
        plugins.strategy(name, problem, budgets=tuple(table.fidelities))
    numbers = range(first, first + seeds)
    chunks = [list(numbers[k : k + CHUNK]) for k in range(0, seeds, CHUNK)]
    _GIVEN[:] = [(table, problem)]
    with ExitStack() as stack:
        pool: ProcessPoolExecutor | None = None
        for name in strategies:
            work, began = partial(_searched, name, budget), time.monotonic()
            courses = work(chunks[0])
            watch(name, len(courses))
            long = (time.monotonic() - began) * (len(chunks) - 1) > WORTH
            if long and pool is None and processes != 1:
                context = multiprocessing.get_context("spawn")
                cores = processes or len(os.sched_getaffinity(0))
                pool = stack.enter_context(ProcessPoolExecutor(cores, context, _prepare, (table, problem)))
            for part in (pool.map if pool and long else map)(work, chunks[1:]):
                courses += part
                watch(name, len(courses))
            yield Result(name, tuple(courses))


_GIVEN: list[tuple[Table, Problem]] = []
"""What a process searches: sent to it once."""


def _prepare(table: Table, problem: Problem) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # a core each; read when a strategy first imports a library of threads
    _GIVEN[:] = [(table, problem)]


def _searched(name: str, budget: Budget, seeds: Sequence[int]) -> list[Course]:
    table, problem = _GIVEN[0]
    make = partial(plugins.strategy, name, budgets=tuple(table.fidelities))
    return [
        simulate(table, make, evals=budget.evals, seconds=budget.seconds, seed=seed, problem=problem) for seed in seeds
    ]
