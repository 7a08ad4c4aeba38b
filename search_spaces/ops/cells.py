"""What the cells of NASNet, PNAS, AmoebaNet and ENAS are made of.

Read in tensorflow/models, research/slim/nets/nasnet, and in tensorflow/tpu, models/official/amoeba_net. Shapes and
counts are theirs; where they pad one side alone (stride 2, even sides), both sides are padded here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from torch import nn

from nas.graph import sources
from nas.tree import Call, Chain, Concat, Cost, Dag, Identity, Node, Shape, Take, Tree
from search_spaces.ops.conv import Conv, Linear, ReluConvNorm, SeparableConv
from search_spaces.ops.norm import Act, Norm
from search_spaces.ops.pool import AvgPool, Flatten, GlobalPool, MaxPool


@final
@dataclass(frozen=True)
class Pad(Node):
    """Zeros around an image, so many rows or columns on each side; a negative number cuts them off."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    def call(self, shape: Shape) -> Call:
        return Call.of(nn.ZeroPad2d, (self.left, self.right, self.top, self.bottom))

    def out(self, shape: Shape) -> Shape:
        c, h, w = shape
        return c, h + self.top + self.bottom, w + self.left + self.right

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class FactorizedReduction(Node):
    """Half the size: every second pixel and its lower right neighbour, a 1x1 convolution each, joined; then norm.

    (C, H, W) to (channels, ceil(H / 2), ceil(W / 2)); past the edge the neighbour is zero.
    """

    channels: int

    def lower(self, shape: Shape) -> Node:
        half = self.channels // 2
        halves = {"even": Chain.of(pool=AvgPool(1, 2), conv=Conv(self.channels - half, 1))}
        if half:
            halves["odd"] = Chain.of(shift=Pad(-1, 1, -1, 1), pool=AvgPool(1, 2), conv=Conv(half, 1))
        return Chain.of(halves=Concat.of(**halves), norm=Norm())


@final
@dataclass(frozen=True)
class StridedIdentity(Node):
    """Its input; where that has another size or other channels, a 1x1 convolution behind an activation."""

    channels: int
    stride: int = 1

    def lower(self, shape: Shape) -> Node:
        same = self.stride == 1 and shape[0] == self.channels
        return Identity() if same else ReluConvNorm(self.channels, 1, self.stride)


@final
@dataclass(frozen=True)
class Pooled(Node):
    """A pooling, and a 1x1 convolution behind it where the channels are others."""

    channels: int
    pool: Node

    def lower(self, shape: Shape) -> Node:
        if shape[0] == self.channels:
            return Chain.of(pool=self.pool)
        return Chain.of(pool=self.pool, conv=Conv(self.channels, 1), norm=Norm())


@final
@dataclass(frozen=True)
class RowColumnConv(Node):
    """A 1 x kernel and a kernel x 1 convolution, norm and activation between them."""

    channels: int
    kernel: int
    stride: int = 1

    def lower(self, shape: Shape) -> Node:
        k, s = self.kernel, self.stride
        return Chain.of(
            row=Conv(self.channels, (1, k), (1, s)),
            norm=Norm(),
            act=Act("relu"),
            column=Conv(self.channels, (k, 1), (s, 1)),
        )


@final
@dataclass(frozen=True)
class Bottleneck(Node):
    """A convolution `body` of fewer channels, `narrow` of them, between two of 1x1.

    As in tensorflow/tpu, models/official/amoeba_net/network_utils.py.
    """

    channels: int
    narrow: int
    body: Node

    def lower(self, shape: Shape) -> Node:
        return Chain.of(
            reduce=ReluConvNorm(self.narrow, 1),
            act=Act("relu"),
            body=self.body,
            norm=Norm(),
            expand=ReluConvNorm(self.channels, 1),
        )


def identity(channels: int, stride: int) -> Node:
    """The operation that changes nothing but the size and the channels, where it must."""
    return StridedIdentity(channels, stride)


def pooling(pool: Callable[[int, int], Node], kernel: int) -> Operation:
    """A pooling as an operation of cells."""
    return lambda channels, stride: Pooled(channels, pool(kernel, stride))


def separable(kernel: int) -> Operation:
    """A separable convolution, applied twice, as an operation of cells."""
    return lambda channels, stride: SeparableConv(channels, kernel, stride)


def convolution(body: Operation, share: float = 1 / 4) -> Operation:
    """A convolution over a share of the channels as an operation of cells; over all where the share is not one."""

    def made(channels: int, stride: int) -> Node:
        narrow = int(channels * share)
        if narrow:
            return Bottleneck(channels, narrow, body(narrow, stride))
        return Chain.of(act=Act("relu"), body=body(channels, stride), norm=Norm())

    return made


Operation: TypeAlias = Callable[[int, int], Node]
"""What makes an operation of a cell for its channels and its stride."""
OPERATIONS: Mapping[str, Operation] = {
    "identity": identity,
    "conv_1x3_3x1": convolution(lambda c, s: RowColumnConv(c, 3, s), 3 / 8),
    "conv_1x7_7x1": convolution(lambda c, s: RowColumnConv(c, 7, s)),
    "dilated_3x3": convolution(lambda c, s: Conv(c, 3, s, dilation=2)),
    "avg_3x3": pooling(AvgPool, 3),
    "max_3x3": pooling(MaxPool, 3),
    "max_5x5": pooling(MaxPool, 5),
    "max_7x7": pooling(MaxPool, 7),
    "conv_1x1": lambda c, s: ReluConvNorm(c, 1, s),
    "conv_3x3": convolution(lambda c, s: Conv(c, 3, s)),
    "sep_3x3": separable(3),
    "sep_5x5": separable(5),
    "sep_7x7": separable(7),
}
"""The 13 operations of NASNet (Zoph et al. 2018, arXiv:1707.07012, section 3.1), in the order of the paper."""


@final
@dataclass(frozen=True)
class Cell(Node):
    """Blocks over two values, (this one, the one before), each the sum of two operations (Zoph et al. 2018, figure 2).

    State 0 is this value through a 1x1 convolution, state 1 the one before in the same size and channels, or raw where
    `first` says that there is none; state k is block k. stride: of operations that read states 0 and 1.
    output: what is joined: "loose" (the states that no block reads), "all" blocks, or the states named.
    """

    channels: int
    stride: int
    blocks: tuple[Tree, ...]
    output: Any = "loose"
    first: bool = False

    def lower(self, shape: Shape) -> Node:
        now, before = shape
        one = (self.channels, *now[1:])
        states = Take(0, ReluConvNorm(self.channels, 1)), Take(1, Identity() if self.first else aligned(before, one))
        return assembled(states, (one, now if self.first else one), self.stride, self.blocks, self.output)


def aligned(shape: Shape, to: Shape) -> Node:
    """What makes a value of one shape one of another, which is half its size or the same."""
    if shape[1:] != to[1:]:
        return Chain.of(act=Act("relu"), reduce=FactorizedReduction(to[0]))
    return ReluConvNorm(to[0], 1) if shape[0] != to[0] else Identity()


def assembled(
    states: tuple[Take, Take], shapes: tuple[Shape, Shape], stride: int, blocks: tuple[Tree, ...], output: Any
) -> Node:
    """A cell over two values: its states 0 and 1, of these shapes, and blocks, which take state k as number k + 2."""
    names = [str(k) for k in range(len(blocks) + 2)]
    if output == "all":
        ends = names[2:]
    elif output == "loose":
        read = {f"{number - 2}" for block in blocks for number in sources(block)}
        ends = [name for name in names if name not in read]
    else:
        ends = [name for name in names if name in output]
    to = (shapes[0][0], *(-(-side // stride) for side in shapes[0][1:]))
    parts = {f"state{k}": Take(int(k) + 2, _fitted(shapes[int(k)] if int(k) < 2 else to, to)) for k in ends}
    return Dag((*names, "join"), (*states, *blocks, Concat.of(**parts)))


def _fitted(shape: Shape, to: Shape) -> Node:
    """What makes a state like the blocks: no activation before it, unlike `aligned`."""
    if shape[1:] != to[1:]:
        return FactorizedReduction(to[0])
    return Chain.of(conv=Conv(to[0], 1), norm=Norm()) if shape[0] != to[0] else Identity()


@final
@dataclass(frozen=True)
class AuxiliaryHead(Node):
    """A classifier on the way: activation, 5x5 pooling by 3, 1x1 convolution, one as large as the image, linear.

    same: whether the large convolution pads and the mean is taken after it, with no bias below, as in ENAS.
    """

    classes: int
    same: bool = False

    def lower(self, shape: Shape) -> Node:
        project = Chain.of(conv=Conv(128, 1), norm=Norm(), act=Act("relu"))
        return Chain.of(
            act=Act("relu"),
            pool=AvgPool(5, 3, 0),
            project=project,
            whole=Chain.of(conv=WholeConv(768, self.same), norm=Norm(), act=Act("relu")),
            mean=GlobalPool() if self.same else None,
            flatten=Flatten(),
            linear=Linear(self.classes, bias=not self.same),
        )


@final
@dataclass(frozen=True)
class WholeConv(Node):
    """A convolution with a kernel as large as the image; to one pixel, or by padding to the same size."""

    channels: int
    same: bool = False

    def lower(self, shape: Shape) -> Node:
        h, w = shape[1:]
        pad = Pad((w - 1) // 2, w // 2, (h - 1) // 2, h // 2) if self.same else None
        return Chain.of(pad=pad, conv=Conv(self.channels, (h, w), padding=0))
