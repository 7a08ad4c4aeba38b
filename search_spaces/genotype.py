"""The texts in which DARTS and its kin write cells, `Genotype(normal=[...], ...)`: read as data, never run."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST = 1000
"""No range in such a text is longer."""


def read(text: str, fields: Mapping[str, tuple[str, ...]]) -> tuple[str, dict[str, Any]]:
    """The name of the record that a text writes, and its fields by name.

    fields: the names of the fields that each record has. Raises ValueError where the text is none of these records.
    """
    start = " ".join(text.split())[:40]
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in fields:
            raise ValueError("that is another thing")
        made = {str(k.arg): _value(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        forms = " or ".join(f"{name}({', '.join(f'{f}=[...]' for f in own)})" for name, own in fields.items())
        raise ValueError(f"{start!r}... is no text of cells; one is {forms}") from error
    if call.args or set(made) != set(fields[call.func.id]):
        raise ValueError(f"{start!r}... must give {', '.join(fields[call.func.id])}, each by its name and no other")
    return call.func.id, made


def edges(found: object, numbers: int, what: str) -> list[tuple[Any, ...]]:
    """A list of an operation's name and `numbers` numbers each; ValueError naming `what` where it is none."""
    shape = f"({', '.join(['operation', *['number'] * numbers])})"
    if not isinstance(found, list):
        raise ValueError(f"{what} must be a list of {shape}, got {found!r:.40}")
    for edge in found:
        kinds = [type(part) for part in edge] if isinstance(edge, tuple) else []
        if kinds != [str, *[int] * numbers]:
            raise ValueError(f"{what} must be a list of {shape}, got {edge!r:.40} in it")
    return found


def numbers(found: object, what: str) -> list[int]:
    """A list of numbers; ValueError naming `what` where it is none."""
    if not isinstance(found, list) or any(type(n) is not int for n in found):
        raise ValueError(f"{what} must be a list of numbers, got {found!r:.40}")
    return found


def genes(fields: Mapping[str, Any], count: int, reductions: Sequence[int]) -> list[Any]:
    """The cells of a text; ValueError where they are not `count`, or reduce the image at other places."""
    if numbers(fields["reductions"], "reductions") != list(reductions):
        here, there = list(reductions), fields["reductions"]
        raise ValueError(
            f"the text reduces at the cells {there}, the space at {here}; make a space with its reductions"
        )
    found = fields["genes"]
    if not isinstance(found, list) or len(found) != count:
        raise ValueError(f"genes must be a list of {count} cells, got {found!r:.40}...")
    return found


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        span = range(*(ast.literal_eval(part) for part in node.args))
        if node.keywords or len(span) > LONGEST:
            raise ValueError("that is no short range")
        return list(span)
    return ast.literal_eval(node)
