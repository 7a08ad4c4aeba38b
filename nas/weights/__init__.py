"""A space read as shared weights: one table of tensors, of which each of its networks uses a part."""

from __future__ import annotations

from nas.weights.relaxed import mixes, one_hot, unmixed
from nas.weights.supernet import Supernet

__all__ = ["Supernet", "mixes", "one_hot", "unmixed"]
