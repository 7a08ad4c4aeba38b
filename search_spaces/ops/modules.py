"""Modules that torch lacks; this file imports torch alone, so that an export can copy a class's source."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Channels weighed by a gate that reads their means (Hu et al. 2018, arXiv:1709.01507, figure 2)."""

    def __init__(
        self,
        channels: int,
        squeezed: int,
        act: type[nn.Module] = nn.ReLU,
        gate: type[nn.Module] = nn.Hardsigmoid,
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = act()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        weights: Tensor = self.gate(self.expand(self.act(self.reduce(self.pool(x)))))
        return x * weights


class PathDrop(nn.Module):
    """Drops whole examples in train mode, and scales the others so that the mean stays.

    progress: the share of the training that is done, which its loop writes where the drop is scheduled.
    """

    progress: Tensor

    def __init__(self, rate: float, scheduled: bool = False) -> None:
        super().__init__()
        self.rate = rate
        self.scheduled = scheduled
        progress = torch.zeros(()) if scheduled else torch.ones(())
        self.register_buffer("progress", progress, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to (B, ...)."""
        if not self.training or not self.rate:
            return x
        keep = 1 - self.rate * self.progress
        draw = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device)
        return x * ((draw < keep) / keep).to(x.dtype)
