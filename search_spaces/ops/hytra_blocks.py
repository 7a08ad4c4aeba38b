"""The blocks of BossNet: bottlenecks around a convolution or around self-attention (Li et al. 2021, arXiv:2103.12424).

How a block is entered, and its shortcut, are parts of their own, since they depend on what it reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.tree import Chain, Dag, Identity, Node, Shape, Str, Sum, Take, Tree
from search_spaces.ops.attention import MixHeads, Tokens, TokensToImage
from search_spaces.ops.conv import Conv, ConvNormAct, image
from search_spaces.ops.norm import Act, Norm
from search_spaces.ops.pool import AvgPool


@final
@dataclass(frozen=True)
class Enter(Node):
    """Fewer channels, and a depthwise convolution that tells positions (Chu et al. 2021, arXiv:2102.10882)."""

    channels: int
    stride: int = 1

    def lower(self, shape: Shape) -> Node:
        position = Conv(self.channels, 3, self.stride, groups=self.channels, bias=True)
        return Chain.of(conv=Conv(self.channels, 1), position=position, norm=Norm())


@final
@dataclass(frozen=True)
class Shortcut(Node):
    """What stands for the identity where a block changes its input's shape.

    pooled: a mean, a convolution 1 x 1 and a norm (He et al. 2019, arXiv:1812.01187, figure 2c); else a convolution,
    3 x 3 where it has a stride, with norm and activation.
    """

    channels: int
    stride: int = 1
    pooled: bool = False
    act: Str = "relu"

    def lower(self, shape: Shape) -> Node:
        if not self.pooled:
            return ConvNormAct(self.channels, 3 if self.stride > 1 else 1, self.stride, self.act)
        pool = AvgPool(2, self.stride) if self.stride > 1 else None
        return Chain.of(pool=pool, conv=Conv(self.channels, 1), norm=Norm())


@final
@dataclass(frozen=True)
class ResConv(Node):
    """A bottleneck around a convolution; enter: to a quarter of the channels; squeeze: what stands before the sum."""

    channels: int
    enter: Tree
    shortcut: Tree
    squeeze: Tree = Identity()
    act: Str = "relu"

    def lower(self, shape: Shape) -> Node:
        body = Chain.of(
            enter=self.enter,
            act1=Act(self.act),
            conv=Conv(self.channels // 4, 3),
            norm1=Norm(),
            act2=Act(self.act),
            expand=Conv(self.channels, 1),
            norm2=Norm(),
            squeeze=self.squeeze,
        )
        return Chain.of(sum=Sum.of(body=body, shortcut=self.shortcut), act=Act(self.act))


@final
@dataclass(frozen=True)
class ResAtt(Node):
    """A bottleneck around self-attention over the whole image; enter: to a quarter of the channels."""

    channels: int
    heads: int
    enter: Tree
    shortcut: Tree
    act: Str = "relu"

    def lower(self, shape: Shape) -> Node:
        body = Chain.of(
            enter=self.enter,
            act1=Act(self.act),
            attention=ImageAttention(self.heads),
            norm1=Norm(),
            act2=Act(self.act),
            expand=Conv(self.channels, 1),
            norm2=Norm(),
        )
        return Chain.of(sum=Sum.of(body=body, shortcut=self.shortcut), act=Act(self.act))


@final
@dataclass(frozen=True)
class ImageAttention(Node):
    """Multi-head self-attention of all pixels, without biases and without a projection: (C, H, W) to (C, H, W)."""

    heads: int

    def lower(self, shape: Shape) -> Node:
        channels, height, width = image(self, shape)
        project = Chain.of(conv=Conv(channels, 1), tokens=Tokens())
        return Dag.of(
            query=Take(0, project),
            key=Take(0, project),
            value=Take(0, project),
            mix=Take((1, 2, 3), MixHeads(self.heads)),
            image=Take(4, TokensToImage(height, width)),
        )


@final
@dataclass(frozen=True)
class Reach(Node):
    """From the stem to a scale: windows of stride x stride, channel by channel, then a convolution 1 x 1 and a norm."""

    channels: int
    stride: int

    def lower(self, shape: Shape) -> Node:
        c, *sides = image(self, shape)
        window = tuple(min(self.stride, side) for side in sides)  # a small image is one window
        apart = Conv(c, window, self.stride, groups=c, padding=0)
        return Chain.of(depthwise=apart, pointwise=Conv(self.channels, 1), norm=Norm())
