"""Export: a trained network as files that need torch alone, with source that reads as if a person had written it."""

from __future__ import annotations

from nas.export.prove import expect, prove
from nas.export.save import Exported, export, write
from nas.export.source import Source, source

__all__ = ["Exported", "Source", "expect", "export", "prove", "source", "write"]
