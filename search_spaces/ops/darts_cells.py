"""What the cell spaces of DARTS (Liu et al. 2019, arXiv:1806.09055) are made of: operations, cells, the rest around."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import nn

from nas.errors import UserError
from nas.tree import Call, Chain, Concat, Cost, Dag, Identity, Node, Shape, Take, TrainHead, Tree, Zero
from search_spaces.ops.conv import Conv, ConvNormAct, ReluConvNorm, SeparableConv
from search_spaces.ops.norm import Act, DropPath, Norm
from search_spaces.ops.pool import AvgPool, Classifier, MaxPool

STEMS = ("cifar", "imagenet")


@final
@dataclass(frozen=True)
class Shift(Node):
    """Each pixel's lower right neighbour in its place, zeros at the ends: (C, H, W) to (C, H, W)."""

    def call(self, shape: Shape) -> Call:
        return Call.of(nn.ZeroPad2d, (-1, 1, -1, 1))

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class FactorizedReduce(Node):
    """Half the size without loss: one half of the channels reads the even pixels, the other half the odd ones.

    Where a side is odd, its last odd pixel is zero; the released code takes even sides alone.
    """

    channels: int

    def lower(self, shape: Shape) -> Node:
        half = self.channels // 2
        odd = Chain.of(shift=Shift(), conv=Conv(self.channels - half, 1, 2))
        halves = Concat.of(even=Conv(half, 1, 2), odd=odd)
        return Chain.of(act=Act("relu"), halves=halves, norm=Norm())


@final
@dataclass(frozen=True)
class Rectangular(Node):
    """Activation, convolutions along the rows and along the columns, norm: (C, H, W) to (channels, H / stride, ...)."""

    channels: int
    kernel: int
    stride: int

    def lower(self, shape: Shape) -> Node:
        rows = Conv(self.channels, (1, self.kernel), (1, self.stride))
        columns = Conv(self.channels, (self.kernel, 1), (self.stride, 1))
        return Chain.of(act=Act("relu"), rows=rows, columns=columns, norm=Norm())


@final
@dataclass(frozen=True)
class Bottleneck(Node):
    """The bottleneck of DARTOpti: 1x1, 3x3 and a 1x1 to four times the channels, then back to `channels`.

    As in the released `ResConv`, no activation stands between the first three convolutions.
    """

    channels: int
    stride: int

    def lower(self, shape: Shape) -> Node:
        return Chain.of(
            act1=Act("relu"),
            conv1=Conv(self.channels, 1),
            norm1=Norm(),
            conv2=Conv(self.channels, 3, self.stride),
            norm2=Norm(),
            conv3=Conv(4 * self.channels, 1),
            norm3=Norm(),
            act2=Act("relu"),
            conv4=Conv(self.channels, 1),
            norm4=Norm(),
        )


OPERATIONS: Mapping[str, Callable[[int, int], Node]] = {
    "none": lambda c, s: Zero() if s == 1 else Chain.of(pool=AvgPool(1, s), zero=Zero()),
    "max_pool_3x3": lambda c, s: MaxPool(3, s),
    "avg_pool_3x3": lambda c, s: AvgPool(3, s),
    "skip_connect": lambda c, s: Identity() if s == 1 else FactorizedReduce(c),
    "sep_conv_3x3": lambda c, s: SeparableConv(c, 3, s),
    "sep_conv_5x5": lambda c, s: SeparableConv(c, 5, s),
    "dil_conv_3x3": lambda c, s: SeparableConv(c, 3, s, dilation=2, times=1),
    "dil_conv_5x5": lambda c, s: SeparableConv(c, 5, s, dilation=2, times=1),
    "conv_3x1_1x3": lambda c, s: Rectangular(c, 3, s),
    "conv_7x1_1x7": lambda c, s: Rectangular(c, 7, s),
    "simple_conv_1x1": lambda c, s: ReluConvNorm(c, 1, s),
    "simple_conv_3x3": lambda c, s: ReluConvNorm(c, 3, s),
    "bottleneck_1x3x1": Bottleneck,
}
"""Every operation by the authors' name, from its channels and its stride; `none` makes zeros."""


def known(operations: Sequence[str]) -> None:
    """UserError where an operation is none of OPERATIONS."""
    if bad := [op for op in operations if op not in OPERATIONS]:
        raise UserError(f"there is no operation {bad[0]!r}", fix=f"take some of {', '.join(OPERATIONS)}")


def dropped(node: Node, rate: float) -> Node:
    """A node whose output is dropped for single examples, at a rate that grows over the training; not an Identity."""
    if isinstance(node, Identity):
        return node
    return Chain.of(op=node, drop=DropPath(rate, scheduled=True) if rate else None)


@final
@dataclass(frozen=True)
class Place:
    """Where a cell stands: its channels, the stride at its inputs, and whether the older one has twice the side."""

    channels: int
    stride: int
    reduced: bool


def places(layers: int, channels: int, reductions: Sequence[int], stem: str) -> list[Place]:
    """The places of a network's cells: those at `reductions` halve the image and double the channels."""
    if stem not in STEMS:
        raise UserError(f"there is no stem {stem!r}", fix=f"take one of {', '.join(STEMS)}")
    made, reduced = [], stem == "imagenet"
    for i in range(layers):
        stride = 2 if i in reductions else 1
        channels *= stride
        made.append(Place(channels, stride, reduced))
        reduced = stride == 2
    return made


@final
@dataclass(frozen=True)
class Cell(Node):
    """Nodes that read two earlier cells and one another; what they make is joined along the channels.

    nodes: of what is in sight, which is the two inputs and the earlier nodes; the first node is number 2.
    """

    place: Place
    nodes: tuple[Tree, ...]

    def lower(self, shape: Shape) -> Node:
        c = self.place.channels
        names = tuple(f"node{n}" for n in range(2, 2 + len(self.nodes)))
        return Dag.of(
            preprocess0=Take(0, FactorizedReduce(c) if self.place.reduced else ReluConvNorm(c, 1)),
            preprocess1=Take(1, ReluConvNorm(c, 1)),
            nodes=Take((2, 3), Dag(names, self.nodes, "all")),
        )


@final
@dataclass(frozen=True)
class AuxiliaryHead(Node):
    """The classifier that is trained beside the last one: (C, H, W) to (classes,).

    At 8x8 (stride 3) and 14x14 (stride 2) it is the released one; a smaller image is not pooled first.
    """

    classes: int
    stride: int = 3
    norm: bool = True

    def lower(self, shape: Shape) -> Node:
        sides = shape[1:]
        return Chain.of(
            act=Act("relu"),
            pool=AvgPool(5, self.stride, 0) if min(sides) >= 5 + self.stride else None,
            project=ConvNormAct(128, 1),
            conv=Conv(768, tuple(min(2, side) for side in sides), padding=0),
            norm=Norm() if self.norm else None,
            act2=Act("relu"),
            classifier=Classifier(self.classes),
        )


def network(cells: Sequence[Node], stem: str, channels: int, classes: int, head: int | None = None) -> Node:
    """Cells, each of which reads the two before it, between a stem and a classifier.

    stem: "cifar" keeps the size, "imagenet" makes an eighth of it in three convolutions; head: the number of the cell
    behind which an auxiliary head stands, None for no head.
    """
    steps: dict[str, Node] = {}
    if stem == "imagenet":
        stem0 = Chain.of(first=ConvNormAct(channels // 2, 3, 2), second=ConvNormAct(channels, 3, 2, act=""))
        steps |= {"stem0": Take(0, stem0), "stem1": Take(1, ReluConvNorm(channels, 3, 2))}
    else:
        steps["stem"] = Take(0, ConvNormAct(3 * channels, 3, act=""))
    older, newer = 1, len(steps)
    for i, cell in enumerate(cells):
        steps[f"cell{i}"] = Take((older, newer), cell)
        older, newer = newer, len(steps)
        if i == head:
            auxiliary = AuxiliaryHead(classes, 3) if stem == "cifar" else AuxiliaryHead(classes, 2, norm=False)
            steps["auxiliary"] = Take(newer, TrainHead(auxiliary))
    steps["classifier"] = Take(newer, Classifier(classes))
    return Dag(tuple(steps), tuple(steps.values()))
