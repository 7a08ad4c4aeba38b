"""The inverted residual, its squeeze-and-excitation and its shuffle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import nn

from nas.tree import Call, Chain, Cost, Float, Identity, Int, Node, Shape, Str, Sum, Tree
from search_spaces.ops.conv import Conv, Depthwise
from search_spaces.ops.modules import SqueezeExcitation
from search_spaces.ops.norm import Act, DropPath, Norm, activation


@final
@dataclass(frozen=True)
class SqueezeExcite(Node):
    """Channels weighed by a gate that reads their means (Hu et al. 2018, arXiv:1709.01507): (C, H, W) to (C, H, W).

    ratio: the width inside, as a share of C (or of `channels`), rounded to a multiple of `divisor`: 8 in MobileNetV3
    (Howard et al. 2019, arXiv:1905.02244, 5.3), 1 elsewhere. channels: what the share is of, None for C.
    """

    ratio: Float = 0.25
    channels: Int = None
    divisor: int = 8
    act: str = "relu"
    gate: str = "hardsigmoid"

    def call(self, shape: Shape) -> Call:
        rest = {} if self.act == "relu" else {"act": activation(self.act)}
        if self.gate != "hardsigmoid":
            rest["gate"] = activation(self.gate)
        return Call.of(SqueezeExcitation, shape[0], self._squeezed(shape), **rest)

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        c, s = shape[0], self._squeezed(shape)
        return Cost(2 * c * s + c + s, 2 * c * s, c + s)

    def _squeezed(self, shape: Shape) -> int:
        return round_to((self.channels or shape[0]) * self.ratio, self.divisor)


@final
@dataclass(frozen=True)
class MBConv(Node):
    """Inverted residual (Sandler et al. 2018, arXiv:1801.04381, table 1).

    expand: how many times the channels that come in, in multiples of `divisor` (8 in MobileNetV3, arXiv:1905.02244, and
    in Once-for-all, arXiv:1908.09791); None for no expanding convolution, as in first blocks.
    squeeze: what stands behind the depthwise convolution, Identity or SqueezeExcite (a hole over both).
    skip: what is added where the shapes fit: Identity, Zero for nothing, a pooling (or a hole over them).
    groups: of both 1x1 convolutions, with a shuffle behind the first one (Wu et al. 2019, arXiv:1812.03443, figure 3).
    drop: how often the body is dropped in train mode, where something is added (stochastic depth, arXiv:1603.09382).
    """

    channels: Int
    kernel: Int = 3
    expand: Float = 6
    stride: int = 1
    squeeze: Tree = Identity()
    act: Str = "relu6"
    skip: Tree = Identity()
    divisor: int = 1
    groups: int = 1
    drop: float = 0.0

    def lower(self, shape: Shape) -> Node:
        body: dict[str, Node] = {}
        if self.expand is not None:
            hidden = round_to(round(shape[0] * self.expand), self.divisor)
            body = {"expand": Conv(hidden, 1, groups=self.groups), "norm1": Norm(), "act1": Act(self.act)}
        if self.groups > 1:
            body["shuffle"] = ChannelShuffle(self.groups)
        whole = self.stride == 1 and shape[0] == self.channels
        chain = Chain.of(
            **body,
            depthwise=Depthwise(self.kernel, self.stride),
            norm2=Norm(),
            act2=Act(self.act),
            squeeze=self.squeeze,
            project=Conv(self.channels, 1, groups=self.groups),
            norm3=Norm(),
            drop=DropPath(self.drop) if self.drop and whole else None,
        )
        # One path, `body`, either way, so that a supernet's keys do not depend on whether two widths are equal.
        return Sum.of(body=chain, skip=self.skip) if whole else Chain.of(body=chain)


@final
@dataclass(frozen=True)
class ChannelShuffle(Node):
    """Channels of one group dealt out to all groups (Zhang et al. 2018, arXiv:1707.01083, figure 1): (C, H, W)."""

    groups: int

    def call(self, shape: Shape) -> Call:
        if shape[0] % self.groups:
            raise ValueError(f"{self.groups} groups do not divide {shape[0]} channels")
        return Call.of(nn.ChannelShuffle, self.groups)

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost()


def round_to(value: float, divisor: int) -> int:
    """The nearest multiple, at least one of it and at least 90 % of the value (the rule of the MobileNets)."""
    near = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * value else near
