"""The inverted residual and its squeeze-and-excitation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.tree import Call, Chain, Cost, Float, Identity, Int, Node, Shape, Str, Sum, Tree
from search_spaces.ops.conv import Conv, Depthwise
from search_spaces.ops.modules import SqueezeExcitation
from search_spaces.ops.norm import Act, Norm, activation


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

    squeeze: what stands behind the depthwise convolution, Identity or SqueezeExcite (a hole over both).
    """

    channels: Int
    kernel: Int = 3
    expand: Float = 6
    stride: int = 1
    squeeze: Tree = Identity()
    act: Str = "relu6"

    def lower(self, shape: Shape) -> Node:
        hidden = round(shape[0] * self.expand)
        body = Chain.of(
            expand=Conv(hidden, 1),
            norm1=Norm(),
            act1=Act(self.act),
            depthwise=Depthwise(self.kernel, self.stride),
            norm2=Norm(),
            act2=Act(self.act),
            squeeze=self.squeeze,
            project=Conv(self.channels, 1),
            norm3=Norm(),
        )
        whole = self.stride == 1 and shape[0] == self.channels
        # One path, `body`, either way, so that a supernet's keys do not depend on whether two widths are equal.
        return Sum.of(body=body, skip=Identity()) if whole else Chain.of(body=body)


def round_to(value: float, divisor: int) -> int:
    """The nearest multiple, at least one of it and at least 90 % of the value (the rule of the MobileNets)."""
    near = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * value else near
