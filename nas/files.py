"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path


def existing(said: str) -> Path | None:
    """The file or folder that a text names; None where it names none, as a text too long for a path does."""
    try:
        path = Path(said).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
