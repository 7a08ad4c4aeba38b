"""Branching on the widths of one depth vector: where the dual alone leaves a gap, boxes of widths have lower bounds."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TypeAlias, final

import numpy as np

from nas.programs.deepmad.bundle import Lowest, lowest
from nas.programs.deepmad.dual import Dual, Multipliers
from nas.programs.deepmad.enumerate import TooMany, above
from nas.programs.deepmad.problem import Design, Template

Widths: TypeAlias = tuple[tuple[int, ...], ...]
LAST = 8
"""A box is cut between the widths of so many of the designs that its inner problem chose last."""
FEW = 1_000_000
"""A box is enumerated where so many looks do it."""


@final
@dataclass(frozen=True)
class Cut:
    """A box cut in two: the stage (from 0), the largest of its widths in the first part, and the numbers of both."""

    stage: int
    width: int
    first: int
    second: int


@final
@dataclass(frozen=True)
class Leaf:
    """A box with a bound at a point of the dual; `floor` where its designs above that value were enumerated there."""

    point: Multipliers
    bound: float
    floor: float | None = None


@final
class Tree:
    """The boxes of one depth vector: `nodes[0]` is all widths, and each node is cut in two or is a leaf.

    The bound is the highest of the leaves'.
    """

    def __init__(self, dual: Dual, depths: tuple[int, ...], root: Lowest) -> None:
        self.dual, self.depths = dual, depths
        self.nodes: list[Cut | Leaf] = [Leaf(root.multipliers, root.bound)]
        self._open: list[tuple[float, int, Widths, Lowest]] = [(-root.bound, 0, dual.template.widths, root)]
        self._closed = -inf

    @property
    def bound(self) -> float:
        """The highest bound of a leaf."""
        return max(self._closed, -self._open[0][0] if self._open else -inf)

    @property
    def done(self) -> bool:
        """Whether nothing is left to cut that would lower the bound."""
        return not self._open or self._closed >= -self._open[0][0]

    def split(self, value: float, goal: float, stop: float) -> tuple[Sequence[Design], float, Design | None]:
        """Cut the highest leaf, or enumerate it above `value`: the designs met; the best one enumerated, with value."""
        bound, n, widths, low = heapq.heappop(self._open)
        boxed = self.boxed(widths)
        try:
            best, design = above(boxed, low.multipliers, self.depths, value, most=FEW)
        except TooMany:
            cut = _cut(widths, low.designs)
            if cut is None:
                self._closed = max(self._closed, -bound)
                return (), -inf, None
            return self._halves(n, widths, low, cut, goal, stop), -inf, None
        self.nodes[n] = Leaf(low.multipliers, max(value, best), value)
        self._closed = max(self._closed, value, best)
        return (), best, design

    def boxed(self, widths: Widths) -> Dual:
        """The dual of the problem with these widths alone."""
        return replace(self.dual, template=boxed(self.dual.template, widths))

    def _halves(
        self, n: int, widths: Widths, low: Lowest, cut: tuple[int, int], goal: float, stop: float
    ) -> Sequence[Design]:
        (stage, width), designs = cut, list[Design]()
        self.nodes[n] = Cut(stage, width, len(self.nodes), len(self.nodes) + 1)
        for part in halves(widths, stage, width):
            made = lowest(self.boxed(part), self.depths, low.multipliers, target=goal, stop=stop)
            self.nodes.append(Leaf(made.multipliers, made.bound))
            if made.bound <= goal:
                self._closed = max(self._closed, made.bound)
            else:
                heapq.heappush(self._open, (-made.bound, len(self.nodes) - 1, part, made))
                designs += made.designs[-2:]
        return designs


def boxed(template: Template, widths: Widths) -> Template:
    """The template with these widths."""
    return replace(template, widths=widths)


def halves(widths: Widths, stage: int, width: int) -> tuple[Widths, Widths]:
    """The widths with those of one stage up to a width, and with the rest."""
    low = tuple(c for c in widths[stage] if c <= width)
    high = tuple(c for c in widths[stage] if c > width)
    return (*widths[:stage], low, *widths[stage + 1 :]), (*widths[:stage], high, *widths[stage + 1 :])


def _cut(widths: Widths, designs: Sequence[Design]) -> tuple[int, int] | None:
    """The stage whose chosen widths differ most, and a width between them; else the middle of the widest; or None."""
    chosen = np.array([design.outs for design in designs[-LAST:]])
    apart = np.log(chosen.max(0) / chosen.min(0))
    stage = int(apart.argmax())
    if apart[stage] > 0:
        return stage, int(np.sqrt(chosen[:, stage].max() * chosen[:, stage].min()))
    stage = int(np.argmax([row[-1] / row[0] for row in widths]))
    row = widths[stage]
    return (stage, row[(len(row) - 1) // 2]) if len(row) > 1 else None
