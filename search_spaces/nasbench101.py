"""The modules of NAS-Bench-101 (Ying et al. 2019, arXiv:1902.09635): any graph of up to 7 vertices and 9 edges."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeAlias, final

from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Concat, Dag, Identity, Label, Node, Shape, Str, Sum, Take, Tree, Zero
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.pool import Classifier, MaxPool
from search_spaces.ops.shuffle import Channels

OPERATIONS = ("conv3x3", "conv1x1", "maxpool3x3")
"""What a vertex may do, in the order of the authors' numbers 0 to 2."""
WRITTEN = {"conv3x3": "conv3x3-bn-relu", "conv1x1": "conv1x1-bn-relu", "maxpool3x3": "maxpool3x3"}
"""How the authors write each operation."""
Matrix: TypeAlias = tuple[tuple[int, ...], ...]
"""Which vertex feeds which, 0 or 1, above the diagonal; the first vertex is the input, the last the output."""


@recorded
def nasbench101(
    input: tuple[int, int, int] = (3, 32, 32),  # the word of the project for an input shape
    classes: int = 10,
    vertices: int = 7,
    edges: int = 9,
    channels: int = 128,
    stacks: int = 3,
    modules: int = 3,
) -> Space:
    """Stacks of one module, half the size and twice the channels from stack to stack.

    A choice for each pair of vertices, as long as there are edges left, and for the operation of each inner vertex.
    vertices: of a module, with input and output; edges: at most; channels: of the first stack; modules: of each stack.
    """
    if channels < vertices - 2:
        raise ValueError(f"a module of {vertices} vertices needs at least {vertices - 2} channels, got {channels}")
    wires = _wires(0, edges, vertices)
    operations = tuple(Choice(f"{_name(v, vertices)}.op", OPERATIONS) for v in range(1, vertices - 1))
    body: dict[str, Node] = {"stem": ConvNormAct(channels, 3)}
    for stack in range(stacks):
        if stack:
            body[f"pool{stack}"] = MaxPool(2, 2)
        body[f"stack{stack + 1}"] = Chain.seq(*[Module(wires, operations, channels << stack)] * modules)
    return Space(
        "nasbench101",
        Chain.of(**body, head=Classifier(classes)),
        tuple(input),
        shares="the channels of a vertex follow from which vertices feed the output, so no part has a size of its own",
        relaxes="edges decide how many channels a vertex has",
        spelling=Spelling(partial(_spell, vertices=vertices), partial(_parse, vertices=vertices, edges=edges)),
        same=partial(_same, vertices=vertices),
    )


@final
@dataclass(frozen=True)
class Module(Node):
    """A graph of operations: inputs of a vertex are added, those of the output joined and then added to the input.

    wires: a chain of all edges that were decided; what lies on no path from input to output is left out.
    """

    wires: Tree
    operations: tuple[Str, ...]
    channels: int

    def lower(self, shape: Shape) -> Node:
        matrix, operations = pruned(_matrix(_bits(self.wires), len(self.operations) + 2), self.operations)
        if not matrix:
            return Chain.of(zero=Zero(), projection=ConvNormAct(self.channels, 1))
        widths, last = vertex_channels(matrix, self.channels), len(matrix) - 1
        steps = {f"vertex{v}": _vertex(matrix, v, widths, operations[v - 1]) for v in range(1, last)}
        ends = {f"from{v}": Take(v, Identity()) for v in range(1, last) if matrix[v][last]}
        terms: dict[str, Node] = {"inner": Concat.of(**ends)} if ends else {}
        if matrix[0][last]:
            terms["from0"] = Take(0, ConvNormAct(self.channels, 1))
        return Dag((*steps, "joined"), (*steps.values(), Sum.of(**terms)))


def _vertex(matrix: Matrix, v: int, widths: tuple[int, ...], operation: str) -> Node:
    """The sum of what feeds a vertex, cut to its width (the input is projected to it), and its operation."""
    width, kernels = widths[v], {"conv3x3": 3, "conv1x1": 1}
    before = [u for u in range(1, v) if matrix[u][v]]
    terms = {f"from{u}": Take(u, Channels(0, width) if widths[u] > width else Identity()) for u in before}
    if matrix[0][v]:
        terms["from0"] = Take(0, ConvNormAct(width, 1))
    does = ConvNormAct(width, kernels[operation]) if operation in kernels else MaxPool(3, 1)
    return Chain.of(inputs=Sum.of(**terms), op=does)


def vertex_channels(matrix: Matrix, channels: int) -> tuple[int, ...]:
    """The channels of each vertex (the released model_builder.py), for a matrix without loose vertices.

    Those that feed the output share its channels, earlier ones get one more where the division is not even; any other
    has as many as the widest vertex that it feeds.
    """
    last = len(matrix) - 1
    ends = [v for v in range(1, last) if matrix[v][last]]
    widths = [0] * last + [channels]
    for k, v in enumerate(ends):
        widths[v] = channels // len(ends) + (k < channels % len(ends))
    for v in reversed(range(1, last)):
        widths[v] = widths[v] or max(widths[w] for w in range(v + 1, last) if matrix[v][w])
    return tuple(widths)


def pruned(matrix: Matrix, operations: tuple[str, ...]) -> tuple[Matrix, tuple[str, ...]]:
    """A module without what lies on no path from input to output; empty where there is no such path."""
    n = len(matrix)
    there, back = {0}, {n - 1}
    for v in range(1, n):
        there |= {v} if any(matrix[u][v] for u in there if u < v) else set()
    for v in reversed(range(n - 1)):
        back |= {v} if any(matrix[v][w] for w in back if w > v) else set()
    kept = sorted(there & back)
    if n - 1 not in there:
        return (), ()
    small = tuple(tuple(matrix[u][v] for v in kept) for u in kept)
    return small, tuple(operations[v - 1] for v in kept[1:-1])


def fingerprint(matrix: Matrix, operations: tuple[str, ...]) -> str:
    """The name of a pruned module in the published table, equal for isomorphic ones (the released graph_util.py)."""
    if not matrix:
        return "no path"
    n = len(matrix)
    labels = [-1, *(OPERATIONS.index(op) for op in operations), -2]
    feeds = [[u for u in range(n) if matrix[u][v]] for v in range(n)]
    fed = [[w for w in range(n) if matrix[v][w]] for v in range(n)]
    names = [_md5(str((len(fed[v]), len(feeds[v]), labels[v]))) for v in range(n)]
    for _ in range(n):
        names = [
            _md5(
                f"{''.join(sorted(names[u] for u in feeds[v]))}|{''.join(sorted(names[w] for w in fed[v]))}|{names[v]}"
            )
            for v in range(n)
        ]
    return _md5(str(sorted(names)))


def graph_of(arch: Architecture, vertices: int = 7) -> tuple[Matrix, tuple[str, ...]]:
    """The matrix and the operations of an architecture, as they were chosen."""
    bits = tuple(int(arch.labels.get(name, 0)) for name in (_edge(u, v, vertices) for u, v in _pairs(vertices)))
    return _matrix(bits, vertices), tuple(str(arch[f"vertex{v}.op"]) for v in range(1, vertices - 1))


def _same(arch: Architecture, vertices: int) -> str:
    return fingerprint(*pruned(*graph_of(arch, vertices)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _pairs(vertices: int) -> list[tuple[int, int]]:
    """Every pair of vertices that an edge may join; neighbours first, so that random modules use most vertices."""
    return [(u, u + reach) for reach in range(1, vertices) for u in range(vertices - reach)]


def _name(vertex: int, vertices: int) -> str:
    return "output" if vertex == vertices - 1 else f"vertex{vertex}"


def _edge(source: int, vertex: int, vertices: int) -> str:
    return f"{_name(vertex, vertices)}.from{source}"


@cache
def _wires(k: int, left: int, vertices: int) -> Node:
    """The choices of edges from the k-th on, `left` of which may still be there: each opens those behind it.

    So a space counts its architectures without listing them, and none has too many edges.
    """
    pairs = _pairs(vertices)
    if k == len(pairs) or not left:
        return Identity()
    options = (_wires(k + 1, left, vertices), _wires(k + 1, left - 1, vertices))
    return Chain.of(edge=Choice(_edge(*pairs[k], vertices), options, (0, 1)))


def _bits(wires: Node) -> tuple[int, ...]:
    """What was decided of each edge, as long as there were edges left."""
    bits: list[int] = []
    while isinstance(wires, Chain):
        option = wires.items[0]
        bits.append(int(option.names[0]))
        wires = option.items[0]
    return tuple(bits)


def _matrix(bits: tuple[int, ...], vertices: int) -> Matrix:
    given = dict(zip(_pairs(vertices), bits, strict=False))
    return tuple(tuple(given.get((u, v), 0) for v in range(vertices)) for u in range(vertices))


def _spell(arch: Architecture, vertices: int) -> str:
    matrix, operations = graph_of(arch, vertices)
    rows = ",".join("".join(map(str, row)) for row in matrix)
    return f"{rows} {','.join(WRITTEN[op] for op in operations)}"


def _parse(text: str, vertices: int, edges: int) -> Mapping[str, Label]:
    """Rows of the matrix, a blank, the operations; a smaller module gets vertices without edges."""
    head, _, tail = text.strip().partition(" ")
    rows, known = head.split(","), {word: op for op, word in WRITTEN.items()}
    given = [known.get(word.strip()) for word in tail.split(",") if word.strip()]
    n = len(rows)
    upper = all(len(row) == n and set(row) <= {"0", "1"} and "1" not in row[: u + 1] for u, row in enumerate(rows))
    if not upper or not 2 <= n <= vertices or len(given) != n - 2 or None in given:
        row, words = "0" * (vertices - 1) + "1", ", ".join(WRITTEN.values())
        raise ValueError(
            f"{text!r} is no module of nasbench101; one is {vertices} rows as {row} above the diagonal, joined by "
            f"commas, a blank and {vertices - 2} of {words}, joined by commas"
        )
    if (count := head.count("1")) > edges:
        raise ValueError(f"a module of nasbench101 has at most {edges} edges, {text!r} has {count}; leave some out")
    place = {**{v: v for v in range(n - 1)}, n - 1: vertices - 1}
    there = {(place[u], place[v]) for u in range(n) for v in range(n) if rows[u][v] == "1"}
    labels: dict[str, Label] = {}
    for pair in _pairs(vertices):
        if sum(labels.values()) < edges:  # type: ignore[arg-type]  # numbers alone, as yet
            labels[_edge(*pair, vertices)] = int(pair in there)
    names = [op for op in given if op] + [OPERATIONS[0]] * (vertices - n)
    return labels | {f"vertex{v}.op": op for v, op in enumerate(names, 1)}
