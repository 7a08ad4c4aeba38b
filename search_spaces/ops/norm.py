"""Normalisation, activations, dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import nn

from nas.tree import Call, Cost, Node, Shape, Str

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


@final
@dataclass(frozen=True)
class Norm(Node):
    """Batch norm over the channels of (C, H, W) or (C,), with a learned scale and shift."""

    def call(self, shape: Shape) -> Call:
        return Call.of(nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d, shape[0])

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost(2 * shape[0])


@final
@dataclass(frozen=True)
class Act(Node):
    """An activation by name: relu, relu6, hardswish, silu, gelu, tanh, sigmoid."""

    kind: Str = "relu"

    def call(self, shape: Shape) -> Call:
        if self.kind not in ACTIVATIONS:
            raise ValueError(f"no activation is called {self.kind!r}; there are {', '.join(ACTIVATIONS)}")
        return Call.of(ACTIVATIONS[self.kind])

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class Dropout(Node):
    """Dropout of single elements with probability `rate`, in train mode."""

    rate: float = 0.1

    def call(self, shape: Shape) -> Call:
        return Call.of(nn.Dropout, self.rate)

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost()
