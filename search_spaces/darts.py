"""The space of DARTS (Liu et al. 2019, arXiv:1806.09055) and of PC-DARTS (Xu et al. 2020, arXiv:1907.05737)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from nas.errors import UserError
from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Choice, Label, Node, Sum, Take
from search_spaces.genotype import edges, genes, numbers, read
from search_spaces.ops.darts_cells import OPERATIONS, Cell, Place, dropped, known, network, places

SEVEN = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The operations of an edge, without `none`."""
NODES = (2, 3, 4, 5)
"""The nodes of a cell by the authors' numbers; 0 and 1 are the cell's inputs."""
KINDS = ("normal", "reduce")
NESTED = {"Genotype_nested": ("genes", "concat", "reductions")}
"""What the text of a network of untied cells says; each cell joins all its nodes, whatever `concat` is."""


@recorded
def darts(
    input: tuple[int, int, int] = (3, 32, 32),  # the word of the project for an input shape
    classes: int = 10,
    layers: int = 8,
    channels: int = 16,
    stem: str = "cifar",
    tied: bool = True,
    operations: tuple[str, ...] = SEVEN,
    auxiliary: bool = False,
    drop_path: float = 0.0,
) -> Space:
    """Cells of four nodes, each the sum of one operation on each of two of the earlier nodes (section 2.1).

    A cell has prod_{k=1..4} k (k + 1) / 2 * 7^2 = 1,037,664,180 forms; cells at one and at two thirds of the network
    reduce. The paper searches with 8 layers and 16 channels, trains with 20 and 36 (ImageNet: 14 and 48), an auxiliary
    head (`auxiliary`, behind the cell at two thirds) and a rate of dropped paths that grows to 0.2 (`drop_path`).

    stem: "cifar" keeps the size, "imagenet" makes an eighth of it. tied: whether all normal and all reduction cells are
    equal; else each cell decides for itself. operations: of an edge; the paper's search weighs `none` as
    well, and never derives it.
    """
    if layers < 3:
        raise UserError(f"a network of darts has at least 3 layers, got {layers}", fix="give layers 3 or more")
    known(operations)
    reductions = thirds(layers)
    cells: list[Node] = []
    for i, place in enumerate(places(layers, channels, reductions, stem)):
        name = KINDS[place.stride - 1] if tied else f"cell{i}"
        cells.append(Cell(place, tuple(_node(name, n, place, operations, drop_path) for n in NODES)))
    root = network(cells, stem, channels, classes, reductions[1] if auxiliary else None)
    spelling = Spelling(_spell, _parse)
    if not tied:
        spelling = Spelling(partial(_spell_untied, reductions), partial(_parse_untied, layers, reductions))
    return Space("darts", root, tuple(input), spelling=spelling)


def thirds(layers: int) -> tuple[int, int]:
    """The numbers of the cells that reduce: at one and at two thirds of the layers, counted from 0."""
    return layers // 3, 2 * layers // 3


def _node(cell: str, n: int, place: Place, operations: Sequence[str], drop: float) -> Node:
    items: dict[str, Node] = {}
    for k in range(n):
        stride = place.stride if k < 2 else 1
        made = {op: dropped(OPERATIONS[op](place.channels, stride), drop) for op in operations}
        items[f"from{k}"] = Take(k, Choice.over(f"{cell}.node{n}.from{k}", **made))
    inputs = Choice.sets(f"{cell}.node{n}.inputs", tuple(items), 2) if n > 2 else None
    return Sum.of(inputs, **items)


def _read(arch: Architecture, cell: str) -> list[tuple[str, int, int]]:
    """The edges of a cell: operation, node, source."""
    names = ((n, k, f"{cell}.node{n}.from{k}") for n in NODES for k in range(n))
    return [(str(arch.labels[name]), n, k) for n, k, name in names if name in arch.labels]


def _labels(cell: str, found: Sequence[tuple[str, int, int]]) -> dict[str, Label]:
    labels: dict[str, Label] = {}
    for n in NODES:
        ops = {k: op for op, to, k in found if to == n}
        if len(ops) != 2 or sum(to == n for _, to, _ in found) != 2 or not set(ops) <= set(range(n)):
            read = ", ".join(str(k) for _, to, k in found if to == n) or "nothing"
            raise ValueError(f"{cell}: node {n} must read two different ones of 0 to {n - 1}, it reads {read}")
        labels |= {f"{cell}.node{n}.from{k}": op for k, op in ops.items()}
        if n > 2:
            labels[f"{cell}.node{n}.inputs"] = "_".join(f"from{k}" for k in sorted(ops))
    if len(found) != 2 * len(NODES):
        raise ValueError(f"{cell} must have {2 * len(NODES)} edges, to the nodes 2 to 5, got {len(found)}")
    return labels


def _spell(arch: Architecture) -> str:
    cells = (f"{kind}={[(op, k) for op, _, k in _read(arch, kind)]}, {kind}_concat={range(2, 6)}" for kind in KINDS)
    return f"Genotype({', '.join(cells)})"


def _parse(text: str) -> Mapping[str, Label]:
    _, fields = read(text, {"Genotype": ("normal", "normal_concat", "reduce", "reduce_concat")})
    labels: dict[str, Label] = {}
    for kind in KINDS:
        if sorted(numbers(fields[f"{kind}_concat"], f"{kind}_concat")) != list(NODES):
            raise ValueError(f"{kind}_concat must be range(2, 6), the four nodes of a cell")
        pairs = edges(fields[kind], 1, kind)
        labels |= _labels(kind, [(op, i // 2 + 2, k) for i, (op, k) in enumerate(pairs)])
    return labels


def _spell_untied(reductions: tuple[int, int], arch: Architecture) -> str:
    cells = sorted({name.partition(".")[0] for name in arch.labels}, key=lambda name: int(name.removeprefix("cell")))
    found = [_read(arch, cell) for cell in cells]
    return f"Genotype_nested(genes={found}, concat={range(2, 6)}, reductions={list(reductions)})"


def _parse_untied(layers: int, reductions: tuple[int, int], text: str) -> Mapping[str, Label]:
    _, fields = read(text, NESTED)
    labels: dict[str, Label] = {}
    for i, gene in enumerate(genes(fields, layers, reductions)):
        labels |= _labels(f"cell{i}", edges(gene, 2, f"cell{i}"))
    return labels
