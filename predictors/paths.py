"""Architectures as the sequences of operations on the ways through them: the path encoding of BANANAS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, TypeAlias, final

import numpy as np

from nas.errors import UserError
from nas.graph import Graph, graph
from nas.rewrite import rewrite
from nas.roles import Array
from nas.space import Architecture, Space
from nas.tree import Call, Chain, Choice, Cost, Label, Node, Shape, Take
from predictors.encode import OneHot

Path: TypeAlias = tuple[str, tuple[Label, ...]]
"""A part of the network, by what the names of its choices have in common, and the labels on one way through it."""
PROBES = 20
"""How many random architectures say which choices stand on a path."""
KEPT = 20_000
"""How many architectures' paths are kept; a further one lets all go."""


@final
class Paths:
    """A column for each path that was seen, 1 where the architecture has it (White et al. 2021, arXiv:1910.11858).

    A path is the labels of the choices of nodes on one way through a part of the network; a part ends wherever all
    ways meet, and tied parts are one. Choices outside of these (of numbers or sets, or a part's only one, or those of a
    part where every path is too long) have a column for each label, as in OneHot; so has every choice where a tree
    cannot be followed.
    longest: the most labels of a path, the truncation of the paper; None for all.
    zeros: whether a path through nothing (a `Zero`) counts.
    """

    def __init__(self, space: Space, *, longest: int | None = None, zeros: bool = True) -> None:
        self._space, self._longest, self._zeros = space, longest, zeros
        self._marked = replace(space, root=rewrite(space.root, _marked), accepts=None, members=None, costs=None)
        self._kept: dict[Architecture, frozenset[Path]] = {}
        rng = np.random.default_rng(0)
        some = [space.sample(rng) for _ in range(PROBES)]
        try:
            self._on = frozenset(name for arch in some for name in self._followed(arch)[1])
        except (ValueError, TypeError, AttributeError, KeyError, UserError):
            self._on = frozenset()  # a tree whose nodes look into their options, or without networks

    def of(self, arch: Architecture) -> frozenset[Path]:
        """The paths of an architecture, and the labels of its choices that stand on none, as paths of one."""
        if arch not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            alone = {(name, (label,)) for name, label in arch.choices if name not in self._on}
            self._kept[arch] = frozenset(alone | (self._followed(arch)[0] if self._on else set()))
        return self._kept[arch]

    def columns(self, archs: Sequence[Architecture]) -> tuple[Path, ...]:
        """Every path that some of these architectures have, short ones first."""
        return tuple(sorted({path for arch in archs for path in self.of(arch)}, key=lambda p: (len(p[1]), str(p))))

    def __call__(self, archs: Sequence[Architecture], columns: Sequence[Path]) -> Array:
        """The rows: (n, columns)."""
        place = {path: k for k, path in enumerate(columns)}
        rows = np.zeros((len(archs), len(place)))
        for n, arch in enumerate(archs):
            rows[n, [place[path] for path in self.of(arch) if path in place]] = 1.0
        return rows

    def _followed(self, arch: Architecture) -> tuple[set[Path], set[str]]:
        flat = graph(self._marked.network(arch), self._space.input)
        return _paths(flat, self._longest or len(flat.ops), self._zeros)


@final
class Coded:
    """Rows of numbers for architectures, with the columns that those it is made from have: one-hot, or by paths."""

    def __init__(self, archs: Sequence[Architecture], paths: Paths | None = None) -> None:
        self._paths, self._hot = paths, OneHot.of(archs) if paths is None else None
        self._columns = () if paths is None else paths.columns(archs)

    def __call__(self, archs: Sequence[Architecture], features: Array | None = None) -> Array:
        """The rows: (n, columns + features)."""
        rows = self._hot(archs) if self._hot is not None else self._paths(archs, self._columns)  # type: ignore[misc]  # one of both is there
        return rows if features is None else np.hstack([rows, features])


@final
@dataclass(frozen=True)
class Mark(Node):
    """Says which option was taken, and lets its input through."""

    name: str
    label: Label

    def call(self, shape: Shape) -> Call:
        raise TypeError("a mark is not built")

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost()


def _marked(part: Any) -> Any:
    """Each option of a choice of nodes begins with its mark; a node that stands in a chain repeatedly stands once."""
    if isinstance(part, Choice) and part.of_nodes:
        pairs = zip(part.options, part.labels, strict=True)
        return replace(part, options=tuple(begun(option, Mark(part.name, label)) for option, label in pairs))
    if isinstance(part, Chain) and part.depth is None:
        pairs = zip(part.names, part.items, strict=True)
        once = {id(item): (name, item) for name, item in reversed(list(pairs))}
        names, items = zip(*reversed(once.values()), strict=True) if once else ((), ())
        return Chain(tuple(names), tuple(items))
    return part


def begun(option: Any, mark: Mark) -> Node:
    """An option behind its mark; what it takes, it still takes first."""
    if isinstance(option, Take):
        return Take(option.source, Chain.of(mark=mark, node=option.node))
    return Chain.of(mark=mark, node=option)


def _paths(flat: Graph, longest: int, zeros: bool) -> tuple[set[Path], set[str]]:
    """The paths of each part of a graph, and the names of the choices on them."""
    last = list(range(len(flat.ops)))
    for n, op in enumerate(flat.ops):
        for k in op.inputs:
            last[k] = n
    found, on, reach = set[Path](), set[str](), 0
    start: set[tuple[Label, ...]] = {()}
    ways: list[set[tuple[Label, ...]]] = []
    names: list[frozenset[str]] = []
    for n, op in enumerate(flat.ops):
        here = {way for k in op.inputs for way in ways[k]} if op.inputs else start
        met = frozenset[str]().union(*(names[k] for k in op.inputs))
        if isinstance(op.node, Mark):
            here, met = {(*way, op.node.label) for way in here if len(way) < longest}, met | {op.node.name}
        if op.kind == "zero" and not zeros:
            here = set()
        if (reach <= n and not op.train) or n in flat.outputs:
            if len(met) > 1 and here:
                part = _common(met)
                found |= {(part, way) for way in here if way}
                on |= met
            here, met = start, frozenset()
        ways.append(here)
        names.append(met)
        reach = max(reach, last[n])
    return found, on


def _common(names: frozenset[str]) -> str:
    """What dotted names have in common at their beginning."""
    words = [name.split(".") for name in sorted(names)]
    same = [some[0] for some in takewhile(lambda some: len(set(some)) == 1, zip(*words, strict=False))]
    return ".".join(same)
