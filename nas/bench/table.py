"""A table of measured architectures, which stands for training them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from nas.bench.known import Known
from nas.errors import UserError, nearest
from nas.problem import Constraint, Metrics, Objective, Problem
from nas.roles import Array
from nas.space import Architecture, Rng, Space


@final
@dataclass(frozen=True, eq=False)
class Table:
    """Rows of architectures of a space, and columns of numbers, each (rows,).

    search: the column that a strategy is told; report: the one that its choice is judged by, in the end. goal: whether
    both are to be large or small. seconds: what telling one row costs in simulated time, (rows,). costs: the columns
    that are known beforehand, for limits. fidelities: the column of each budget; each costs its share of the seconds,
    which are those of the budget whose column is `search`. published: what others reached.
    """

    name: str
    space: Space
    archs: tuple[Architecture, ...]
    columns: Mapping[str, Array]
    search: str
    report: str
    goal: Literal["max", "min"] = "max"
    seconds: Array | None = None
    costs: tuple[str, ...] = ()
    fidelities: Mapping[int, str] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for column in (self.search, self.report, *self.costs, *self.fidelities.values()):
            if column not in self.columns:
                raise nearest(column, self.columns, what=f"column of {self.name}")
        if len(self.archs) != len(self.row):
            raise ValueError(f"{self.name} has {len(self.archs)} rows of {len(self.row)} architectures")
        if self.fidelities and self.search not in self.fidelities.values():
            raise ValueError(f"{self.name}: the search column {self.search} belongs to no budget")

    @cached_property
    def row(self) -> Mapping[Architecture, int]:
        """The number of the row of an architecture, or of one that is the same network."""
        return Known({arch: n for n, arch in enumerate(self.archs)}, self.space.same)

    @property
    def best(self) -> float:
        """The best value of the report column: no choice can be better."""
        column = self.columns[self.report]
        return float(np.nanmax(column) if self.goal == "max" else np.nanmin(column))

    def problem(self, limits: tuple[Constraint, ...] = (), more: tuple[Objective, ...] = ()) -> Problem:
        """What a strategy is given: the space, whose costs are looked up, the search column, and limits on costs.

        Each row counts for itself, as equal networks were measured apart; architectures of one row are one network.
        """
        for limit in limits:
            if limit.metric not in self.columns:
                raise nearest(limit.metric, self.columns, what=f"column of {self.name}")
        known = dict.fromkeys((*self.costs, *(c.metric for c in limits)))
        looked_up = Costs({name: self.columns[name] for name in known}, self.row)
        return Problem(
            replace(self.space, costs=looked_up, same=looked_up.name),
            (Objective(self.search, self.goal), *more),
            limits,
        )

    def column(self, budget: int | None) -> str:
        """The column that a budget buys; UserError where there is no such budget."""
        if budget is None:
            return self.search
        if not self.fidelities:
            return self.search
        if budget not in self.fidelities:
            known = ", ".join(map(str, sorted(self.fidelities)))
            raise UserError(f"{self.name} has no budget of {budget} epochs", fix=f"it has {known}")
        return self.fidelities[budget]

    def told(self, row: int, budget: int | None = None, more: tuple[str, ...] = ()) -> Metrics:
        """What a strategy is told of a row: the value that its budget buys, by the search column's name, and costs."""
        known = {name: float(self.columns[name][row]) for name in (*self.costs, *more)}
        return {**known, self.search: float(self.columns[self.column(budget)][row])}

    def cost(self, row: int, budget: int | None = None, paid: int | None = None) -> float:
        """The seconds of telling a row of a budget, of which `paid` was paid before; 0 where no seconds are known."""
        if self.seconds is None:
            return 0.0
        whole = float(self.seconds[row])
        if budget is None or not self.fidelities:
            return whole
        return whole * (budget - (paid or 0)) / self.full

    @cached_property
    def full(self) -> int:
        """The budget whose column is the search column; 1 where there are no budgets."""
        return next((b for b, name in self.fidelities.items() if name == self.search), 1)


@final
@dataclass(frozen=True)
class Published:
    """What a method reached on a table: mean and deviation over so many runs, and where that was read."""

    method: str
    mean: float
    std: float
    source: str
    runs: int = 0


@final
@dataclass(frozen=True, eq=False)
class Costs:
    """The known columns of an architecture; KeyError where the table does not have it."""

    columns: Mapping[str, Array] = field(repr=False)
    row: Mapping[Architecture, int] = field(repr=False)

    def __call__(self, arch: Architecture) -> Mapping[str, float]:
        row = self.row[arch]
        return {name: float(column[row]) for name, column in self.columns.items()}

    def name(self, arch: Architecture) -> str:
        """The name of an architecture's row; KeyError where there is none."""
        return f"row {self.row[arch]}"


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a sparse table as the only members of its space."""

    archs: tuple[Architecture, ...]

    def __len__(self) -> int:
        return len(self.archs)

    def __iter__(self) -> Iterator[Architecture]:
        return iter(self.archs)

    def draw(self, rng: Rng) -> Architecture:
        """One row."""
        return self.archs[int(rng.random() * len(self.archs))]

    def nearest(self, arch: Architecture, *others: Architecture) -> Architecture:
        """The row with the most labels in common, the first of equals."""
        if arch in self._place and arch not in others:
            return arch
        names, codes, known = self._codes
        labels = arch.labels
        own = np.array([known[name].get(labels.get(name), -2) for name in names])
        same = (codes == own).sum(1)
        for other in others:
            same[self._place[other]] = -1
        return self.archs[int(same.argmax())]

    @cached_property
    def _place(self) -> Mapping[Architecture, int]:
        return {arch: n for n, arch in enumerate(self.archs)}

    @cached_property
    def _codes(self) -> tuple[list[str], NDArray[np.int16], dict[str, dict[object, int]]]:
        names = sorted({name for arch in self.archs for name, _ in arch.choices})
        known: dict[str, dict[object, int]] = {name: {None: -1} for name in names}
        codes = np.full((len(self.archs), len(names)), -1, dtype=np.int16)
        place = {name: n for n, name in enumerate(names)}
        for n, arch in enumerate(self.archs):
            for name, label in arch.choices:
                codes[n, place[name]] = known[name].setdefault(label, len(known[name]))
        return names, codes, known
