"""Architectures as what lies on the ways through their graphs: a few numbers a kind of layer, whatever the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.roles import Array
from nas.space import Architecture
from predictors.graphs import Graphs
from predictors.wiring import NUMBERS, Wiring

Way: TypeAlias = tuple[str, ...]
LONGEST, MOST = 5, 300
"""Ways are listed in graphs where none has more vertices, and that have no more ways."""


@final
class Ways:
    """For each kind of vertex: how many there are, the most, the fewest and the mean on a way from the input to the
    output, and the share of ways without it; the same for all that compute, and for all; how many ways there are, and
    how many lead straight through. Where graphs are small, also how many ways there are of each sequence of kinds, if
    these are to be listed.

    Dead branches are gone and identities are edges (`Graphs`), so that equal networks have equal rows: what a network
    computes, not how it was written. A path encoding (White et al. 2021, arXiv:1910.11858, section 3.1) says which
    sequences there are; how many, and their sums, is what 20 rated networks are enough to learn from.
    """

    def __init__(self, graphs: Graphs, archs: Sequence[Architecture], *, listed: bool = True) -> None:
        self._graphs = graphs
        self._kinds = tuple(k for k in graphs.kinds(archs) if k not in ("input", "output"))
        self._place = {kind: k for k, kind in enumerate(self._kinds)}
        self._kept: dict[Architecture, Array] = {}
        some = archs if listed else ()
        counted = Counter(way for arch in some for way in set(self._listed(graphs.of(arch)) or ()))
        self._ways = {way: k for k, way in enumerate(sorted(way for way, count in counted.items() if count > 1))}

    def __call__(self, archs: Sequence[Architecture]) -> Array:
        """The rows: (n, columns)."""
        for arch in archs:
            if arch not in self._kept:
                self._kept[arch] = self._row(self._graphs.of(arch))
        return np.array([self._kept[arch] for arch in archs])

    @cached_property
    def sums(self) -> int:
        """How many of the columns, from the first on, are no sequences."""
        return 5 * (len(self._kinds) + 2) + 2

    def _row(self, one: Wiring) -> Array:
        groups = len(self._kinds) + 2
        size = len(one.kinds)
        member = np.zeros((size, groups))
        works = one.numbers[:, NUMBERS.index("macs")] > 0
        for v in range(1, size - 1):
            member[v, -2:] = works[v], 1.0
            place = self._place.get(one.kinds[v])
            if place is not None:
                member[v, place] = 1.0
        number = member.sum(0)
        if size > 1 and one.edges.sum() == size - 1 and one.edges.diagonal(1).all():  # a chain: one way
            row = np.r_[np.tile(number, 4), number == 0, np.log1p([1.0, size == 2])]
        else:
            row = np.r_[number, _summed(one.edges, member)]
        listed = np.zeros(len(self._ways))
        for way, count in (self._listed(one) or {}).items() if self._ways else ():
            if way in self._ways:
                listed[self._ways[way]] = count
        made: Array = np.r_[row, listed]
        return made

    @staticmethod
    def _listed(one: Wiring) -> Counter[Way] | None:
        """How many ways there are of each sequence of kinds; None where they are too long or too many."""
        size = len(one.kinds)
        ways: list[Counter[Way]] = [Counter({(): 1})]
        for v in range(1, size):
            here: Counter[Way] = Counter()
            kind = (one.kinds[v],) if v < size - 1 else ()
            for u in np.flatnonzero(one.edges[:v, v]):
                for way, count in ways[u].items():
                    here[way + kind] += count * int(one.edges[u, v])
            if len(here) > MOST or max(map(len, here), default=0) > LONGEST:
                return None
            ways.append(here)
        return ways[-1]


def _summed(edges: Array, member: Array) -> Array:
    """What the ways through a graph hold of each group: the most, the fewest, the mean, the share without; the ways.

    member: (vertices, groups), 1 where a vertex is of a group; a walk over the vertices in their order.
    """
    size, groups = member.shape
    ways, total = np.zeros(size), np.zeros((size, groups))
    most, least, without = (np.zeros((size, groups)) for _ in range(3))
    ways[0], without[0] = 1.0, 1.0
    for v in range(1, size):
        before = np.flatnonzero((edges[:v, v] > 0) & (ways[:v] > 0))
        if not len(before):
            continue
        many = edges[before, v]
        ways[v] = many @ ways[before]
        total[v] = many @ total[before] + ways[v] * member[v]
        most[v], least[v] = most[before].max(0) + member[v], least[before].min(0) + member[v]
        without[v] = (many @ without[before]) * (1 - member[v])
    through = ways[-1] or 1.0
    ends = np.log1p([ways[-1], edges[0, -1]])
    row: Array = np.r_[most[-1], least[-1], total[-1] / through, without[-1] / through, ends]
    return row


def telling(rows: Array) -> NDArray[np.intp]:
    """The columns that differ between rows, each of equal ones once."""
    kept: dict[bytes, int] = {}
    for k, column in enumerate(rows.T):
        if (column != column[0]).any() and not np.isnan(column).all():
            kept.setdefault(np.ascontiguousarray(column).tobytes(), k)
    return np.array(sorted(kept.values()), dtype=np.intp)
