"""The proof while it is built: the best bound of each depth vector of the template, and what shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import product
from typing import final

import numpy as np

from nas.programs.deepmad.branch import Tree
from nas.programs.deepmad.costs import Array
from nas.programs.deepmad.dual import Dual, Multipliers
from nas.programs.deepmad.problem import Template
from nas.programs.deepmad.spans import spans

OPEN, BRANCHED = -1, -2
"""Instead of a point's number: nothing bounds the vector yet; the boxes of its tree do."""
RAY = -1e-9
"""A ray proves infeasibility where its bound is below this; prices sum to about 1."""
GROUPS = 8
"""Depth vectors are bounded in at most so many groups, each with its own spans."""


def vectors(template: Template) -> Array:
    """Every depth vector, (N, stages), in the order of the options."""
    return np.array(list(product(*template.depths)), np.int64)


@final
@dataclass
class Proof:
    """What is known of each depth vector.

    bounds: (N,), -inf where it is proved infeasible. by: (N,), which of `points` shows it, or OPEN, or BRANCHED.
    trees: of the vectors whose widths are branched on.
    """

    dual: Dual
    depths: Array
    bounds: Array = field(init=False)
    by: Array = field(init=False)
    points: list[Multipliers] = field(default_factory=list)
    trees: dict[int, Tree] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bounds = np.full(len(self.depths), np.inf)
        self.by = np.full(len(self.depths), OPEN)

    def add(self, y: Multipliers, index: Array) -> None:
        """Bound these vectors at a point, and keep what is better than before."""
        if not len(index):
            return
        tables = self.dual.tables(y, self.depths[index])
        for group in self._groups(index):
            depths = self.depths[group]
            point = replace(y, spans=spans(self.dual.template, self.dual.budgets, depths))
            made = self.dual.bounds(point, depths, tables)
            if y.objective == 0:
                made = np.where(made < RAY, -np.inf, np.inf)
            better = made < self.bounds[group]
            if better.any():
                self.points.append(point)
                self.bounds[group[better]] = made[better]
                self.by[group[better]] = len(self.points) - 1

    def branch(self, n: int, tree: Tree) -> None:
        """The bound of a vector is now that of its tree."""
        self.trees[n] = tree
        self.bounds[n], self.by[n] = tree.bound, BRANCHED

    def index(self, depths: Iterable[int]) -> int:
        """The number of a depth vector."""
        made = 0
        for depth, options in zip(depths, self.dual.template.depths, strict=True):
            made = made * len(options) + options.index(depth)
        return made

    def _groups(self, index: Array) -> list[Array]:
        """The vectors by their blocks before the last stage, where the last level's A varies and weighs most."""
        if not self.dual.joined[-1]:
            return [index]
        blocks = self.depths[index, :-1].sum(1)
        kinds = np.unique(blocks)
        edges = kinds[:: -(-len(kinds) // GROUPS)]
        which = np.searchsorted(edges, blocks, side="right")
        return [index[which == g] for g in np.unique(which)]
