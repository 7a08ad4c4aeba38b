"""The space of D-DARTS (Heuillet et al. 2021, arXiv:2108.09306): each cell for itself, any operations on an edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from nas.errors import UserError
from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Label, Node, Sum, Take
from search_spaces.darts import NESTED, SEVEN, thirds
from search_spaces.genotype import edges, genes, read
from search_spaces.ops.darts_cells import OPERATIONS, Cell, Place, known, network, places
from search_spaces.ops.norm import DropPath


@recorded
def ddarts(
    input: tuple[int, int, int] = (3, 32, 32),  # the word of the project for an input shape
    classes: int = 10,
    cells: int = 8,
    layers: int = 8,
    channels: int = 16,
    reductions: tuple[int, ...] = (),
    operations: tuple[str, ...] = SEVEN,
    auxiliary: bool = False,
    drop_path: float = 0.0,
) -> Space:
    """Cells as in DARTS, where each of 14 edges keeps any of the operations, and each cell decides for itself.

    The authors derive from it by a threshold: one operation on each of two edges of a node ("sparse"), or up to two on
    each edge ("edge"). Every one of `cells` is decided; with more `layers` they repeat (`origin`). The paper searches
    with 8 cells and trains with 36 channels, an auxiliary head behind the last reduction, and dropped paths.

    reductions: the numbers of the cells that halve the image, () for those at one and at two thirds of the layers.
    """
    if layers < 3 or layers < cells or (layers > cells and cells < 5):
        rule = "at least as many layers as cells, at least 3, and at least 5 cells where they repeat"
        raise UserError(f"ddarts needs {rule}, got {cells} cells and {layers} layers", fix="change cells or layers")
    at = tuple(reductions) or thirds(layers)
    made: list[Node] = [
        Cell(place, free_nodes(f"cell{origin(i, layers, cells)}", 4, place, operations, drop_path))
        for i, place in enumerate(places(layers, channels, at, "cifar"))
    ]
    root = network(made, "cifar", channels, classes, at[-1] if auxiliary else None)
    spelling = Spelling(partial(_spell, cells, at, operations), partial(_parse, cells, at, operations))
    return Space("ddarts", root, tuple(input), spelling=spelling)


def origin(i: int, layers: int, cells: int) -> int:
    """Which of the `cells` stands at place `i` of a deeper network: one of the same third of the searched network.

    The cells at the two thirds are those of the thirds; the others repeat, as the released `NetworkCIFAR` counts them.
    """
    if layers <= cells:
        return i
    (first, second), (a, b) = thirds(layers), thirds(cells)
    if i < first:
        return i % cells // 3
    if i in (first, second):
        return a if i == first else b
    return i % (b - a - 1) + a + 1 if i < second else i % (cells - b - 1) + b + 1


def free_nodes(name: str, count: int, place: Place, operations: Sequence[str], drop: float) -> tuple[Node, ...]:
    """The nodes of a cell whose edges keep any operations; "cell3.node2.from0.sep_conv_3x3" is 1 where it is kept.

    An edge without any, and so a node without any, makes zeros: the released code leaves such a node out, which is
    the same function with fewer weights in the cells that read it.
    """
    known(operations)
    if "none" in operations:
        raise UserError("an edge keeps any operations, and none of them is already one way", fix="leave out `none`")
    made: list[Node] = []
    for n in range(2, 2 + count):
        items = {f"from{k}": Take(k, _edge(f"{name}.node{n}.from{k}", k, place, operations)) for k in range(n)}
        rate = DropPath(drop, scheduled=True) if drop else None
        made.append(Chain.of(sum=Sum.of(**items), drop=rate))
    return tuple(made)


def _edge(name: str, source: int, place: Place, operations: Sequence[str]) -> Node:
    stride = place.stride if source < 2 else 1
    items = {op: OPERATIONS[op](place.channels, stride) for op in ("none", *operations)}
    return Sum.of((None, *(Choice(f"{name}.{op}", (0, 1)) for op in operations)), **items)


def kept(arch: Architecture, name: str, count: int, operations: Sequence[str]) -> list[tuple[str, int, int]]:
    """The edges of a cell as the authors write them: operation, node, source."""
    every = ((op, n, k) for n in range(2, 2 + count) for k in range(n) for op in operations)
    return [(op, n, k) for op, n, k in every if arch[f"{name}.node{n}.from{k}.{op}"]]


def keep(name: str, count: int, operations: Sequence[str], found: object) -> dict[str, Label]:
    """The labels of a cell from its edges as the authors write them; ValueError where they are none of its edges."""
    every = ((n, k, op) for n in range(2, 2 + count) for k in range(n) for op in operations)
    labels: dict[str, Label] = {f"{name}.node{n}.from{k}.{op}": 0 for n, k, op in every}
    for op, n, k in edges(found, 2, name):
        edge = f"{name}.node{n}.from{k}.{op}"
        if edge not in labels:
            rule = f"(operation, node, source) with node 2 to {1 + count} and a source below it"
            raise ValueError(
                f"{name} has no edge {(op, n, k)}; one is {rule}, operation one of {', '.join(operations)}"
            )
        labels[edge] = 1
    return labels


def _spell(cells: int, reductions: tuple[int, ...], operations: tuple[str, ...], arch: Architecture) -> str:
    found = [kept(arch, f"cell{i}", 4, operations) for i in range(cells)]
    return f"Genotype_nested(genes={found}, concat={range(2, 6)}, reductions={list(reductions)})"


def _parse(cells: int, reductions: tuple[int, ...], operations: tuple[str, ...], text: str) -> Mapping[str, Label]:
    _, fields = read(text, NESTED)
    labels: dict[str, Label] = {}
    for i, gene in enumerate(genes(fields, cells, reductions)):
        labels |= keep(f"cell{i}", 4, operations, gene)
    return labels
