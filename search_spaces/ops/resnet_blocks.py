"""The blocks of residual networks, and the shortcuts beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import nn

from nas.tree import Call, Chain, Cost, Identity, Int, Node, Shape, Sum, Tree
from search_spaces.ops.conv import Conv, Depthwise, image
from search_spaces.ops.norm import Act, Norm
from search_spaces.ops.pool import AvgPool, MaxPool
from search_spaces.ops.resnet_modules import ChannelPad, NormedSqueeze

SHORTCUTS = ("projection", "pooled", "bare", "padded")
"""How a block's input is brought to the shape of its output; see `shortcut`."""
BATCH = Norm()


def shortcut(kind: str, channels: Int, stride: int, norm: Node = BATCH) -> Node:
    """What stands beside a block that changes the width or the size: it is stated, and has one path at any widths.

    kind: "projection", a strided 1x1 convolution and a norm (option B of He et al. 2016, arXiv:1512.03385, 3.3);
    "pooled", the convolution without a stride behind a 2x2 mean (He et al. 2019, arXiv:1812.01187, figure 2c); "bare",
    as "pooled" but without the norm where it halves the size (Dong and Yang 2019, arXiv:1905.09717, the authors' code);
    "padded", every second pixel and zeros for new channels (option A of He et al. 2016).
    """
    if kind == "padded":
        return Chain.of(skip=MaxPool(1, stride) if stride > 1 else None, pad=PadChannels(channels))
    if kind == "projection":
        return Chain.of(conv=Conv(channels, 1, stride), norm=norm)
    pool = AvgPool(2, stride) if stride > 1 else None
    return Chain.of(pool=pool, conv=Conv(channels, 1), norm=None if kind == "bare" and pool else norm)


@final
@dataclass(frozen=True)
class BasicBlock(Node):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, arXiv:1512.03385, figure 5).

    inner: channels between the two; shortcut: Identity, or what `shortcut` makes.
    """

    channels: Int
    inner: Int
    stride: int = 1
    shortcut: Tree = Identity()
    norm: Node = BATCH

    def lower(self, shape: Shape) -> Node:
        body = Chain.of(
            conv1=Conv(self.inner, 3, self.stride),
            norm1=self.norm,
            act=Act("relu"),
            conv2=Conv(self.channels, 3),
            norm2=self.norm,
        )
        return Chain.of(sum=Sum.of(body=body, shortcut=self.shortcut), act=Act("relu"))


@final
@dataclass(frozen=True)
class BottleneckBlock(Node):
    """A convolution between two 1x1 ones, beside a shortcut (He et al. 2016, arXiv:1512.03385, figure 5).

    The stride is that of the middle convolution, as in all code today; the paper's was in the first one.
    """

    channels: Int
    inner: Int
    stride: int = 1
    shortcut: Tree = Identity()
    norm: Node = BATCH
    kernel: Int = 3

    def lower(self, shape: Shape) -> Node:
        body = Chain.of(
            conv1=Conv(self.inner, 1),
            norm1=self.norm,
            act1=Act("relu"),
            conv2=Conv(self.inner, self.kernel, self.stride),
            norm2=self.norm,
            act2=Act("relu"),
            conv3=Conv(self.channels, 1),
            norm3=self.norm,
        )
        return Chain.of(sum=Sum.of(body=body, shortcut=self.shortcut), act=Act("relu"))


@final
@dataclass(frozen=True)
class SqueezeBlock(Node):
    """A depthwise convolution and a gate between two 1x1 convolutions, with an activation behind it all.

    The `ResK1DWSEK1` of DeepMAD (Shen et al. 2023, arXiv:2303.02165, the authors' code): the input is added where it
    has as many channels, as its 2x2 mean where the block halves the size.
    """

    channels: Int
    inner: Int
    stride: int = 1
    kernel: Int = 3

    def lower(self, shape: Shape) -> Node:
        body = Chain.of(
            conv1=Conv(self.inner, 1),
            norm1=Norm(),
            act1=Act("silu"),
            conv2=Depthwise(self.kernel, self.stride),
            norm2=Norm(),
            act2=Act("silu"),
            squeeze=SqueezeNorm(),
            conv3=Conv(self.channels, 1),
            norm3=Norm(),
        )
        # One path, `sum.body`, either way, so that a supernet's keys do not depend on whether two widths are equal.
        items: dict[str, Node] = {"body": body}
        if shape[0] == self.channels:
            items["shortcut"] = AvgPool(2, self.stride) if self.stride > 1 else Identity()
        return Chain.of(sum=Sum.of(**items), act=Act("silu"))


@final
@dataclass(frozen=True)
class SqueezeNorm(Node):
    """Channels weighed by a gate with norms inside: (C, H, W) to (C, H, W), a quarter of C wide, cut to eights.

    The `SE` of DeepMAD (Shen et al. 2023, arXiv:2303.02165, the authors' code).
    """

    ratio: float = 0.25

    def call(self, shape: Shape) -> Call:
        return Call.of(NormedSqueeze, shape[0], self._squeezed(shape))

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        c, s = shape[0], self._squeezed(shape)
        return Cost(2 * c * s + 2 * (c + s), 2 * c * s, c + s)

    def _squeezed(self, shape: Shape) -> int:
        near: int = round(shape[0] * self.ratio)
        return max(1, near // 8) * 8


@final
@dataclass(frozen=True)
class PadChannels(Node):
    """The first channels, or all of them and zeros: (C, H, W) to (channels, H, W)."""

    channels: Int

    def call(self, shape: Shape) -> Call:
        return Call.of(ChannelPad, self.channels)

    def out(self, shape: Shape) -> Shape:
        return self.channels, *image(self, shape)[1:]

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class PlainNorm(Node):
    """Batch norm over the channels of (C, H, W) by the statistics of each batch, in any mode, with nothing learned.

    The module raises ValueError for a batch of one image of one pixel.
    """

    def call(self, shape: Shape) -> Call:
        return Call.of(nn.BatchNorm2d, image(self, shape)[0], affine=False, track_running_stats=False)

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost()
