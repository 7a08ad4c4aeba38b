"""Pooling and the classifier on top of a network."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import final

from torch import nn

from nas.tree import Call, Chain, Cost, Int, Node, Shape
from search_spaces.ops.conv import Linear
from search_spaces.ops.norm import Dropout


@final
@dataclass(frozen=True)
class AvgPool(Node):
    """Average pooling of (C, H, W) to (C, ceil(H / stride), ceil(W / stride)); what is padded does not count.

    padding: on each side; None keeps ceil(H / stride), 0 leaves out what does not fill a window.
    """

    kernel: Int = 3
    stride: int = 1
    padding: int | None = None

    def call(self, shape: Shape) -> Call:
        rest = _rest(self.kernel, self.stride, self.padding, shape)
        if "padding" in rest:
            rest["count_include_pad"] = False
        return Call.of(nn.AvgPool2d, self.kernel, self.stride, **rest)

    def out(self, shape: Shape) -> Shape:
        return _pooled(shape, self.kernel, self.stride, self.padding)

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class MaxPool(Node):
    """Maximum pooling of (C, H, W) to (C, ceil(H / stride), ceil(W / stride)); padding as for AvgPool."""

    kernel: Int = 3
    stride: int = 1
    padding: int | None = None

    def call(self, shape: Shape) -> Call:
        rest = _rest(self.kernel, self.stride, self.padding, shape)
        return Call.of(nn.MaxPool2d, self.kernel, self.stride, **rest)

    def out(self, shape: Shape) -> Shape:
        return _pooled(shape, self.kernel, self.stride, self.padding)

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class GlobalPool(Node):
    """The mean over the image: (C, H, W) to (C, 1, 1)."""

    def call(self, shape: Shape) -> Call:
        return Call.of(nn.AdaptiveAvgPool2d, 1)

    def out(self, shape: Shape) -> Shape:
        return shape[0], 1, 1

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class Flatten(Node):
    """All axes in one: (C, H, W) to (C * H * W,)."""

    def call(self, shape: Shape) -> Call:
        return Call.of(nn.Flatten)

    def out(self, shape: Shape) -> Shape:
        return (prod(shape),)

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class Classifier(Node):
    """The mean over the image and a linear layer: (C, H, W) to (classes,)."""

    classes: int
    dropout: float = 0.0

    def lower(self, shape: Shape) -> Node:
        drop = Dropout(self.dropout) if self.dropout else None
        return Chain.of(pool=GlobalPool(), flatten=Flatten(), dropout=drop, linear=Linear(self.classes))


def _rest(kernel: int, stride: int, padding: int | None, shape: Shape) -> dict[str, object]:
    """Padding that gives ceil(side / stride): half an odd kernel; an even one reaches over an odd side's end."""
    if padding is not None:
        return {"padding": padding} if padding else {}
    rest: dict[str, object] = {}
    if kernel % 2 and kernel > 1:
        rest["padding"] = kernel // 2
    elif stride > 1 and any(side % stride for side in shape[1:]):
        rest["ceil_mode"] = True
    return rest


def _pooled(shape: Shape, kernel: int, stride: int, padding: int | None) -> Shape:
    c, *sides = shape
    if padding is None:
        return c, *(-(-side // stride) for side in sides)
    return c, *((side + 2 * padding - kernel) // stride + 1 for side in sides)
