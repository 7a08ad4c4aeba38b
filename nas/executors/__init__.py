"""Executors: where trials run."""

from __future__ import annotations

from nas.executors.local import Local

__all__ = ["Local"]
