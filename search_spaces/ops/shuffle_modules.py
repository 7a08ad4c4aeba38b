"""The module of channel splits; this file imports torch alone, so that an export can copy its source."""

from __future__ import annotations

from torch import Tensor, nn


class ChannelSlice(nn.Module):
    """Some of the channels, as a slice of Python takes them."""

    def __init__(self, start: int = 0, stop: int | None = None, step: int = 1) -> None:
        super().__init__()
        self.start, self.stop, self.step = start, stop, step

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, fewer, H, W)."""
        return x[:, self.start : self.stop : self.step]
