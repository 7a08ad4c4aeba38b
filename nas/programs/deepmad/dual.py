"""The Lagrangian dual of the program at fixed depths: any multipliers give an upper bound (weak duality).

Budgets are priced: MACs, parameters, and 2 S_i >= D_i log(D_i / rho) for each level i, in which S_i is half the sum of
the log widths of the D_i layers up to its end. What is left is a chain in the widths c_0, c_1, ...: stage j decides its
inner width and kernel alone, given c_(j-1) and c_j. Only A_i S_i, with A_i = alpha_i log(r_i^2 c_i), joins what is
further apart. Its part by the level's last stage lies within that stage and is exact. The rest, A_i X_i with X_i
from the stages before, is bounded from above for X_i in a span [l, u] by

    m X_i + max((A_i - m) l, (A_i - m) u),

exact in the widths where A_i = m; the centres m are multipliers too, since the bound is convex in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, final

import numpy as np

from nas.programs.deepmad.costs import Array, forms
from nas.programs.deepmad.measure import Batch, logs_before, logs_of_areas, measure, spread
from nas.programs.deepmad.problem import Budgets, Design, Score, Template
from nas.programs.deepmad.stages import Stage

CHUNK = 1 << 15
Tables: TypeAlias = list[Mapping[int, Array]]
"""Of each stage, by depth, what the stage is worth for each width in and width out."""


@final
@dataclass(frozen=True)
class Multipliers:
    """A point of the dual.

    objective: 1, or 0 for a ray that proves infeasibility. macs, params: the price of the whole budget.
    rho, centres, spans: by level; the span of a level whose A is constant does not count.
    """

    objective: float
    macs: float
    params: float
    rho: tuple[float, ...]
    centres: tuple[float, ...]
    spans: tuple[tuple[float, float], ...]


@final
@dataclass(frozen=True)
class Maximiser:
    """What the inner problem of one depth vector chose: the bound, the design, and the bound's slope in each price.

    slopes: of macs, params, then of each level's rho, then of each level's centre.
    """

    bound: float
    design: Design
    slopes: Array


@final
@dataclass(frozen=True)
class Dual:
    """The dual function of a problem."""

    template: Template
    score: Score
    budgets: Budgets

    def bounds(self, y: Multipliers, depths: Array, tables: Tables | None = None) -> Array:
        """An upper bound on the value of any feasible design of each depth vector, (N, stages) to (N,).

        tables: what `tables` gave for the same prices and centres, if these depths are among its own.
        """
        t = self.template
        half = min(range(1, t.stages + 1), key=lambda m: _kinds(depths[:, :m]) + _kinds(depths[:, m:]))
        tables = tables or self.tables(y, depths)
        left, left_of = self._forward(y, depths[:, :half], tables)
        right, right_of = self._backward(y, depths[:, half:], tables)
        made = np.empty(len(depths))
        for at in range(0, len(depths), CHUNK):
            part = slice(at, at + CHUNK)
            made[part] = (left[left_of[part]] + right[right_of[part]]).max(1)
        return made + self.constant(y, depths)

    def tables(self, y: Multipliers, depths: Array) -> Tables:
        """The inner problems of all stages; they do not depend on the spans."""
        return [self._table(y, j, np.unique(depths[:, j - 1])) for j in range(1, self.template.stages + 1)]

    def maximise(self, y: Multipliers, depths: tuple[int, ...]) -> Maximiser:
        """The inner problem of one depth vector, with the design that solves it."""
        t = self.template
        value, picks = self._start(y), []
        for j, deep in enumerate(depths, 1):
            table = value[:, None] + self._table(y, j, np.array([deep]))[deep]
            picks.append(table.argmax(0))
            value = table.max(0) + self._node(y, j)
        last = value + self.end(y)
        at, outs = int(last.argmax()), []
        bound = float(last[at] + self.constant(y, np.array([depths]))[0])
        for j in range(t.stages, 0, -1):
            outs.append(t.widths[j - 1][at])
            at = int(picks[j - 1][at])
        stem, befores = t.stems[at], [t.stems[at], *outs[:0:-1]]
        pairs = []
        for j, (deep, before, out) in enumerate(zip(depths, befores, outs[::-1], strict=True), 1):
            weight = float(self._weight(y, j)[t.widths[j - 1].index(out)])
            pairs.append(self.stages[j - 1].best(deep, before, out, weight, self._prices(y)[0][j - 1]))
        mids, kernels = zip(*pairs, strict=True)
        design = Design(stem, depths, tuple(outs[::-1]), mids, kernels, t.head)
        return Maximiser(bound, design, self._slopes(y, design))

    def beginnings(self, y: Multipliers, depths: tuple[int, ...]) -> list[Array]:
        """Behind the stem and behind each stage: by width, what the best beginning of the network is worth."""
        made = [self._start(y)]
        for j, deep in enumerate(depths, 1):
            table = self._table(y, j, np.array([deep]))[deep]
            made.append((made[-1][:, None] + table).max(0) + self._node(y, j))
        return made

    def choices(self, y: Multipliers, j: int, depth: int, column: int) -> tuple[Array, Array]:
        """All that stage j may be in front of one of its widths: (N,) what it is worth, with its width's own part.

        The second array, (N, 3): the number of the width in, the inner width, and the kernel.
        """
        weight = float(self._weight(y, j)[column])
        worth, options = self.stages[j - 1].choices(depth, column, weight, self._prices(y)[0][j - 1])
        return worth + self._node(y, j)[column], options

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stages' own problems."""
        return tuple(Stage(self.template, j) for j in range(1, self.template.stages + 1))

    @cached_property
    def areas(self) -> tuple[float, ...]:
        """Log r^2 of each level."""
        return logs_of_areas(self.template, self.score)

    @cached_property
    def joined(self) -> tuple[bool, ...]:
        """Of each level, whether its A varies and stages before its last one count in it."""
        t = self.template
        return tuple(end > 1 and not (t.head and end == t.stages) for end in t.ends)

    def needs(self, depths: Array) -> Array:
        """D_i log(D_i / rho), what 2 S_i must reach: (N, levels); 0 without a budget."""
        made = np.zeros((len(depths), len(self.template.ends)))
        if np.isfinite(self.budgets.rho):
            layers = self.layers(depths)
            made = layers * np.log(layers / self.budgets.rho)
        return made

    def layers(self, depths: Array) -> Array:
        """How many layers there are up to the end of each level: (N, levels)."""
        t = self.template
        made = np.stack([1 + 3 * depths[:, :end].sum(1) for end in t.ends], 1)
        made[:, -1] += bool(t.head)
        return made

    def factor(self, level: int, widths: Array | float) -> Array | float:
        """A_i at some widths of the level's end."""
        made: Array | float = self.template.weights[level] * (self.areas[level] + np.log(widths))
        return made

    def _prices(self, y: Multipliers) -> tuple[Array, float, float, float]:
        """What each term of each stage costs, each stem channel, each last channel, and the constant."""
        macs, params = forms(self.template, self.score.count)
        f = y.macs / self.budgets.macs if y.macs else 0.0
        p = y.params / self.budgets.params if y.params else 0.0
        rest = (f * macs.stem + p * params.stem, f * macs.end + p * params.end, f * macs.constant + p * params.constant)
        return f * macs.rows + p * params.rows, *rest

    def _weight(self, y: Multipliers, j: int) -> Array:
        """What each log width of a layer of stage j is worth, by the stage's width out."""
        t = self.template
        made = np.zeros(len(t.widths[j - 1]))
        for level, end in enumerate(t.ends):
            if end < j:
                continue
            made = made + y.rho[level]
            if t.head and end == t.stages:
                made = made + 0.5 * y.objective * self.factor(level, t.head)
            elif end == j:
                made = made + 0.5 * y.objective * self.factor(level, self.stages[j - 1].outs)
            else:
                made = made + 0.5 * y.centres[level]
        return made

    def _table(self, y: Multipliers, j: int, depths: Array) -> Mapping[int, Array]:
        made = self.stages[j - 1].table(depths, self._weight(y, j), self._prices(y)[0][j - 1])
        return dict(zip(map(int, depths), made, strict=True))

    def _node(self, y: Multipliers, j: int) -> Array:
        """What the width out of stage j is worth by itself: the part of A_i X_i that the centre leaves."""
        t = self.template
        made = np.zeros(len(t.widths[j - 1]))
        if j in t.ends and not (t.head and j == t.stages):
            level = t.ends.index(j)
            rest = y.objective * self.factor(level, self.stages[j - 1].outs) - y.centres[level]
            low, high = self._span(y, level)
            made = np.maximum(rest * low, rest * high)
        return made

    def _span(self, y: Multipliers, level: int) -> tuple[float, float]:
        return y.spans[level] if self.joined[level] else (self._first, self._first)

    @property
    def _first(self) -> float:
        """S behind the stem."""
        return 0.5 * float(np.log(9 * self.template.input[0]))

    def _start(self, y: Multipliers) -> Array:
        t, stems = self.template, np.array(self.template.stems, np.float64)
        made: Array = -self._prices(y)[1] * stems
        return made + y.objective * self.factor(0, stems) * self._first if t.ends[0] == 0 else made

    def end(self, y: Multipliers) -> Array:
        """What the last width is worth behind all stages: the head and the classifier."""
        t, widths = self.template, self.stages[-1].outs
        made: Array = -self._prices(y)[2] * widths
        if t.head:
            made = made + (0.5 * y.objective * self.factor(len(t.ends) - 1, t.head) + y.rho[-1]) * np.log(widths)
        return made

    def constant(self, y: Multipliers, depths: Array) -> Array:
        """What does not depend on the widths, by depth vector."""
        t = self.template
        stem = sum(y.rho)
        for level, end in enumerate(t.ends):
            if end and t.head and end == t.stages:
                stem += 0.5 * y.objective * float(self.factor(level, t.head))
            elif end:
                stem += 0.5 * y.centres[level]
        made = y.macs + y.params - self._prices(y)[3] + 2 * self._first * stem
        penalty = y.objective * t.beta * spread(t, self.score, depths)
        whole: Array = made - self.needs(depths) @ np.array(y.rho) - penalty
        return whole

    def _forward(self, y: Multipliers, depths: Array, tables: Tables) -> tuple[Array, Array]:
        """By distinct row of the first stages' depths, what each width behind them is worth; and the row of each."""
        values, of = self._start(y)[None], np.zeros(len(depths), np.int64)
        for j in range(1, depths.shape[1] + 1):
            pairs, of = _distinct(of, depths[:, j - 1])
            node = self._node(y, j)
            values = np.stack([(values[k][:, None] + tables[j - 1][d]).max(0) + node for k, d in pairs])
        return values, of

    def _backward(self, y: Multipliers, depths: Array, tables: Tables) -> tuple[Array, Array]:
        """The same of the last stages, by the width before them."""
        values, of = self.end(y)[None], np.zeros(len(depths), np.int64)
        for j in range(self.template.stages, self.template.stages - depths.shape[1], -1):
            pairs, of = _distinct(of, depths[:, j - 1 - self.template.stages])
            values = values + self._node(y, j)
            values = np.stack([(tables[j - 1][d] + values[k]).max(1) for k, d in pairs])
        return values, of

    def _slopes(self, y: Multipliers, design: Design) -> Array:
        """The derivative of the Lagrangian at a design in each multiplier."""
        t, batch = self.template, Batch.of([design])
        found = measure(t, self.score, batch)
        depths = batch.depths
        layers = self.layers(depths)
        room = layers * -np.log(found.effectiveness / layers)
        sums = room[0]
        rho = sums - self.needs(depths)[0]
        centres = np.zeros(len(t.ends))
        for level, end in enumerate(t.ends):
            if self.joined[level]:
                before = 0.5 * logs_before(t, design, end)
                rest = y.objective * float(self.factor(level, design.outs[end - 1])) - y.centres[level]
                low, high = y.spans[level]
                centres[level] = before - (high if rest > 0 else low)
        macs, params = 1 - found.macs[0] / self.budgets.macs, 1 - found.params[0] / self.budgets.params
        return np.concatenate([[macs, params], rho, centres])


def _kinds(depths: Array) -> int:
    """How many distinct rows there may be."""
    made = 1
    for column in depths.T:
        made *= len(np.unique(column))
    return made


def _distinct(of: Array, column: Array) -> tuple[list[tuple[int, int]], Array]:
    """The distinct pairs of a row's group and its depth, and which pair each row has."""
    codes = of * (int(column.max()) + 1) + column
    found, inverse = np.unique(codes, return_inverse=True)
    base = int(column.max()) + 1
    return [(int(code) // base, int(code) % base) for code in found], inverse
