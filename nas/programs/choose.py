"""The best architectures by a sum of tables, under limits on sums of tables: exact, next-best ones, the front."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.errors import INFEASIBLE, UserError
from nas.programs import knapsack
from nas.programs.openings import Openings, Scope
from nas.programs.tables import Tables
from nas.space import Architecture, Space
from nas.tree import Refused

Array: TypeAlias = NDArray[np.float64]
Limit: TypeAlias = tuple[Tables, float]
"""What must not be above a number."""
OPTIONS = 50_000
"""Choices that tables tie together are listed as one layer's options while these are no more."""
CLOSE = 1e-5
"""Where an instance is too flat for the exact method, a selection this near to the bound is taken, with its bound."""
CUTS = 1000
"""So many solutions that the space refuses are cut off, one after another."""


@final
@dataclass(frozen=True)
class Chosen:
    """An architecture, its value, and what it comes to in each limited number.

    bound: no architecture that was not chosen before it is above this; its own value where it is proved the best.
    """

    arch: Architecture
    value: float
    used: tuple[float, ...]
    bound: float


def best(objective: Tables, limits: Sequence[Limit] = (), *, without: Collection[Architecture] = ()) -> Chosen | None:
    """The architecture of the largest value within the limits, proved; None where none keeps them."""
    return next(iter(Chooser(objective.space).ranked(objective, limits, count=1, without=without)), None)


def ranked(
    objective: Tables, limits: Sequence[Limit] = (), *, count: int, without: Collection[Architecture] = ()
) -> list[Chosen]:
    """The `count` best architectures within the limits, best first; fewer where there are no more."""
    return Chooser(objective.space).ranked(objective, limits, count=count, without=without)


def front(objective: Tables, cost: Tables, limits: Sequence[Limit] = (), *, points: int = 0) -> list[Chosen]:
    """The trade-off between a value and a cost, cheapest first; `used` begins with the cost.

    points: 0 for every point there is, else about so many, at equally spaced budgets (the epsilon-constraint method).
    """
    return Chooser(objective.space).front(objective, cost, limits, points=points)


@final
class Chooser:
    """Chooses among the architectures of a space; what is known of its holes is read once.

    Where tables tie few choices together, these are one layer of a multiple-choice knapsack; else HiGHS solves it.
    """

    def __init__(self, space: Space) -> None:
        self.space, self.openings = space, Openings.of(space)

    def ranked(
        self,
        objective: Tables,
        limits: Sequence[Limit] = (),
        *,
        count: int = 1,
        without: Collection[Architecture] = (),
    ) -> list[Chosen]:
        """The `count` best architectures within the limits that are not among `without`, best first."""
        _fits(objective, limits)
        if self.space.accepts is None:
            layers = _Layers.of(self.openings, [objective, *(t for t, _ in limits)])
            if layers is not None:
                try:
                    return self._knapsack(layers, objective, limits, count, without)
                except knapsack.TooMany:
                    pass
        return self._program(objective, limits, count, without)

    def _knapsack(
        self,
        layers: _Layers,
        objective: Tables,
        limits: Sequence[Limit],
        count: int,
        without: Collection[Architecture],
    ) -> list[Chosen]:
        values, costs, roofs = layers.arrays(objective, [(t, roof) for t, roof in limits if roof < math.inf])
        barred = {layers.rows(self.openings.picks(a)) for a in without}
        try:
            found, bound = knapsack.best(values, costs, roofs, count=count, without=barred), -np.inf
        except knapsack.TooMany:
            found, bound = knapsack.near(values, costs, roofs, count=count, without=barred)
            if len(found.values) < count or bound - found.values[-1] > CLOSE * abs(bound):
                raise
            bound += float(objective.parts.get((), 0.0))
        return [self._chosen(layers.picks(row), objective, limits, bound) for row in found.picks]

    def _program(
        self, objective: Tables, limits: Sequence[Limit], count: int, without: Collection[Architecture]
    ) -> list[Chosen]:
        from nas.programs.milp import Program  # noqa: PLC0415  # scipy's solvers take long to import

        program, made = Program(objective, limits), list[Chosen]()
        cuts = [self._open(a) for a in without]
        for _ in range(count + CUTS):
            solved = program.solve(cuts) if len(made) < count else None
            if solved is None:
                return made
            picks, bound = solved
            try:
                one = self._chosen(picks, objective, limits, bound)
            except Refused:
                cuts.append(picks)
                continue
            cuts.append(self._open(one.arch))
            if all(_keeps(u, roof) for u, (_, roof) in zip(one.used, limits, strict=True)):
                made.append(one)  # the solver may break a limit by its tolerance
        raise UserError(
            f"{CUTS} solutions in a row are no members of the space {self.space.name}, or break a limit by a hair",
            fix="use another strategy for this space, for example evolution",
            code=INFEASIBLE,
        )

    def front(self, objective: Tables, cost: Tables, limits: Sequence[Limit] = (), *, points: int = 0) -> list[Chosen]:
        """The trade-off between a value and a cost, cheapest first."""
        layers = None if limits or self.space.accepts else _Layers.of(self.openings, [objective, cost])
        if layers is not None:
            values, costs, _ = layers.arrays(objective, [(cost, np.inf)])
            try:
                found = knapsack.front(values, [c[:, 0] for c in costs])
            except knapsack.TooMany:
                return self._swept(objective, cost, limits, points)
            order = np.argsort(found.used[:, 0], kind="stable")
            if points and len(order) > points:
                spent = found.used[order, 0]
                asked = np.linspace(spent[0], spent[-1], points)
                order = order[np.unique(np.searchsorted(spent, asked, side="right") - 1)]
            found = found.only(order)
            values = (found.values + float(objective.parts.get((), 0.0))).tolist()
            used = (found.used[:, 0] + float(cost.parts.get((), 0.0))).tolist()
            archs = layers.archs(self.openings, found.picks)
            return [Chosen(a, v, (u,), v) for a, v, u in zip(archs, values, used, strict=True)]
        return self._swept(objective, cost, limits, points)

    def _swept(self, objective: Tables, cost: Tables, limits: Sequence[Limit], points: int) -> list[Chosen]:
        """Solve at each of the budgets; or ask for less than the last one used until nothing is left."""
        top, least = self.ranked(objective, limits), self.ranked(cost.scaled(-1.0), limits)
        found: list[Chosen] = []
        if top and points:
            for roof in np.linspace(cost(least[0].arch), cost(top[0].arch), points):
                found += self.ranked(objective, [(cost, float(roof)), *limits])
        while top and not points:
            found += top
            used = cost(top[0].arch)
            top = self.ranked(objective, [(cost, used - 1e-11 * abs(used) - 1e-300), *limits])
        made: list[Chosen] = []
        every = [self._chosen(self.openings.picks(c.arch), objective, [(cost, np.inf), *limits]) for c in found]
        for one in sorted(every, key=lambda c: (c.used[0], -c.value)):
            if not made or one.value > made[-1].value:
                made.append(one)
        return made

    def _open(self, arch: Architecture) -> dict[str, int]:
        return {name: self.space.choices[name].index(label) for name, label in arch.choices}

    def _chosen(
        self, picks: dict[str, int], objective: Tables, limits: Sequence[Limit], bound: float = -np.inf
    ) -> Chosen:
        arch = self.space.decide(lambda c: picks[c.name])
        value = objective(arch)
        bound = bound if bound - value > knapsack.ROUNDING * abs(value) * 1e3 else value
        return Chosen(arch, value, tuple(t(arch) for t, _ in limits), bound)


@final
@dataclass(frozen=True, eq=False)
class _Layers:
    """Choices that tables or openings tie together, as layers with one option for each distinct combination.

    names: the choices of each layer; options: its combinations (options, choices of the layer).
    """

    space: Space
    names: tuple[Scope, ...]
    options: tuple[NDArray[np.int64], ...]

    @staticmethod
    def of(openings: Openings, numbers: Sequence[Tables]) -> _Layers | None:
        """The layers of some numbers; None where one would have too many options."""
        choices = openings.space.choices
        parent = {name: name for name in choices}

        def root(name: str) -> str:
            while parent[name] != name:
                name = parent[name]
            return name

        scopes = [scope for number in numbers for scope in number.parts]
        for scope in (*scopes, *((*deciding, name) for name, (deciding, _) in openings.tables.items())):
            for name in scope[1:]:
                parent[root(name)] = root(scope[0])
        groups: dict[str, list[str]] = {}
        for name in choices:
            groups.setdefault(root(name), []).append(name)
        if any(math.prod(len(choices[n].options) for n in group) > OPTIONS for group in groups.values()):
            return None
        names = tuple(tuple(group) for group in groups.values())
        return _Layers(openings.space, names, tuple(_combinations(openings, group) for group in names))

    def arrays(self, objective: Tables, limits: Sequence[Limit]) -> tuple[list[Array], list[Array], Array]:
        """Values (options,) and costs (options, limits) of each layer; the limits less what is constant."""
        values = [self._column(k, objective) for k in range(len(self.names))]
        costs = [
            np.stack([self._column(k, t) for t, _ in limits], 1) if limits else np.zeros((len(v), 0))
            for k, v in enumerate(values)
        ]
        return values, costs, np.array([roof - float(t.parts.get((), 0.0)) for t, roof in limits])

    def _column(self, layer: int, number: Tables) -> Array:
        names, options = self.names[layer], self.options[layer]
        made = np.zeros(len(options))
        for scope, table in number.parts.items():
            if scope and scope[0] in names:
                made += table[tuple(options[:, names.index(n)] for n in scope)]
        return made

    def picks(self, row: NDArray[np.int64]) -> dict[str, int]:
        """The option of every choice, from the option of each layer."""
        made: dict[str, int] = {}
        for names, options, k in zip(self.names, self.options, row, strict=True):
            made |= dict(zip(names, options[k].tolist(), strict=True))
        return made

    def archs(self, openings: Openings, rows: NDArray[np.int64]) -> list[Architecture]:
        """The architectures of many rows, as `Space.decide` would make them one by one."""
        picks = {
            name: options[rows[:, k], n]
            for k, (names, options) in enumerate(zip(self.names, self.options, strict=True))
            for n, name in enumerate(names)
        }
        columns = []
        for name in sorted(picks):
            deciding, is_open = openings.tables[name]
            shut = ~is_open[tuple(picks[d] for d in deciding)] if deciding else np.zeros(len(rows), dtype=bool)
            pairs = [(name, label) for label in self.space.choices[name].labels]
            columns.append(
                [None if off else pairs[p] for p, off in zip(picks[name].tolist(), shut.tolist(), strict=True)]
            )
        rows_of = zip(*columns, strict=True)
        return [Architecture(self.space.name, tuple(pair for pair in row if pair)) for row in rows_of]

    def rows(self, picks: dict[str, int]) -> tuple[int, ...]:
        """The option of each layer, from the option of every choice."""
        made = []
        for names, options in zip(self.names, self.options, strict=True):
            wanted = np.array([picks[n] for n in names])
            made.append(int(np.argmax((options == wanted).all(1))))
        return tuple(made)


def _combinations(openings: Openings, names: Scope) -> NDArray[np.int64]:
    """Every combination of the options of some choices, those that are not open at their first."""
    shape = [len(openings.space.choices[n].options) for n in names]
    options = np.indices(shape).reshape(len(names), -1).T
    keep = np.ones(len(options), dtype=bool)
    for k, name in enumerate(names):
        deciding, is_open = openings.tables[name]
        keep &= is_open[tuple(options[:, names.index(n)] for n in deciding)] | (options[:, k] == 0)
    return options[keep]


def _fits(objective: Tables, limits: Sequence[Limit]) -> None:
    for tables, roof in limits:
        if tables.space is not objective.space:
            raise ValueError(f"a limit on the space {tables.space.name} beside an objective on another one")
        if math.isnan(roof):
            raise ValueError("a limit is not a number")


def _keeps(used: float, roof: float) -> bool:
    return used <= roof + knapsack.ROUNDING * abs(roof)
