"""What an architecture is worth: one way of rating a file."""

from __future__ import annotations

from nas.evaluators.scratch import Retrained, Scratch, Source

__all__ = ["Retrained", "Scratch", "Source"]
