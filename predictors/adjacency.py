"""Architectures as rows of their adjacency matrix and their operations (White et al. 2020, arXiv:2007.04965, 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nas.roles import Array
from nas.space import Architecture
from predictors.graphs import Graphs


@final
@dataclass(frozen=True, eq=False)
class Adjacency:
    """A column for each pair of vertices, how many ways lead from one to the other, and for each kind at each place.

    Vertices stand in the order in which they run, the input first; `vertices` are the most that were seen, what is
    beyond them is left out. Which graph that is, and for spaces without networks, says `graphs.source`.
    """

    graphs: Graphs
    vertices: int
    kinds: tuple[str, ...]

    @staticmethod
    def of(graphs: Graphs, archs: Sequence[Architecture]) -> Adjacency:
        """The code whose columns hold the graphs of these architectures."""
        return Adjacency(graphs, max(len(graphs.of(arch).kinds) for arch in archs), graphs.kinds(archs))

    def __call__(self, archs: Sequence[Architecture]) -> Array:
        """The rows: (n, vertices^2 + vertices * kinds)."""
        n, most, count = len(archs), self.vertices, len(self.kinds)
        matrix, hot = np.zeros((n, most, most)), np.zeros((n, most, count))
        place = {kind: k for k, kind in enumerate(self.kinds)}
        for k, arch in enumerate(archs):
            one = self.graphs.of(arch)
            size = min(len(one.kinds), most)
            matrix[k, :size, :size] = one.edges[:size, :size]
            known = [(i, place[kind]) for i, kind in enumerate(one.kinds[:size]) if kind in place]
            hot[k, [i for i, _ in known], [j for _, j in known]] = 1.0
        return np.hstack([matrix.reshape(n, -1), hot.reshape(n, -1)])
