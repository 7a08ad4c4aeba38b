"""Rewriting: a tree with holes becomes another one, part by part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nas.tree import Choice, Node, parts


def rewrite(tree: Any, change: Callable[[Any], Any]) -> Any:
    """The tree in which each node and each choice is what `change` makes of it, inner ones first.

    `change` gives back what it leaves alone. A part that stands in several places is changed once, so what was tied
    stays tied.
    """
    done: dict[int, Any] = {}

    def visit(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(visit, value))
        if not isinstance(value, Node | Choice):
            return value
        if id(value) not in done:
            if isinstance(value, Choice):
                inner: Any = replace(value, options=visit(value.options)) if value.of_nodes else value
            else:
                new = {name: visit(getattr(value, name)) for name in parts(type(value))}
                inner = value if all(new[name] is getattr(value, name) for name in new) else replace(value, **new)
            done[id(value)] = change(inner)
        return done[id(value)]

    return visit(tree)
