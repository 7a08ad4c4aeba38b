"""Images and labels: read from many sources, split once, and fed in batches."""

from __future__ import annotations

from nas.data.feed import batches
from nas.data.loading import load, load_test
from nas.data.part import Data, Info, Part, join, on_device, subset

__all__ = ["Data", "Info", "Part", "batches", "join", "load", "load_test", "on_device", "subset"]
