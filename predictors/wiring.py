"""A network as a small graph: what was decided are its vertices, what only joins them its edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import final

import numpy as np

from nas.graph import Graph, Op
from nas.roles import Array
from nas.space import Architecture, Space
from nas.tree import Cost, Node, Shape, parts
from predictors.marking import FIXED, LAYER
from predictors.paths import Mark

NUMBERS = ("width", "widest", "size", "kernel", "macs", "params", "place")
"""What is known of a vertex in numbers: all but kernel and place as log(1 + x).

place: how many vertices lie on the longest way from the input, from 0 to 1.
"""
THROUGH, NOTHING = "=", "0"
"""The kinds of a vertex that lets its input through, and of one that makes zeros of it."""


@final
@dataclass(frozen=True, eq=False)
class Wiring:
    """The vertices of a network in an order in which they run; the first is the input, the last the output.

    kinds: what each is; names: of the choice that it stands for, "" for none; numbers: (n, NUMBERS);
    edges: (n, n), in how many ways the vertex of the row feeds that of the column.
    """

    kinds: tuple[str, ...]
    names: tuple[str, ...]
    numbers: Array
    edges: Array


@final
@dataclass
class _Vertex:
    kind: str
    name: str
    words: set[str]
    shape: Shape
    widest: int = 0
    kernel: int = 0
    cost: Cost = Cost()
    zero: bool = False

    def add(self, op: Op, again: bool) -> None:
        """One more operation; its parameters count unless it stands here again."""
        width = _sides(op.shape)[0]
        self.shape, self.widest, self.zero = op.shape, max(self.widest, width), self.zero or op.kind == "zero"
        if op.node is not None and not isinstance(op.node, Mark):
            self.words.add(_word(op.node))
            self.kernel = max(self.kernel, _kernel(op.node))
            cost = op.node.cost(op.reads)
            self.cost += Cost(0 if again else cost.params, cost.macs, cost.activations)

    def named(self) -> str:
        """Its kind: the label, and the primitives that it is made of."""
        if not self.words and self.name:
            return NOTHING if self.zero else THROUGH
        return " ".join([self.kind, *sorted(self.words)]).strip()

    def row(self) -> list[float]:
        """Its numbers, in the order of NUMBERS; the place is found later."""
        width, size = _sides(self.shape)
        logs = np.log1p([width, self.widest, size, self.cost.macs, self.cost.params]).tolist()
        return [*logs[:3], float(self.kernel), *logs[3:], 0.0]


def wired(flat: Graph, *, fold: bool = False) -> Wiring:
    """The vertices of a graph: its marks and layers, each with all operations behind it, and what computes outside.

    Sums, concatenations and what neither computes nor changes the shape (norms, activations) dissolve into
    edges; so does what was not decided. A loop over time is one turn of itself.
    fold: a choice that stands in several cells is the vertex of the first of them alone.
    """
    made = {"input": _Vertex("input", "", set(), flat.ops[0].shape)}
    marks: dict[str, Mark] = {}
    first: dict[str, str] = {}
    seen: set[str] = set()
    reach: list[frozenset[str]] = []
    edges: set[tuple[str, str]] = set()
    for op in flat.ops:
        before = frozenset[str]().union(*(reach[k] for k in op.inputs))
        key = _vertex(op, marks)
        mark = marks.get(key or "")
        again = mark is not None and fold and first.setdefault(mark.name, key or "") != key
        if not op.inputs:
            reach.append(frozenset({"input"}))
        elif key is None or op.train or again:
            reach.append(frozenset() if op.kind == "zero" else before)
        else:
            kind, name = (str(mark.label), mark.name) if mark is not None else ("", "")
            made.setdefault(key, _Vertex(kind, name, set(), op.shape)).add(op, op.path in seen)
            edges |= {(other, key) for other in before if other != key}
            reach.append(frozenset({key}))
        seen.add(op.path)
    ends = frozenset[str]().union(*(reach[k] for k in flat.outputs))
    made["output"] = _Vertex("output", "", set(), flat.ops[flat.outputs[0]].shape)
    return _closed(made, edges | {(end, "output") for end in ends})


def reduced(whole: Wiring) -> Wiring:
    """The graph of what reaches the output: equal for networks that differ in dead branches and in identities.

    A vertex that makes zeros goes, with all that reads nothing else or that nobody reads; one that lets its input
    through becomes edges, of which there may be several from one vertex to another.
    """
    edges, n = whole.edges.copy(), len(whole.kinds)
    for k, kind in enumerate(whole.kinds):
        if kind == THROUGH:
            edges += np.outer(edges[:, k], edges[k])
        if kind in (THROUGH, NOTHING):
            edges[k], edges[:, k] = 0.0, 0.0
    ahead, back = [True, *[False] * (n - 1)], [*[False] * (n - 1), True]
    feeds = [np.flatnonzero(row).tolist() for row in edges]
    reads = [np.flatnonzero(column).tolist() for column in edges.T]
    _spread(feeds, ahead, [0])
    _spread(reads, back, [n - 1])
    kept = [k for k in range(n) if (ahead[k] and back[k]) or k in (0, n - 1)]
    depth = [0.0] * n
    for k in kept[1:]:
        depth[k] = 1.0 + max((depth[i] for i in reads[k] if i < k and ahead[i]), default=0.0)
    numbers = whole.numbers[kept]
    numbers[:, -1] = np.array([depth[k] for k in kept]) / max(depth[-1], 1.0)
    kinds, names = tuple(whole.kinds[k] for k in kept), tuple(whole.names[k] for k in kept)
    return Wiring(kinds, names, numbers, edges[np.ix_(kept, kept)])


def _spread(edges: list[list[int]], met: list[bool], at: list[int]) -> None:
    while at:
        for k in edges[at.pop()]:
            if not met[k]:
                met[k] = True
                at.append(k)


def chosen(space: Space, arch: Architecture) -> Wiring:
    """The choices themselves as a chain, each feeding the next and the output: where there is no network to read."""
    labels = arch.labels
    made = [name for name in space.choices if name in labels]
    kinds = ("input", *(f"{name.rsplit('.', 1)[-1]} {labels[name]}" for name in made), "output")
    n = len(kinds)
    numbers, edges = np.zeros((n, len(NUMBERS))), np.eye(n, k=1)
    numbers[:, -1] = np.linspace(0, 1, n)
    for k, name in enumerate(made, 1):
        label = labels[name]
        numbers[k, 0] = np.log1p(abs(label)) if isinstance(label, int | float) else 0.0
    edges[1:-1, -1] = 1.0
    return Wiring(kinds, ("", *made, ""), numbers, edges)


def _vertex(op: Op, marks: dict[str, Mark]) -> str | None:
    """The name of the vertex that an operation belongs to; None where it dissolves."""
    if isinstance(op.node, Mark):
        prefix = op.path.rpartition(".")[0]
        marks[prefix] = op.node
        return prefix
    prefix = op.path
    while prefix:
        last = prefix.rpartition(".")[2]
        if prefix in marks or last == LAYER:
            return prefix
        if last == FIXED:
            return None
        prefix = prefix.rpartition(".")[0]
    return None if op.node is None or _silent(op) else op.path


def _silent(op: Op) -> bool:
    """Whether an operation neither computes nor looks around, nor changes the shape."""
    node = op.node
    return node is not None and op.shape == op.reads and not _kernel(node) and not node.cost(op.reads).macs


def _closed(made: Mapping[str, _Vertex], edges: set[tuple[str, str]]) -> Wiring:
    place = {key: k for k, key in enumerate(made)}
    matrix = np.zeros((len(made), len(made)))
    for a, b in edges:
        matrix[place[a], place[b]] = 1.0
    rows = np.array([vertex.row() for vertex in made.values()])
    kinds = tuple(v.named() for v in made.values())
    return Wiring(kinds, tuple(v.name for v in made.values()), rows, matrix)


def _word(node: Node) -> str:
    """The class of a primitive, and its words: an activation is another one by its name alone."""
    words = (getattr(node, name) for name in parts(type(node)))
    return "-".join([type(node).__name__, *(w for w in words if isinstance(w, str))])


def _kernel(node: Node) -> int:
    kernel = getattr(node, "kernel", 0)
    return max(kernel) if isinstance(kernel, tuple) else int(kernel or 0)


def _sides(shape: Shape) -> tuple[int, int]:
    """The width of a value, and how many places it has: (C, H, W), (T, D) or (F,)."""
    if len(shape) == 2:
        return int(shape[1]), int(shape[0])
    return int(shape[0]), prod(shape[1:])
