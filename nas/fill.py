"""Filling: a tree with holes and what was picked make a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nas.tree import Chain, Choice, Concat, Node, Pick, Refused, Sum, Tree, parts


def fill(tree: Tree, pick: Pick) -> Node:
    """The tree without holes: `pick` is asked for each hole once a name, and never for what was cut off.

    An option that is a node stands in a chain of one item, named by its label: so the label is part of every path.
    """
    made: dict[str, int] = {}
    done: dict[int, object] = {}

    def once(choice: Choice) -> int:
        if choice.name not in made:
            made[choice.name] = int(pick(choice))
        return made[choice.name]

    filled = _fill(tree, once, done)
    if not isinstance(filled, Node):
        raise ValueError(f"a tree must be a node, not {filled!r}")
    return filled


def _fill(value: Any, pick: Pick, done: dict[int, object]) -> Any:
    if isinstance(value, Choice):
        k = pick(value)
        option = value.options[k]
        if value.of_nodes:
            return Chain((str(value.labels[k]),), (_fill(option, pick, done),))
        return option
    if isinstance(value, tuple):
        return tuple(_fill(v, pick, done) for v in value)
    if not isinstance(value, Node):
        return value
    if id(value) not in done:
        done[id(value)] = _filled(value, pick, done)
    return done[id(value)]


def _filled(node: Node, pick: Pick, done: dict[int, object]) -> Node:
    if isinstance(node, Chain):
        depth = _fill(node.depth, pick, done)
        n = len(node.items) if depth is None else depth
        return Chain(node.names[:n], tuple(_fill(item, pick, done) for item in node.items[:n]))
    if isinstance(node, Sum | Concat):
        on = [k for k, name in enumerate(node.names) if kept(node, k, name, pick)]
        if not on:
            raise Refused(f"a {type(node).__name__} of {', '.join(node.names)} keeps nothing")
        return type(node)(tuple(node.names[k] for k in on), tuple(_fill(node.items[k], pick, done) for k in on))
    new = {name: _fill(getattr(node, name), pick, done) for name in parts(type(node))}
    return node if all(v is getattr(node, k) for k, v in new.items()) else replace(node, **new)


def kept(node: Sum | Concat, k: int, name: str, pick: Pick) -> bool:
    """Whether item `k` of a sum or concatenation is there."""
    if node.keep is None:
        return True
    if isinstance(node.keep, Choice):
        return name in node.keep.options[pick(node.keep)]
    hole = node.keep[k]
    return True if hole is None else bool(hole.options[pick(hole)])
