"""The space of DARTOpti (Heuillet et al. 2021, arXiv:2108.09306): cells that start from a network made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, final

from nas.errors import UserError
from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Label, Node
from search_spaces.darts import NESTED
from search_spaces.ddarts import free_nodes, keep, kept
from search_spaces.genotype import genes, numbers, read
from search_spaces.ops.darts_cells import Cell, network, places

Gene: TypeAlias = tuple[tuple[str, int, int], ...]
"""The edges of a cell: operation, node, source."""
TWELVE = (
    "conv_3x1_1x3",
    "conv_7x1_1x7",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "simple_conv_1x1",
    "simple_conv_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "bottleneck_1x3x1",
)
"""The operations of an edge, in the authors' order."""
FIELDS = {**NESTED, "Genotype_opt": ("genes", "seq", "concat", "reductions")}


@final
@dataclass(frozen=True)
class Baseline:
    """A network made by hand as cells: its genes, which of them each cell has, and which cells halve the image."""

    nodes: int
    genes: tuple[Gene, ...]
    seq: tuple[int, ...]
    reductions: tuple[int, ...]


def _residuals(body: str, *pairs: tuple[int, int]) -> Gene:
    return tuple((op, n, k) for n, k in pairs for op in (body, "skip_connect"))


_PLAIN = (
    ("simple_conv_3x3", 2, 0),
    ("simple_conv_3x3", 3, 2),
    ("skip_connect", 3, 0),
    ("simple_conv_3x3", 4, 3),
    ("simple_conv_3x3", 5, 4),
    ("skip_connect", 5, 3),
)
_CHAIN = ((2, 0), (3, 2), (4, 3), (5, 4), (6, 5), (7, 6))
_XCEPTION = (
    (("simple_conv_1x1", 4, 0), ("sep_conv_3x3", 2, 0), ("sep_conv_3x3", 3, 2), ("max_pool_3x3", 4, 3)),
    (("skip_connect", 4, 0), ("sep_conv_3x3", 2, 0), ("sep_conv_3x3", 3, 2), ("sep_conv_3x3", 4, 3)),
    (("sep_conv_3x3", 2, 0), ("sep_conv_3x3", 3, 2)),
)
BASELINES: Mapping[str, Baseline] = {
    "resnet18": Baseline(4, (_PLAIN,), (0,) * 4, (1, 2, 3)),
    "resnet50": Baseline(
        6, tuple(_residuals("bottleneck_1x3x1", *_CHAIN[:n]) for n in (3, 4, 6)), (0, 1, 2, 0), (1, 2, 3)
    ),
    "xception": Baseline(4, _XCEPTION, (0,) * 3 + (1,) * 8 + (0, 2), (1, 2, 11, 12)),
}
"""The networks that a search starts from, as `genotypes.py` of the released code writes them."""


@recorded
def dartopti(
    input: tuple[int, int, int] = (3, 32, 32),  # the word of the project for an input shape
    classes: int = 10,
    baseline: str = "resnet18",
    channels: int = 16,
    operations: tuple[str, ...] = TWELVE,
    auxiliary: bool = False,
    drop_path: float = 0.0,
) -> Space:
    """The cells of a baseline, where each edge keeps any of the operations; cells of one gene are equal.

    baseline: one of BASELINES, which gives the number of nodes, the sequence of the genes and the reductions; `start`
    writes the architecture that it is itself. The released networks for CIFAR have 36 channels.
    """
    if baseline not in BASELINES:
        raise UserError(f"dartopti has no baseline {baseline!r}", fix=f"take one of {', '.join(BASELINES)}")
    made = BASELINES[baseline]
    stood = places(len(made.seq), channels, made.reductions, "cifar")
    cells: list[Node] = [
        Cell(place, free_nodes(f"gene{g}", made.nodes, place, operations, drop_path))
        for g, place in zip(made.seq, stood, strict=True)
    ]
    root = network(cells, "cifar", channels, classes, made.reductions[-1] if auxiliary else None)
    spelling = Spelling(partial(_spell, baseline, operations), partial(_parse, baseline, operations))
    return Space("dartopti", root, tuple(input), spelling=spelling)


def start(baseline: str) -> str:
    """The text of the architecture that a baseline itself is."""
    return _text(BASELINES[baseline], [list(gene) for gene in BASELINES[baseline].genes])


def _text(made: Baseline, cells: list[list[tuple[str, int, int]]]) -> str:
    rest = f"concat={range(2, 2 + made.nodes)}, reductions={list(made.reductions)}"
    return f"Genotype_opt(genes={cells}, seq={list(made.seq)}, {rest})"


def _spell(baseline: str, operations: tuple[str, ...], arch: Architecture) -> str:
    made = BASELINES[baseline]
    return _text(made, [kept(arch, f"gene{g}", made.nodes, operations) for g in range(len(made.genes))])


def _parse(baseline: str, operations: tuple[str, ...], text: str) -> Mapping[str, Label]:
    made = BASELINES[baseline]
    record, fields = read(text, FIELDS)
    count = len(made.genes) if record == "Genotype_opt" else len(made.seq)
    found = genes(fields, count, made.reductions)
    if record == "Genotype_opt" and numbers(fields["seq"], "seq") != list(made.seq):
        raise ValueError(f"seq of {baseline} must be {list(made.seq)}, got {fields['seq']}")
    order = range(count) if record == "Genotype_opt" else made.seq
    labels: dict[str, Label] = {}
    for i, (g, gene) in enumerate(zip(order, found, strict=True)):
        own = keep(f"gene{g}", made.nodes, operations, gene)
        if any(labels.get(name, label) != label for name, label in own.items()):
            raise ValueError(f"cell {i} has another gene than an earlier one of gene {g}; in {baseline} they are equal")
        labels |= own
    return labels
