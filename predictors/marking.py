"""A tree with marks where something is decided, and whose repeated parts stand once, for small graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, final

from nas.tree import Chain, Choice, Dag, Node, Take, parts
from predictors.paths import Mark, begun

FIXED, LAYER = "fixed__", "layer__"
"""Names on a path: what stands behind the first was not decided, what stands behind the second is one vertex."""


def marked(tree: Node, *, marks: bool = True) -> Node:
    """The tree with a mark where something is decided, for `wired`.

    Each option of a choice of nodes begins with a mark, and a layer with holes of numbers or words is named as one, so
    that what they are made of becomes one vertex; a part of the trunk without holes becomes none. In a chain, a part
    that stands there repeatedly, and a later one of the same choices of nodes (a cell at another width), stand once.
    marks: without, the trunk alone is shortened, for nodes that look into their options.
    """
    return _Marker(marks).walk(tree, True)  # type: ignore[no-any-return]  # a node stays one


def has_depth(tree: Any) -> bool:
    """Whether a chain of a tree is cut by a hole."""
    return _any(tree, lambda part: isinstance(part, Chain) and isinstance(part.depth, Choice), set())


def _any(value: Any, test: Callable[[Any], bool], met: set[int]) -> bool:
    """Whether a part of a tree passes a test; what is below a Dag, too."""
    if isinstance(value, tuple):
        return any(_any(one, test, met) for one in value)
    if not isinstance(value, Node | Choice) or id(value) in met:
        return False
    met.add(id(value))
    if isinstance(value, Choice):
        return value.of_nodes and _any(value.options, test, met)
    return test(value) or any(_any(getattr(value, name), test, met) for name in parts(type(value)))


@final
class _Marker:
    def __init__(self, marks: bool) -> None:
        self._marks = marks
        self._held: dict[int, frozenset[tuple[str, bool]]] = {}
        self._done: dict[int, Any] = {}
        self._alive: list[Any] = []  # so that no number of an object is used again

    def holes(self, value: Any) -> frozenset[tuple[str, bool]]:
        """The names of all choices in a part of a tree, and whether each is of nodes."""
        if isinstance(value, tuple):
            return frozenset[tuple[str, bool]]().union(*map(self.holes, value))
        if not isinstance(value, Node | Choice):
            return frozenset()
        if id(value) not in self._held:
            self._alive.append(value)
            if isinstance(value, Choice):
                inner = self.holes(value.options) if value.of_nodes else frozenset[tuple[str, bool]]()
                self._held[id(value)] = inner | {(value.name, value.of_nodes)}
            else:
                self._held[id(value)] = self.holes(tuple(getattr(value, n) for n in parts(type(value))))
        return self._held[id(value)]

    def walk(self, value: Any, trunk: bool = False) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self.walk, value))
        held = self.holes(value)
        if not self._marks and not isinstance(value, Chain):
            return value
        if not held:
            return Chain((FIXED,), (value,)) if trunk and isinstance(value, Node) else value
        if id(value) not in self._done:
            self._done[id(value)] = self.changed(value, trunk)
        return self._done[id(value)]

    def changed(self, value: Any, trunk: bool) -> Any:
        if isinstance(value, Choice):
            if not value.of_nodes:
                return value
            pairs = zip(value.options, value.labels, strict=True)
            return replace(value, options=tuple(self.option(o, Mark(value.name, label)) for o, label in pairs))
        if isinstance(value, Chain):
            return self.chain(value, trunk)
        if type(value).lower is not Node.lower and not any(_nodes(getattr(value, n)) for n in parts(type(value))):
            return Chain((LAYER,), (value,))
        return replace(value, **{name: self.walk(getattr(value, name)) for name in parts(type(value))})

    def option(self, option: Any, mark: Mark) -> Any:
        inner = self.walk(option)
        return inner if not isinstance(option, Take) and _takes(option) else begun(inner, mark)

    def chain(self, chain: Chain, trunk: bool) -> Chain:
        if chain.depth is not None:
            return replace(chain, items=tuple(self.walk(item, trunk) for item in chain.items))
        kept: dict[str, Any] = {}
        met: set[Any] = set()
        for name, item in zip(chain.names, chain.items, strict=True):
            held = self.holes(item)
            cell = (type(item), held) if any(of_nodes for _, of_nodes in held) else id(item)
            if cell not in met:
                met.add(cell)
                kept[name] = self.walk(item, trunk)
        return Chain(tuple(kept), tuple(kept.values()))


def _nodes(value: Any) -> bool:
    """Whether a field is of nodes, so that its node is no layer by itself."""
    if isinstance(value, Choice):
        return value.of_nodes
    return any(map(_nodes, value)) if isinstance(value, tuple) else isinstance(value, Node)


def _takes(value: Any, met: set[int] | None = None) -> bool:
    """Whether a part of a tree says itself what it reads of several values, so that no mark may stand before it."""
    met = set() if met is None else met
    if isinstance(value, tuple):
        return any(_takes(one, met) for one in value)
    if not isinstance(value, Node | Choice) or isinstance(value, Dag) or id(value) in met:
        return False
    met.add(id(value))
    if isinstance(value, Choice):
        return value.of_nodes and _takes(value.options, met)
    return isinstance(value, Take) or any(_takes(getattr(value, name), met) for name in parts(type(value)))
