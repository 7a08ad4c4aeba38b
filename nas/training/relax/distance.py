"""How far two architectures of free edges lie apart (Heuillet et al. 2021, arXiv:2108.09306, section on DARTOpti)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nas.space import Architecture

OPERATIONS: Mapping[str, float] = {
    "conv_3x1_1x3": 82.1058,
    "conv_7x1_1x7": 83.1592,
    "max_pool_3x3": 82.1342,
    "avg_pool_3x3": 81.5633,
    "skip_connect": 81.3417,
    "simple_conv_1x1": 81.4917,
    "simple_conv_3x3": 82.3033,
    "sep_conv_3x3": 83.3958,
    "sep_conv_5x5": 84.9742,
    "dil_conv_3x3": 82.7358,
    "dil_conv_5x5": 82.8925,
    "bottleneck_1x3x1": 82.8750,
}
"""How heavy an operation counts: the accuracies that the authors measured (the released `op_stats.json`)."""

Table = NDArray[np.bool_]


def tables(arch: Architecture) -> tuple[dict[str, Table], list[str]]:
    """What each cell keeps, (edges, operations) by its name in order, and the operations.

    arch: of `ddarts` or `dartopti`, whose choices are called cell.node.edge.operation. ValueError for any other.
    """
    cells: dict[str, dict[str, dict[str, bool]]] = {}
    for name, label in arch.choices:
        *edge, op = name.split(".")
        if len(edge) != 3 or op not in OPERATIONS or label not in (0, 1):
            raise ValueError(f"{arch.space} has the choice {name!r}; a distance needs edges that keep any operations")
        cells.setdefault(edge[0], {}).setdefault(".".join(edge[1:]), {})[op] = label == 1
    found = {op for cell in cells.values() for edge in cell.values() for op in edge}
    ops = [op for op in OPERATIONS if op in found]
    made = {
        name: np.array([[edge.get(op, False) for op in ops] for edge in cells[name].values()])
        for name in sorted(cells, key=lambda cell: (len(cell), cell))
    }
    return made, ops


def hausdorff(one: Table, other: Table, weights: NDArray[np.float64]) -> float:
    """The larger of both directed Hausdorff distances between two cells, whose edges are the points.

    Two edges are as far apart as the weight of the operations that one of them alone has, as a share of all weight.
    """
    apart = (one[:, None, :] != other[None, :, :]) @ (weights / weights.sum())
    return float(max(apart.min(axis=1).max(), apart.min(axis=0).max()))


def distance(one: Architecture, other: Architecture) -> float:
    """The mean distance of the cells, taken in pairs in their order; cells without a partner do not count.

    As in the released code, so two networks of one gene in another sequence are the same. ValueError where the two
    have other operations.
    """
    (a, ops), (b, others) = tables(one), tables(other)
    if ops != others:
        raise ValueError(f"the architectures have other operations: {', '.join(set(ops) ^ set(others))}")
    weights = np.array([OPERATIONS[op] for op in ops])
    return float(np.mean([hausdorff(x, y, weights) for x, y in zip(a.values(), b.values(), strict=False)]))
