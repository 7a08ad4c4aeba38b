"""Modules for rows, products and padding; this file imports torch alone, so that an export can copy their source."""

from __future__ import annotations

from torch import Tensor, nn


class Multiply(nn.Module):
    """The product of two values, element by element."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, ...) and (B, ...) to (B, ...)."""
        return a * b


class Rows(nn.Module):
    """An image as the sequence of its rows, each with all its channels."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, H, C * W)."""
        return x.transpose(1, 2).flatten(2)


class LastStep(nn.Module):
    """The last step of a sequence."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, D)."""
        return x[:, -1]


class Piece(nn.Module):
    """Some features in a row."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) to (B, stop - start)."""
        return x[:, self.start : self.stop]


class PadTo(nn.Module):
    """An image with zeros below and to the right, up to a height and a width."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, height, width)."""
        down, right = self.height - x.shape[2], self.width - x.shape[3]
        return nn.functional.pad(x, (0, right, 0, down))
