"""What a network does between its modules, as modules that can be measured; this file needs torch alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Add(nn.Module):
    """The sum of several values."""

    def forward(self, *values: Tensor) -> Tensor:
        """Values (B, ...) of one shape."""
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total


class Join(nn.Module):
    """Values joined along their first axis."""

    def forward(self, *values: Tensor) -> Tensor:
        """(B, C_i, ...) to (B, C, ...)."""
        return torch.cat(values, 1)


class Zeros(nn.Module):
    """Zeros of a shape, for the batch of what is read."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to (B, *shape)."""
        return x.new_zeros(x.shape[0], *self.shape)


class At(nn.Module):
    """One moment of a value over time."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, D)."""
        return x[:, self.index]


class Stack(nn.Module):
    """Values at all moments, one behind another."""

    def forward(self, *values: Tensor) -> Tensor:
        """T of (B, D) to (B, T, D)."""
        return torch.stack(values, 1)
