"""Convolutions and linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias, final

from torch import nn

from nas.tree import Call, Chain, Cost, Int, Node, Shape, Str
from search_spaces.ops.norm import Act, Norm

Sides: TypeAlias = Any
"""An int for both sides of an image, or a pair (height, width); each a number or a hole."""


@final
@dataclass(frozen=True)
class Conv(Node):
    """A 2-d convolution from (C, H, W) to (channels, ceil(H / stride), ceil(W / stride)), for odd kernels.

    kernel, stride, dilation: of both sides, or (height, width); padding: zeros on each side, None for half the kernel.
    """

    channels: Int
    kernel: Sides = 3
    stride: Sides = 1
    groups: int = 1
    bias: bool = False
    dilation: Sides = 1
    padding: Any = None

    def call(self, shape: Shape) -> Call:
        c, rest = image(self, shape)[0], {}
        if self.groups > 1 and (c % self.groups or self.channels % self.groups):
            raise ValueError(f"{self.groups} groups do not divide {c} channels into {self.channels}")
        if _pair(self.stride) != (1, 1):
            rest["stride"] = self.stride
        padding = self._padding()
        if padding != (0, 0):
            rest["padding"] = padding[0] if padding[0] == padding[1] else padding
        if _pair(self.dilation) != (1, 1):
            rest["dilation"] = self.dilation
        if self.groups > 1:
            rest["groups"] = self.groups
        if not self.bias:
            rest["bias"] = False
        return Call.of(nn.Conv2d, c, self.channels, self.kernel, **rest)

    def out(self, shape: Shape) -> Shape:
        sides = zip(image(self, shape)[1:], *self._reach(), _pair(self.stride), strict=True)
        return self.channels, *((side + room - reach) // stride + 1 for side, room, reach, stride in sides)

    def cost(self, shape: Shape) -> Cost:
        weights = self.channels * (shape[0] // self.groups) * prod(_pair(self.kernel))
        _, h, w = self.out(shape)
        return Cost(weights + self.bias * self.channels, weights * h * w, self.channels * h * w)

    def _padding(self) -> tuple[int, int]:
        if self.padding is not None:
            return _pair(self.padding)
        reach = zip(_pair(self.kernel), _pair(self.dilation), strict=True)
        high, wide = (d * (k - 1) // 2 for k, d in reach)
        return high, wide

    def _reach(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        reach = zip(_pair(self.kernel), _pair(self.dilation), strict=True)
        return tuple(2 * p for p in self._padding()), tuple(d * (k - 1) + 1 for k, d in reach)


@final
@dataclass(frozen=True)
class Depthwise(Node):
    """A convolution of each channel by itself: (C, H, W) to (C, ceil(H / stride), ceil(W / stride))."""

    kernel: Sides = 3
    stride: Sides = 1
    dilation: Sides = 1

    def call(self, shape: Shape) -> Call:
        return self._conv(shape).call(shape)

    def out(self, shape: Shape) -> Shape:
        return self._conv(shape).out(shape)

    def cost(self, shape: Shape) -> Cost:
        return self._conv(shape).cost(shape)

    def _conv(self, shape: Shape) -> Conv:
        return Conv(image(self, shape)[0], self.kernel, self.stride, shape[0], dilation=self.dilation)


@final
@dataclass(frozen=True)
class Linear(Node):
    """A linear layer over the last axis: (..., F) to (..., features)."""

    features: Int
    bias: bool = True

    def call(self, shape: Shape) -> Call:
        return Call.of(nn.Linear, shape[-1], self.features, **({} if self.bias else {"bias": False}))

    def out(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.features)

    def cost(self, shape: Shape) -> Cost:
        return Cost((shape[-1] + self.bias) * self.features, prod(shape) * self.features)


@final
@dataclass(frozen=True)
class ConvNormAct(Node):
    """Convolution, norm, activation; `act=""` leaves the activation out."""

    channels: Int
    kernel: Sides = 3
    stride: Sides = 1
    act: Str = "relu"
    padding: Any = None

    def lower(self, shape: Shape) -> Node:
        act = Act(self.act) if self.act else None
        conv = Conv(self.channels, self.kernel, self.stride, padding=self.padding)
        return Chain.of(conv=conv, norm=Norm(), act=act)


@final
@dataclass(frozen=True)
class ReluConvNorm(Node):
    """Activation, convolution, norm: the order of cell spaces (Zoph et al. 2018, arXiv:1707.07012, appendix A.4)."""

    channels: Int
    kernel: Sides = 3
    stride: Sides = 1

    def lower(self, shape: Shape) -> Node:
        return Chain.of(act=Act("relu"), conv=Conv(self.channels, self.kernel, self.stride), norm=Norm())


@final
@dataclass(frozen=True)
class SeparableConv(Node):
    """Activation, depthwise and pointwise convolution, norm, `times` over; the first one has the stride.

    Twice in the cell spaces (Zoph et al. 2018, arXiv:1707.07012, appendix A.4; Liu et al. 2019, arXiv:1806.09055).
    """

    channels: Int
    kernel: Int = 3
    stride: int = 1
    dilation: int = 1
    times: int = 2

    def lower(self, shape: Shape) -> Node:
        items: dict[str, Node] = {}
        for k in range(1, self.times + 1):
            items[f"act{k}"] = Act("relu")
            items[f"depthwise{k}"] = Depthwise(self.kernel, self.stride if k == 1 else 1, self.dilation)
            items[f"pointwise{k}"] = Conv(self.channels, 1)
            items[f"norm{k}"] = Norm()
        return Chain.of(**items)


def image(node: Node, shape: Shape) -> Shape:
    """The shape itself; ValueError where it is no image."""
    if len(shape) != 3 or not isinstance(shape[0], int):
        raise ValueError(f"{type(node).__name__} needs an image (C, H, W), got {shape}")
    return shape


def _pair(sides: Sides) -> tuple[int, int]:
    return (sides[0], sides[1]) if isinstance(sides, tuple) else (sides, sides)
