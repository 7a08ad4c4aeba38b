"""Architectures as graph tensors: batches of vertices with operation, width, kernel and cost, and their edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.decision import decides_only
from nas.errors import UserError
from nas.graph import graph
from nas.plan import plan
from nas.roles import Array
from nas.space import Architecture, Space
from nas.tree import Chain, Choice, Label, Node
from predictors.marking import has_depth, marked
from predictors.wiring import NUMBERS, Wiring, chosen, reduced, wired

KEPT = 20_000_000
"""How many pairs of vertices are kept of architectures' graphs, together; a further one lets all go."""
PROBES = 12
"""How many random architectures say whether a tree can be followed, and whether its choices act alone."""
LARGEST = 250
"""How many vertices a graph may have."""
MOST = 400
"""For how many labels at most each is tried alone."""
ERRORS = (ValueError, TypeError, AttributeError, KeyError, IndexError, UserError)
Rows: TypeAlias = Mapping[Label, tuple[tuple[str, ...], Array]]


@final
@dataclass(frozen=True, eq=False)
class Batch:
    """Graphs side by side, filled up to the largest.

    kinds: (n, N), the number of each vertex's kind, from 1, 0 where unknown or empty; numbers: (n, N, NUMBERS);
    edges: (n, N, N), from row to column; mask: (n, N), 1 where a vertex is.
    """

    kinds: NDArray[np.int64]
    numbers: NDArray[np.float32]
    edges: NDArray[np.float32]
    mask: NDArray[np.float32]


@final
class Graphs:
    """The graphs of a space's architectures.

    source: where they come from. "decisions": vertices are what was decided, in cells that stand once (see
    `predictors.marking.marked`); "cells": the layers, in such cells, where a tree's nodes look into their options;
    "network": the layers of the whole network, where that cannot be shortened; "choices": the choices in a chain, where
    there is no network (a space of decisions alone), its layers do not tell architectures apart, or it has more than
    LARGEST vertices.

    What does not reach the output is left out, and identities are edges, so that equal networks have equal graphs (but
    for the order of their vertices). Where each choice acts alone (fixed edges, every option keeps the shape) a graph
    is put together from parts seen before, else followed; it is kept by architecture.
    whole: the whole network in any case.
    """

    def __init__(self, space: Space, *, whole: bool = False) -> None:
        self._space = space
        self._kept: dict[Architecture, Wiring] = {}
        self._room = 0
        free = replace(space, accepts=None, members=None, costs=None)
        rng = np.random.default_rng(0)
        some = [space.sample(rng) for _ in range(PROBES)]
        self.source, self._free, self._fold = "choices", free, not has_depth(space.root)
        if not decides_only(space.root):
            trees = {"decisions": marked(space.root), "cells": marked(space.root, marks=False), "network": space.root}
            for source, tree in trees.items():
                if whole and source != "network":
                    continue
                self.source, self._free = source, replace(free, root=tree)
                try:
                    made = [reduced(self._followed(arch)) for arch in some]
                except ERRORS:
                    continue
                different = len({(one.kinds, one.numbers.tobytes(), one.edges.tobytes()) for one in made})
                large = not whole and max(len(one.kinds) for one in made) > LARGEST
                if 2 * different > len(set(some)) and not large:
                    break
            else:
                self.source = "choices"
        self._parts = _alone(space, some, self._followed) if self.source == "decisions" else None

    def of(self, arch: Architecture) -> Wiring:
        """The graph of an architecture."""
        if arch not in self._kept:
            found = self._followed(arch) if self._parts is None else self._parts(arch)
            made = found if self.source == "choices" else reduced(found)
            self._room += made.edges.size
            if self._room > KEPT:
                self._kept.clear()
                self._room = made.edges.size
            self._kept[arch] = made
        return self._kept[arch]

    def kinds(self, archs: Sequence[Architecture]) -> tuple[str, ...]:
        """Every kind of vertex that some of these have."""
        return tuple(sorted({kind for arch in archs for kind in self.of(arch).kinds}))

    def __call__(self, archs: Sequence[Architecture], kinds: Sequence[str]) -> Batch:
        """The graphs of architectures, by the kinds that are known."""
        made = [self.of(arch) for arch in archs]
        n, most = len(made), max((len(one.kinds) for one in made), default=1)
        place = {kind: k for k, kind in enumerate(kinds, 1)}
        numbers, edges = np.zeros((n, most, len(NUMBERS)), np.float32), np.zeros((n, most, most), np.float32)
        mask, codes = np.zeros((n, most), np.float32), np.zeros((n, most), np.int64)
        for k, one in enumerate(made):
            size = len(one.kinds)
            codes[k, :size] = [place.get(kind, 0) for kind in one.kinds]
            numbers[k, :size], edges[k, :size, :size], mask[k, :size] = one.numbers, one.edges, 1.0
        return Batch(codes, numbers, edges, mask)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}, "_room": 0}  # what a process read stays there

    def _followed(self, arch: Architecture) -> Wiring:
        if self.source == "choices":
            return chosen(self._space, arch)
        return wired(graph(self._free.network(arch), self._space.input), fold=self._fold)


@final
@dataclass(frozen=True, eq=False)
class _Parts:
    """A graph whose vertices change each with one choice alone."""

    first: Wiring
    at: Mapping[str, list[int]]
    rows: Mapping[str, Rows]

    def __call__(self, arch: Architecture) -> Wiring:
        kinds, numbers = list(self.first.kinds), self.first.numbers.copy()
        for name, label in arch.choices:
            at, (own, rows) = self.at[name], self.rows[name][label]
            numbers[at] = rows
            for k, kind in zip(at, own, strict=True):
                kinds[k] = kind
        return replace(self.first, kinds=tuple(kinds), numbers=numbers)


def _alone(space: Space, some: Sequence[Architecture], follow: object) -> _Parts | None:
    """The parts of a space's graphs, where each choice acts alone; None where it does not.

    Each label is tried in turn beside the first ones of all other choices. As every layer's shape follows from its own
    label and from the shapes that reach it, choices that change nothing else one by one change nothing else together;
    random architectures are compared with what is put together all the same.
    """
    holes = space.choices
    if not callable(follow) or any(not c.of_nodes or _opens(c.options) for c in holes.values()):
        return None
    if sum(len(c.labels) for c in holes.values()) > MOST:
        return None
    labels = {name: c.labels[0] for name, c in holes.items()}

    def changed(name: str, label: Label) -> Wiring:
        made: Wiring = follow(Architecture(space.name, tuple(sorted({**labels, name: label}.items()))))
        return made

    try:
        first = changed(*next(iter(labels.items())))
        at = {name: [k for k, own in enumerate(first.names) if own == name] for name in holes}
        rows = {name: {label: changed(name, label) for label in c.labels} for name, c in holes.items()}
    except ERRORS:
        return None
    parts: dict[str, Rows] = {}
    for name, by_label in rows.items():
        others = [k for k in range(len(first.kinds)) if k not in at[name]]
        if not all(_same(one, first, others) for one in by_label.values()):
            return None
        parts[name] = {b: (tuple(one.kinds[k] for k in at[name]), one.numbers[at[name]]) for b, one in by_label.items()}
    made = _Parts(first, at, parts)
    everywhere = list(range(len(first.kinds)))
    return made if all(_same(made(arch), follow(arch), everywhere) for arch in some) else None


def _same(one: Wiring, other: Wiring, at: list[int]) -> bool:
    """Whether two graphs have the same edges, and the same vertices at these places."""
    if one.edges.shape != other.edges.shape or not np.array_equal(one.edges, other.edges):
        return False
    return one.names == other.names and all(
        one.kinds[k] == other.kinds[k] and np.array_equal(one.numbers[k], other.numbers[k]) for k in at
    )


def _opens(options: Sequence[Node | Choice]) -> bool:
    """Whether an option has choices of its own."""
    return bool(plan(Chain.seq(*options)))
