"""Convolutions and linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import final

from torch import nn

from nas.tree import Call, Chain, Cost, Int, Node, Shape, Str
from search_spaces.ops.norm import Act, Norm


@final
@dataclass(frozen=True)
class Conv(Node):
    """A 2-d convolution from (C, H, W) to (channels, ceil(H / stride), ceil(W / stride)), padded by half its kernel."""

    channels: Int
    kernel: Int = 3
    stride: int = 1
    groups: int = 1
    bias: bool = False

    def call(self, shape: Shape) -> Call:
        c, rest = _image(self, shape)[0], {}
        if self.groups > 1 and (c % self.groups or self.channels % self.groups):
            raise ValueError(f"{self.groups} groups do not divide {c} channels into {self.channels}")
        if self.stride > 1:
            rest["stride"] = self.stride
        if self.kernel > 1:
            rest["padding"] = self.kernel // 2
        if self.groups > 1:
            rest["groups"] = self.groups
        if not self.bias:
            rest["bias"] = False
        return Call.of(nn.Conv2d, c, self.channels, self.kernel, **rest)

    def out(self, shape: Shape) -> Shape:
        _, h, w = _image(self, shape)
        return self.channels, -(-h // self.stride), -(-w // self.stride)

    def cost(self, shape: Shape) -> Cost:
        weights = self.channels * (shape[0] // self.groups) * self.kernel**2
        _, h, w = self.out(shape)
        return Cost(weights + self.bias * self.channels, weights * h * w, self.channels * h * w)


@final
@dataclass(frozen=True)
class Depthwise(Node):
    """A convolution of each channel by itself: (C, H, W) to (C, ceil(H / stride), ceil(W / stride))."""

    kernel: Int = 3
    stride: int = 1

    def call(self, shape: Shape) -> Call:
        return self._conv(shape).call(shape)

    def out(self, shape: Shape) -> Shape:
        return self._conv(shape).out(shape)

    def cost(self, shape: Shape) -> Cost:
        return self._conv(shape).cost(shape)

    def _conv(self, shape: Shape) -> Conv:
        return Conv(shape[0], self.kernel, self.stride, groups=shape[0])


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
    kernel: Int = 3
    stride: int = 1
    act: Str = "relu"

    def lower(self, shape: Shape) -> Node:
        act = Act(self.act) if self.act else None
        return Chain.of(conv=Conv(self.channels, self.kernel, self.stride), norm=Norm(), act=act)


@final
@dataclass(frozen=True)
class ReluConvNorm(Node):
    """Activation, convolution, norm: the order of cell spaces (Zoph et al. 2018, arXiv:1707.07012, appendix A.4)."""

    channels: Int
    kernel: Int = 3
    stride: int = 1

    def lower(self, shape: Shape) -> Node:
        return Chain.of(act=Act("relu"), conv=Conv(self.channels, self.kernel, self.stride), norm=Norm())


def _image(node: Node, shape: Shape) -> Shape:
    if len(shape) != 3 or not isinstance(shape[0], int):
        raise ValueError(f"{type(node).__name__} needs an image (C, H, W), got {shape}")
    return shape
