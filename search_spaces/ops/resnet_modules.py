"""Modules of residual networks that torch lacks; this file imports torch alone, so that an export can copy a class."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ChannelPad(nn.Module):
    """The first `channels` channels; where there are fewer, zeros stand behind them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, channels, H, W)."""
        if x.shape[1] >= self.channels:
            return x[:, : self.channels]
        return functional.pad(x, (0, 0, 0, 0, 0, self.channels - x.shape[1]))


class NormedSqueeze(nn.Module):
    """Channels weighed by a gate that reads their means, with a norm behind each of its two convolutions."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(squeezed)
        self.act = nn.SiLU()
        self.expand = nn.Conv2d(squeezed, channels, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        squeezed = self.act(self.norm1(self.reduce(self.pool(x))))
        weights: Tensor = self.gate(self.norm2(self.expand(squeezed)))
        return x * weights
