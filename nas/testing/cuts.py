"""Which choices of a space cut a chain or keep items: numbers and sets that say which nodes there are."""

from __future__ import annotations

from typing import Any

from nas.space import Space
from nas.tree import Chain, Choice, Concat, Node, Sum, parts


def cutting(space: Space) -> set[str]:
    """The names of the choices that cut a chain, or say what a sum or a concatenation keeps."""
    found: set[str] = set()
    seen: set[int] = set()

    def visit(value: Any) -> None:
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, Chain) and isinstance(value.depth, Choice):
            found.add(value.depth.name)
        if isinstance(value, Sum | Concat) and isinstance(value.keep, tuple):
            found.update(c.name for c in value.keep if c is not None)
        if isinstance(value, Choice):
            for option in value.options:
                visit(option)
        elif isinstance(value, Node):
            for name in parts(type(value)):
                visit(getattr(value, name))
        elif isinstance(value, tuple):
            for part in value:
                visit(part)

    visit(space.root)
    return found
