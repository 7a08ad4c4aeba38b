"""The cells of NAS-Bench-201 (Dong and Yang 2020, arXiv:2001.00326), with any number of cells and channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Dag, Identity, Int, Label, Node, Shape, Sum, Take, Tree, Zero
from search_spaces.ops.conv import Conv, ConvNormAct, ReluConvNorm
from search_spaces.ops.norm import Act, Norm
from search_spaces.ops.pool import AvgPool, Classifier

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


@recorded
def nasbench201(
    input: tuple[int, int, int] = (3, 32, 32),  # the word of the project for an input shape
    classes: int = 10,
    cells: int = 5,
    channels: int = 16,
) -> Space:
    """Three stages of tied cells with a residual block between them (figure 1): 5^6 = 15,625 architectures.

    cells: of each stage (5 in the paper); channels: of the first stage (16), doubled in each next one.
    """
    body: dict[str, Node] = {"stem": ConvNormAct(channels, 3, act="")}
    for stage in range(3):
        if stage:
            body[f"reduce{stage}"] = ResidualReduction(channels << stage)
        cell = Cell(*(_edge(channels << stage, *pair) for pair in ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))))
        body[f"stage{stage + 1}"] = Chain.seq(*[cell] * cells)
    root = Chain.of(**body, norm=Norm(), act=Act("relu"), head=Classifier(classes))
    return Space("nasbench201", root, tuple(input), spelling=Spelling(_spell, _parse), same=unique)


@final
@dataclass(frozen=True)
class Cell(Node):
    """Four nodes, each the sum of what its edges make of the earlier ones; `a_b` is the edge from node b to node a."""

    edge1_0: Tree
    edge2_0: Tree
    edge2_1: Tree
    edge3_0: Tree
    edge3_1: Tree
    edge3_2: Tree

    def lower(self, shape: Shape) -> Node:
        return Dag.of(
            node1=Sum.of(from0=Take(0, self.edge1_0)),
            node2=Sum.of(from0=Take(0, self.edge2_0), from1=Take(1, self.edge2_1)),
            node3=Sum.of(from0=Take(0, self.edge3_0), from1=Take(1, self.edge3_1), from2=Take(2, self.edge3_2)),
        )


@final
@dataclass(frozen=True)
class ResidualReduction(Node):
    """Half the size, more channels: two convolutions beside a pooled shortcut."""

    channels: Int

    def lower(self, shape: Shape) -> Node:
        body = Chain.of(first=ReluConvNorm(self.channels, 3, 2), second=ReluConvNorm(self.channels, 3))
        return Sum.of(body=body, shortcut=Chain.of(pool=AvgPool(2, 2), conv=Conv(self.channels, 1)))


def _edge(channels: int, to: int, source: int) -> Choice:
    return Choice.over(
        f"node{to}.from{source}",
        none=Zero(),
        skip_connect=Identity(),
        nor_conv_1x1=ReluConvNorm(channels, 1),
        nor_conv_3x3=ReluConvNorm(channels, 3),
        avg_pool_3x3=AvgPool(3, 1),
    )


def unique(arch: Architecture, *, zeros: bool = True) -> str:
    """The string by which the authors tell cells apart: 6,466 different ones, 12,751 without `zeros`.

    The released `to_unique_str(consider_zero=zeros)`: an edge `none`, or one that reads nothing but it, is "#" with
    `zeros`, and an operation like others without.
    """
    nodes = ["0"]
    for n in (1, 2, 3):
        terms = []
        for i in range(n):
            op = arch[f"node{n}.from{i}"]
            if zeros and (op == "none" or nodes[i] == "#"):
                terms.append("#")
            else:
                terms.append(nodes[i] if op == "skip_connect" else f"({nodes[i]})@{op}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


def _spell(arch: Architecture) -> str:
    nodes = (range(1), range(2), range(3))
    return "+".join(
        "|" + "".join(f"{arch[f'node{n}.from{i}']}~{i}|" for i in sources) for n, sources in enumerate(nodes, 1)
    )


def _parse(text: str) -> Mapping[str, Label]:
    labels: dict[str, Label] = {}
    nodes = text.strip().split("+")
    for n, node in enumerate(nodes, 1):
        edges = node.strip("|").split("|")
        for i, edge in enumerate(edges):
            op, _, source = edge.partition("~")
            if len(nodes) != 3 or len(edges) != n or source != str(i) or op not in OPERATIONS:
                raise ValueError(f"{text!r} is no cell of nasbench201; one is |op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
            labels[f"node{n}.from{i}"] = op
    return labels
