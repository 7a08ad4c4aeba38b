"""What a command says at its end: text for people, or one JSON object."""

from __future__ import annotations

import json as text
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from rich.console import Console, RenderableType

from nas.space import Json

EXACT = 2**53
"""Integers above this are written as strings, since many readers of JSON hold numbers as doubles."""


@final
@dataclass(frozen=True)
class Said:
    """What a command has to say: the JSON object, and what people see instead."""

    json: Mapping[str, Json]
    people: tuple[RenderableType, ...] = ()
    code: int = 0


def speak(said: Said, *, json: bool) -> None:
    """Say it on standard output."""
    if json:
        print(text.dumps(plain(said.json), ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    for part in said.people:
        console.print(part)


def complain(message: str, fix: str, code: int, *, json: bool) -> None:
    """Say in one line what went wrong, on standard error; with --json as an object on standard output."""
    if json:
        print(text.dumps({"error": message, "fix": fix, "code": code}, ensure_ascii=False))
    line = f"nas: {message}" + (f"; {fix}" if fix else "")
    print(" ".join(line.split()), file=sys.stderr)


def plain(value: Any) -> Json:
    """A value as JSON can hold it: large integers as strings, whole floats of counts as integers, no NaN."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value) if abs(value) > EXACT else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
