"""Operations on features, sequences and pairs of values."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import final

from nas.tree import Call, Cost, Node, Shape
from search_spaces.ops import tables_modules as modules


@final
@dataclass(frozen=True)
class Multiply(Node):
    """The product of two values of one shape, element by element."""

    def call(self, shape: Shape) -> Call:
        return Call.of(modules.Multiply)

    def out(self, shape: Shape) -> Shape:
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"Multiply needs two values of one shape, got {shape}")
        one: Shape = shape[0]
        return one

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class Rows(Node):
    """An image as the sequence of its rows: (C, H, W) to (H, C * W)."""

    def call(self, shape: Shape) -> Call:
        return Call.of(modules.Rows)

    def out(self, shape: Shape) -> Shape:
        return shape[1], shape[0] * shape[2]

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class LastStep(Node):
    """The last step of a sequence: (T, D) to (D,)."""

    def call(self, shape: Shape) -> Call:
        return Call.of(modules.LastStep)

    def out(self, shape: Shape) -> Shape:
        return shape[1:]

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class Piece(Node):
    """The features from `start` to before `stop`: (F,) to (stop - start,)."""

    start: int
    stop: int

    def call(self, shape: Shape) -> Call:
        return Call.of(modules.Piece, self.start, self.stop)

    def out(self, shape: Shape) -> Shape:
        return (min(self.stop, prod(shape)) - self.start,)

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class PadTo(Node):
    """Zeros below and to the right: (C, H, W) to (C, height, width)."""

    height: int
    width: int

    def call(self, shape: Shape) -> Call:
        return Call.of(modules.PadTo, self.height, self.width)

    def out(self, shape: Shape) -> Shape:
        return shape[0], self.height, self.width

    def cost(self, shape: Shape) -> Cost:
        return Cost()
