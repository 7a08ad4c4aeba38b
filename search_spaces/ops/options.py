"""Choices around a reference: channels and layers a little below and above it, and squeeze-and-excitation or none."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from nas.tree import Choice, Identity
from search_spaces.ops.residual import SqueezeExcite, round_to


def channels_of(name: str, reference: int, multipliers: Sequence[float], width: float = 1.0) -> Choice:
    """The reference times each multiplier, in multiples of 8.

    width: all options times it, again in multiples of 8, under the labels that they have without: so an architecture is
    the same at every width (Tan and Le 2019, arXiv:1905.11946).
    """
    labels = sorted({round_to(reference * m, 8) for m in multipliers})
    return _scaled(name, {round_to(label * width, 8): label for label in labels})


def layers_of(name: str, reference: int, more: Sequence[int], depth: float = 1.0) -> Choice:
    """The reference and each of `more` added to it, at least 1; `depth` times as many under the same labels."""
    labels = sorted({max(1, reference + m) for m in more})
    return _scaled(name, {ceil(label * depth): label for label in labels})


def squeezes_of(name: str, shares: Sequence[float], **rest: Any) -> Choice:
    """Squeeze-and-excitation by each of these shares, 0 for none; `rest` goes to SqueezeExcite."""
    nodes = {"none" if not r else f"se{round(100 * r)}": SqueezeExcite(r, **rest) if r else Identity() for r in shares}
    return Choice.over(name, **nodes)


def _scaled(name: str, labels: dict[int, int]) -> Choice:
    return Choice(name, tuple(labels), tuple(labels.values()))
