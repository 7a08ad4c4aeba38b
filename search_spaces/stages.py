"""Stages of a network: runs of like blocks in its chains, which can be made longer and shorter.

A stage is a run of items of a chain that are blocks of one class (or options of holes, of any class), of which each but
the first puts out the shape that it takes; an Identity between them does not end it. A block is a composite, a
structure or a user's module, no single layer. A block that stands alone is a stage if blocks of its class, named like
it but for the number, stand in a run elsewhere. A stage grows by copies of its last block; a copy of a first block has
no stride and no projection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, final

from nas.graph import graph
from nas.module import Module
from nas.tree import Chain, Concat, Dag, Each, Identity, Node, Scan, Shape, Sum, Take, TrainHead, Zero, parts

AGAIN = {"stride": 1, "project": False, "shortcut": Identity()}
"""The fields in which a block differs from the first one of its stage."""
SOLE = (Identity, Zero, Take, Each, Scan, TrainHead)
"""Structures that are no blocks."""


def deepened(tree: Node, shape: Shape, many: Callable[[int], int]) -> Node:
    """The tree with `many(n)` blocks in each stage of n; ValueError where it has no stage."""
    first = _Stages(many, set())
    first.walk(tree, shape)
    if not first.found:
        raise ValueError("it has no chain of like blocks to repeat")
    second = _Stages(many, first.found)
    second.walk(tree, shape)
    made: Node = _replaced(tree, second.chains)
    return made


@final
class _Stages:
    """A walk over a tree with its shapes, through what composites are made of.

    known: kinds of blocks that stand in runs somewhere, each with the blocks' name but for the number; found: those
    that this walk met. chains: for each chain (by its identity) its stages, as new items by the number of the first old
    item and of the one behind the last.
    """

    def __init__(self, many: Callable[[int], int], known: set[tuple[Hashable, str]]) -> None:
        self.many, self.known = many, known
        self.found: set[tuple[Hashable, str]] = set()
        self.chains: dict[int, dict[tuple[int, int], dict[str, Node]]] = {}

    def walk(self, node: Node, shape: Shape) -> None:
        match node:
            case Chain():
                self.chain(node, shape)
            case Sum() | Concat():
                for item in node.items:
                    self.walk(item, shape)
            case Dag():
                sight: Shape = shape if isinstance(shape[0], tuple) else (shape,)
                for item in node.items:
                    self.walk(item, sight)
                    sight = (*sight, graph(item, sight).out)
            case Take():
                source = node.source
                self.walk(node.node, tuple(shape[k] for k in source) if isinstance(source, tuple) else shape[source])
            case Each():
                self.walk(node.node, shape[0])
            case _ if _holds(node) and (lower := node.lower(shape)) is not None:
                self.walk(lower, shape)

    def chain(self, node: Chain, shape: Shape) -> None:
        shapes, at = _shapes(node, shape), 0
        names = set(node.names)
        while at < len(node.items):
            end = self.run(node, shapes, at)
            if end == at:
                self.walk(node.items[at], shapes[at])
                at += 1
                continue
            pairs = list(zip(node.names[at:end], node.items[at:end], strict=True))
            self.found |= {(_kind(item), _stem(name)) for name, item in pairs if end > at + 1}
            if self.known:
                made = self.longer(dict(pairs), shapes[at], shapes[end], names)
                self.chains.setdefault(id(node), {})[at, end] = made
            at = end

    def run(self, node: Chain, shapes: list[Shape], at: int) -> int:
        """Where the stage that begins at an item ends; `at` where none does."""
        item, end = node.items[at], at + 1
        if not self.block(item, shapes[at]):
            return at
        for k in range(at + 1, len(node.items)):
            after = node.items[k]
            if shapes[k] != shapes[k + 1]:
                break
            if isinstance(_inner(after), Identity):
                continue
            like = _kind(after) == _kind(item) or (_option(after) and _option(item))
            if not like or not self.block(after, shapes[k]):
                break
            end = k + 1
        alone = end == at + 1 and (_kind(item), _stem(node.names[at])) not in self.known
        return at if alone else end

    def block(self, item: Node, shape: Shape) -> bool:
        inner = _inner(item)
        if isinstance(inner, SOLE):
            return False
        if isinstance(inner, Chain):  # a chain that has a stage of its own is no block
            shapes = _shapes(inner, shape)
            return bool(inner.items) and not any(self.run(inner, shapes, k) > k + 1 for k in range(len(inner.items)))
        return isinstance(inner, Module | Sum | Concat | Dag) or "lower" in vars(type(inner))

    def longer(self, stage: dict[str, Node], shape: Shape, out: Shape, taken: set[str]) -> dict[str, Node]:
        """A stage with as many blocks as it shall have."""
        blocks = [name for name, item in stage.items() if not isinstance(_inner(item), Identity)]
        count = self.many(len(blocks))
        if count <= len(blocks):
            dropped = set(blocks[count:])
            return {name: item for name, item in stage.items() if name not in dropped}
        name = blocks[-1]
        last = _again(stage[name], shape, out) if len(blocks) == 1 else stage[name]
        if graph(last, out).out != out:
            raise ValueError(f"its block {name} cannot be repeated: it makes {graph(last, out).out} of {out}")
        made = dict(stage)
        for new in _names(name, count - len(blocks), taken):
            made[new] = last
        taken |= set(made)
        return made


def _shapes(node: Chain, shape: Shape) -> list[Shape]:
    """What reaches each item of a chain, and what it puts out."""
    shapes = [shape]
    for item in node.items:
        shapes.append(graph(item, shapes[-1]).out)
    return shapes


def _inner(node: Node) -> Node:
    """What stands in chains of one item, as options of holes do."""
    while isinstance(node, Chain) and len(node.items) == 1:
        node = node.items[0]
    return node


def _option(node: Node) -> bool:
    return isinstance(node, Chain) and len(node.items) == 1


def _kind(node: Node) -> Hashable:
    inner = _inner(node)
    if isinstance(inner, Chain | Sum | Concat | Dag):
        return type(inner), inner.names, tuple(map(_kind, inner.items))
    return inner.make if isinstance(inner, Module) else type(inner)


def _holds(value: Any) -> bool:
    """Whether a chain stands somewhere in a value."""
    if isinstance(value, tuple):
        return any(map(_holds, value))
    if isinstance(value, Node):
        return isinstance(value, Chain) or any(_holds(getattr(value, name)) for name in parts(type(value)))
    return False


def _replaced(value: Any, chains: dict[int, dict[tuple[int, int], dict[str, Node]]]) -> Any:
    """A value with the stages of its chains replaced."""
    if isinstance(value, tuple):
        return tuple(_replaced(v, chains) for v in value)
    if isinstance(value, Chain) and id(value) in chains:
        items: dict[str, Node] = {}
        at = 0
        for (start, end), stage in chains[id(value)].items():
            items |= {name: _replaced(value.items[k], chains) for k, name in enumerate(value.names[:start]) if k >= at}
            items |= stage
            at = end
        items |= {name: _replaced(value.items[k], chains) for k, name in enumerate(value.names) if k >= at}
        return Chain(tuple(items), tuple(items.values()))
    if not isinstance(value, Node):
        return value
    return replace(value, **{name: _replaced(getattr(value, name), chains) for name in parts(type(value))})


def _again(block: Node, shape: Shape, out: Shape) -> Node:
    """A first block as a later one: no stride, no projection, and what stands inside it reads what the block makes."""

    def again(value: Any, top: bool) -> Any:
        if isinstance(value, tuple):
            return tuple(again(v, top) for v in value)
        if not isinstance(value, Node):
            return value
        new = {name: again(getattr(value, name), isinstance(value, Chain) and top) for name in parts(type(value))}
        new |= {name: AGAIN[name] for name in new if name in AGAIN}
        if not top and new.get("channels") == shape[0]:
            new["channels"] = out[0]
        return replace(value, **new)

    made: Node = again(block, True)
    return made


def _stem(name: str) -> str:
    return re.sub(r"_?\d+\Z", "", name)


def _names(last: str, count: int, taken: set[str]) -> list[str]:
    """New names: those with the next numbers, or where some are taken, the last one with numbers of its own."""
    number = re.search(r"\d+\Z", last)
    if number:
        stem, at = last[: number.start()], int(number[0])
        made = [f"{stem}{at + k}" for k in range(1, count + 1)]
        if not taken & set(made):
            return made
    return [f"{last}_{k}" for k in range(2, count + 2)]
