"""A search on a table: ask, look up, tell; time is simulated."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import numpy as np

from nas.bench.table import Table
from nas.problem import Problem, Proposal, State, Trial
from nas.roles import Strategy

IDLE = 1000
"""Proposals in a row without a new result after which a search is given up."""


@final
@dataclass
class Course:
    """How a search went, a number for each evaluation: simulated seconds, best so far by the search column, and its
    value in the report column. chosen: both of what was chosen at the end. asking: seconds in ask and tell; ended:
    why, before its budget was used up.
    """

    at: list[float] = field(default_factory=list)
    search: list[float] = field(default_factory=list)
    report: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    chosen: tuple[float, float] = (float("nan"), float("nan"))
    asked: int = 0
    asking: float = 0.0
    ended: str = ""


def simulate(
    table: Table,
    make: Callable[[Problem], Strategy],
    *,
    evals: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    problem: Problem | None = None,
) -> Course:
    """One search; it ends with `evals` evaluations, or with the first at which `seconds` are over.

    Every row that is told counts, a repeated one too, as in the published protocols. The strategy's choice is the best
    of the highest budget by the search column, or what its `chosen()` says, if it has one. One evaluation at a time.
    """
    search = _Search(table, make, problem or table.problem(), seed)
    search.run(evals, seconds)
    return search.course


@final
class _Search:
    def __init__(self, table: Table, make: Callable[[Problem], Strategy], problem: Problem, seed: int) -> None:
        self.table, self.problem, self.seed = table, problem, seed
        self.strategy, self.course = make(problem), Course()
        self.more = tuple(name for o in problem.objectives[1:] for name in o.reads if name in table.columns)
        self.sign = 1.0 if table.goal == "max" else -1.0
        self.seen: set[tuple[int, int | None]] = set()
        self.paid: dict[int, tuple[int, int | None]] = {}
        self.best: tuple[int, float, int] | None = None
        self.spent, self.fresh = 0.0, False

    def run(self, evals: int | None, seconds: float | None) -> None:
        idle, course = 0, self.course
        while (evals is None or len(course.at) < evals) and (seconds is None or self.spent < seconds):
            if not self.turn():
                break
            idle = 0 if self.fresh else idle + 1
            if idle == IDLE:
                course.ended = f"proposed nothing new {IDLE} times in a row"
                break
        self.choose()

    def turn(self) -> bool:
        """One proposal and what becomes of it; whether there was one."""
        course, number = self.course, self.course.asked + 1
        rng = np.random.default_rng((self.seed, number))
        began = time.perf_counter()
        proposal = self.strategy.ask(rng)
        course.asking += time.perf_counter() - began
        if proposal is None:
            course.ended = "proposes nothing more"
            return False
        course.asked = number
        trial = self.ended(number, proposal)
        began = time.perf_counter()
        self.strategy.tell(trial)
        course.asking += time.perf_counter() - began
        if trial.state in (State.DONE, State.REPEAT):
            self.note(trial, self.table.row[trial.arch])
        return True

    def ended(self, number: int, proposal: Proposal) -> Trial:
        row = self.table.row.get(proposal.arch)
        screening = self.problem.screen(proposal.arch)
        self.fresh = False
        if row is None or screening.broken:
            reason = screening.broken or "the table has no such row"
            return Trial(number, proposal, State.INFEASIBLE, screening.metrics, reason=reason)
        metrics = self.table.told(row, proposal.budget, self.more)
        if not np.isfinite(metrics[self.table.search]):
            return Trial(number, proposal, State.FAILED, screening.metrics, reason="nan", error="not measured")
        self.fresh = (row, proposal.budget) not in self.seen
        self.seen.add((row, proposal.budget))
        paid = self.paid.get(proposal.parent or 0)
        cost = self.table.cost(row, proposal.budget, paid[1] if paid is not None and paid[0] == row else None)
        self.paid[number] = (row, proposal.budget)
        self.spent += cost
        state = State.DONE if self.fresh else State.REPEAT
        return Trial(number, proposal, state, {**screening.metrics, **metrics}, seconds=cost)

    def note(self, trial: Trial, row: int) -> None:
        budget = trial.proposal.budget or self.table.full
        found = (budget, self.sign * trial.metrics[self.table.search], row)
        if self.best is None or found[:2] > self.best[:2]:
            self.best = found
        search, report = self.both(self.best[2])
        course = self.course
        course.at.append(self.spent)
        course.rows.append(row)
        course.search.append(search)
        course.report.append(report)

    def choose(self) -> None:
        """The best that was told; where another column judges, what the strategy says, if it weighs that itself."""
        chosen = getattr(self.strategy, "chosen", None) if self.table.report != self.table.search else None
        arch = chosen() if chosen is not None else None
        if arch is not None:
            self.course.chosen = self.both(self.table.row[arch])
        elif self.best is not None:
            self.course.chosen = self.both(self.best[2])

    def both(self, row: int) -> tuple[float, float]:
        columns = self.table.columns
        return float(columns[self.table.search][row]), float(columns[self.table.report][row])
