"""Architectures as what their layers cost: a row of the same length for each, whatever the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from nas.roles import Array
from nas.space import Architecture, Space
from predictors.graphs import Graphs
from predictors.wiring import NUMBERS, Wiring

STAGES = 6
"""How many stages are told apart; what lies behind the last belongs to it."""
TOTALS = ("layers", "computing", "edges", "ways", "longest", "deepest", "macs", "params", "width", "widest", "kernel")
"""Of the whole; see `Layers`."""
PARTS = ("layers", "macs", "params", "width", "kernel")
"""Of each stage: how many layers, the logarithms of their costs, and their means."""
COLUMNS = (*TOTALS, *(f"stage{k}.{part}" for k in range(1, STAGES + 1) for part in PARTS))
"""What the columns are called, in order."""


@final
class Layers:
    """A column for each of COLUMNS: the costs, widths and kernels of the layers that reach the output.

    computing: layers with multiply-accumulates; ways: log(1 + how many lead from the input to the output);
    longest: the most layers on one of them; deepest: the most that compute. Costs are log(1 + sum), widths the mean and
    the largest of log(1 + x). Stages are those of the image: each halves the sides of the one before; where the input
    is no image, sixths of the longest way.

    By default of the graph of decisions, where equal cells stand once, so that a row takes microseconds; whole: of
    all layers, whose sums are then those of `nas.profile`. A space of decisions alone has no layers: its row says how
    many choices are made, and how large their numbers are (as widths).
    """

    def __init__(self, space: Space, *, whole: bool = False, graphs: Graphs | None = None) -> None:
        self._graphs = graphs or Graphs(space, whole=whole)
        shape = space.input
        self._image = (
            float(np.log1p(shape[1] * shape[2])) if len(shape) == 3 and not isinstance(shape[0], tuple) else 0.0
        )

    def __call__(self, archs: Sequence[Architecture]) -> Array:
        """The rows: (n, COLUMNS)."""
        return np.array([self._row(self._graphs.of(arch)) for arch in archs]).reshape(-1, len(COLUMNS))

    def _row(self, one: Wiring) -> Array:
        numbers = one.numbers[1:-1]
        if not len(numbers):
            return np.zeros(len(COLUMNS))
        width, widest, size, kernel, macs, params, place = (numbers[:, NUMBERS.index(name)] for name in NUMBERS)
        works = macs > 0
        ways, longest, deepest = _through(one.edges, np.r_[0.0, works, 0.0])
        row = [len(numbers), works.sum(), one.edges.sum(), np.log1p(ways), longest, deepest]
        row += [_log(macs), _log(params), width.mean(), widest.max(), kernel.mean()]
        halvings = (self._image - size) / np.log(4) + 0.5 if self._image else place * STAGES
        stage = np.clip(halvings, 0, STAGES - 1).astype(int)
        for k in range(STAGES):
            at = stage == k
            count = int(at.sum())
            row += [count, _log(macs[at]), _log(params[at])]
            row += [width[at].mean(), kernel[at].mean()] if count else [0.0, 0.0]
        return np.array(row)


def _log(logs: Array) -> float:
    """The logarithm of 1 and a sum, of log(1 + x) of its terms."""
    return float(np.log1p(np.expm1(logs).sum()))


def _through(edges: Array, works: Array) -> tuple[float, float, float]:
    """How many ways lead from the first vertex to the last, and the most vertices and computing ones on one."""
    n = len(edges)
    ways, longest, deepest = [1.0, *[0.0] * (n - 1)], [0.0] * n, [0.0] * n
    for k in range(1, n):
        before = [i for i in np.flatnonzero(edges[:k, k]).tolist() if ways[i]]
        if before:
            ways[k] = sum(ways[i] * float(edges[i, k]) for i in before)
            longest[k] = 1.0 + max(longest[i] for i in before)
            deepest[k] = float(works[k]) + max(deepest[i] for i in before)
    return ways[-1], max(longest[-1] - 1.0, 0.0), deepest[-1]
