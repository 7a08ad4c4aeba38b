"""Images of another size, for elastic resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import nn

from nas.tree import Call, Cost, Int, Node, Shape
from search_spaces.ops.conv import image


@final
@dataclass(frozen=True)
class Resize(Node):
    """The image with both sides `side` long, by bilinear interpolation: (C, H, W) to (C, side, side)."""

    side: Int

    def call(self, shape: Shape) -> Call:
        return Call.of(nn.Upsample, size=self.side, mode="bilinear")

    def out(self, shape: Shape) -> Shape:
        return image(self, shape)[0], self.side, self.side

    def cost(self, shape: Shape) -> Cost:
        return Cost()
