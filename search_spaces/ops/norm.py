"""Normalisation, activations, dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import nn

from nas.tree import Call, Cost, Float, Node, Shape, Str
from search_spaces.ops.modules import PathDrop

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hardsigmoid": nn.Hardsigmoid,
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
class LayerNorm(Node):
    """Layer norm over the last axis of (T, D) or (D,), with a learned scale and shift."""

    def call(self, shape: Shape) -> Call:
        return Call.of(nn.LayerNorm, shape[-1])

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost(2 * shape[-1])


@final
@dataclass(frozen=True)
class Act(Node):
    """An activation by name, one of ACTIVATIONS."""

    kind: Str = "relu"

    def call(self, shape: Shape) -> Call:
        return Call.of(activation(self.kind))

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost()


def activation(kind: str) -> type[nn.Module]:
    """The torch class of an activation; ValueError where there is none of that name."""
    if kind not in ACTIVATIONS:
        raise ValueError(f"no activation is called {kind!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[kind]


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


@final
@dataclass(frozen=True)
class DropPath(Node):
    """Drops its whole input for single examples in train mode (Larsson et al. 2017, arXiv:1605.07648, section 3.1).

    rate: the probability; scheduled: whether it grows from 0 to `rate` over the training (ScheduledDropPath, Zoph et
    al. 2018, arXiv:1707.07012, section 3).
    """

    rate: Float = 0.2
    scheduled: bool = False

    def call(self, shape: Shape) -> Call:
        return Call.of(PathDrop, self.rate, **({"scheduled": True} if self.scheduled else {}))

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost()
