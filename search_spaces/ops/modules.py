"""Modules that torch lacks; this file imports torch alone, so that an export can copy a class's source."""

from __future__ import annotations

from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Channels weighed by a gate that reads their means (Hu et al. 2018, arXiv:1709.01507, figure 2)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = nn.ReLU()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        weights: Tensor = self.gate(self.expand(self.act(self.reduce(self.pool(x)))))
        return x * weights
