"""Modules of transformers over images; this file imports torch alone, so that an export can copy a class's source."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FlattenImage(nn.Module):
    """An image as a row of tokens, one a pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, H * W, C)."""
        return x.flatten(2).transpose(1, 2)


class UnflattenTokens(nn.Module):
    """A row of tokens as an image."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.size = (height, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H * W, C) to (B, C, H, W)."""
        return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], *self.size)


class PrependToken(nn.Module):
    """A learned token before the others."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, features))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, 1 + T, D)."""
        return torch.cat((self.weight.expand(x.shape[0], -1, -1), x), 1)


class AddPosition(nn.Module):
    """A learned vector added to each token, by its place."""

    def __init__(self, tokens: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(tokens, features))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        return x + self.weight


class TakeTokens(nn.Module):
    """The tokens from one place to another."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, stop - start, D)."""
        return x[:, self.start : self.stop]


class TakeToken(nn.Module):
    """The first token alone."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, D)."""
        return x[:, 0]


class HeadMixing(nn.Module):
    """Every token a mean of all values, weighed by how its query fits their keys, head by head."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(B, T, D) three times to (B, T, D)."""
        size = (*query.shape[:2], self.heads, -1)
        q, k, v = (x.reshape(size).transpose(1, 2) for x in (query, key, value))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class PatchClassifier(nn.Module):
    """Classifies the mean of all tokens but the first."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, classes)."""
        out: Tensor = self.linear(x[:, 1:].mean(1))
        return out
