"""The layers of a space at their largest: every path that some network of it has, and what is called there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any, final

from nas.graph import TooSmall, join, several, sources
from nas.tree import (
    Call,
    Chain,
    Choice,
    Concat,
    Dag,
    Each,
    Identity,
    Node,
    Scan,
    Shape,
    Sum,
    Take,
    TrainHead,
    Tree,
    Zero,
    parts,
)

MANY = 4096
"""More sets of shapes than this in sight of one step are refused: the walk would not end."""


def largest(root: Node, shape: Shape, number: Callable[[Sequence[Any]], Any] = max) -> dict[str, tuple[Call, ...]]:
    """What is called at each path of a tree with holes, its numbers at their largest and its node-holes open.

    At an open hole every option is walked, with each shape that may arrive there; so architectures are not enumerated.
    Numbers in a Chain's depth, a `keep` and a Take's source are node-holes here: what each leaves is walked.
    Raises ValueError where no option of a hole fits what reaches it.
    number: which of the options of a hole of numbers stands in it, where it is not the largest one.
    """
    walk = _Walk()
    walk.shapes(at_largest(root, number), shape, "")
    return {path: tuple(calls) for path, calls in walk.calls.items()}


def at_largest(tree: Node, number: Callable[[Sequence[Any]], Any] = max) -> Node:
    """A tree in which each hole of numbers is its largest one, of strings the first; holes that wire stay open."""
    done: dict[int, Any] = {}

    def visit(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(visit, value))
        if not isinstance(value, Node | Choice):
            return value
        if id(value) not in done:
            done[id(value)] = _closed(value, visit, number)
        return done[id(value)]

    filled: Node = visit(tree)
    return filled


def _closed(value: Node | Choice, visit: Callable[[Any], Any], number: Callable[[Sequence[Any]], Any]) -> Any:
    if isinstance(value, Choice):
        if value.of_nodes:
            return replace(value, options=tuple(map(visit, value.options)))
        return value.options[0] if isinstance(value.options[0], str) else number(value.options)
    wires = {Chain: "depth", Sum: "keep", Concat: "keep", Take: "source"}.get(type(value))
    fields = [name for name in parts(type(value)) if name != wires]
    return replace(value, **{name: visit(getattr(value, name)) for name in fields})


@final
@dataclass
class _Walk:
    calls: dict[str, dict[Call, None]] = field(default_factory=dict)

    def shapes(self, node: Tree, shape: Shape, path: str) -> tuple[Shape, ...]:
        """Every shape that may come out of a part."""
        return tuple(dict.fromkeys(self.walk(node, shape, path)))

    def walk(self, node: Tree, shape: Shape, path: str) -> Iterable[Shape]:
        match node:
            case Choice():
                pairs = zip(node.labels, node.options, strict=True)
                return _any(lambda pair: self.shapes(pair[1], shape, join(path, str(pair[0]))), pairs)
            case Chain():
                return self.chain(node, shape, path)
            case Identity() | Zero():
                return (shape,)
            case Sum():
                return self.sum(node, shape, path)
            case Concat():
                return _joined(self.items(node, shape, path), path)
            case Dag():
                return self.dag(node, shape, path)
            case Take():
                return _any(lambda s: self.shapes(node.node, s, path), _taken(node.source, shape))
            case Each():
                return product(*(self.shapes(node.node, s, path) for s in shape))
            case Scan():
                self.shapes(node.node, ((shape[1],), *((width,) for width in node.state)), path)
                return ((shape[0], node.state[0]),)
            case TrainHead():
                self.shapes(node.node, shape, path)
                return (shape,)
        lower = node.lower(shape)
        return self.shapes(lower, shape, path) if lower is not None else (self.leaf(node, shape, path),)

    def leaf(self, node: Node, shape: Shape, path: str) -> Shape:
        out = node.out(shape)
        if any(isinstance(n, int) and n < 1 for n in out):
            raise TooSmall(f"{path or 'the root'}: {type(node).__name__} has no room in {shape}")
        self.calls.setdefault(path or "node", {})[node.call(shape)] = None
        return out

    def chain(self, node: Chain, shape: Shape, path: str) -> Iterable[Shape]:
        n = len(node.items)
        depths = node.depth.options if isinstance(node.depth, Choice) else (n if node.depth is None else node.depth,)
        stops = {min(n, depth) for depth in depths}
        now: tuple[Shape, ...] = (shape,)
        found = list(now) if 0 in stops else []
        for k in range(max(stops)):
            now = _any(partial(self.shapes, node.items[k], path=join(path, node.names[k])), now)
            found += now if k + 1 in stops else ()
        return found

    def items(self, node: Sum | Concat, shape: Shape, path: str) -> list[tuple[Shape, ...]]:
        triples = zip(range(len(node.items)), node.names, node.items, strict=True)
        return [self.item(item, shape, join(path, name), sure=_sure(node, k)) for k, name, item in triples]

    def item(self, item: Tree, shape: Shape, path: str, *, sure: bool) -> tuple[Shape, ...]:
        try:
            return self.shapes(item, shape, path)
        except ValueError:
            if sure:
                raise
            return ()  # no network keeps it where this arrives

    def sum(self, node: Sum, shape: Shape, path: str) -> Iterable[Shape]:
        terms = self.items(node, shape, path)
        sure = [some for k, some in enumerate(terms) if _sure(node, k)]
        found = [s for some in terms for s in some if all(s in other for other in sure)]
        if not found:
            raise ValueError(f"{path or 'the root'}: the items of a Sum never have equal shapes: {terms}")
        return found

    def dag(self, node: Dag, shape: Shape, path: str) -> Iterable[Shape]:
        first = len(shape) if several(shape) else 1
        sights: tuple[Shape, ...] = (shape if several(shape) else (shape,),)
        for name, item in zip(node.names, node.items, strict=True):
            sights = _any(partial(self.step, item, path=join(path, name)), sights)
            if len(sights) > MANY:
                raise ValueError(f"{join(path, name)}: more than {MANY} sets of shapes may arrive here")
        ends: Iterable[int] = range(first, first + len(node.items))
        if node.output == "last":
            return [s[-1] for s in sights]
        if node.output == "loose":  # of the steps that some network leaves loose, all
            read: set[Any] = set().union(*map(sources, node.items))
            ends = [i for i in ends if i not in read] or [first + len(node.items) - 1]
        return _any(lambda s: _joined([(s[i],) for i in ends], path), sights)

    def step(self, item: Tree, sight: Shape, path: str) -> Iterable[Shape]:
        return ((*sight, out) for out in self.shapes(item, sight, path))


def _any(made: Callable[[Any], Iterable[Shape]], ways: Iterable[Any]) -> tuple[Shape, ...]:
    """The shapes that several ways make together; a way that does not fit makes none, unless none fits."""
    shapes: dict[Shape, None] = {}
    wrong = None
    for way in ways:
        try:
            shapes |= dict.fromkeys(made(way))
        except ValueError as error:
            wrong = error
    if wrong is not None and not shapes:
        raise wrong
    return tuple(shapes)


def _joined(items: list[tuple[Shape, ...]], path: str) -> Iterator[Shape]:
    fits = [some for some in product(*filter(None, items)) if all(s[1:] == some[0][1:] for s in some)]
    if not fits:
        raise ValueError(f"{path or 'the root'}: the items of a Concat never fit: {items}")
    return ((sum(s[0] for s in some), *some[0][1:]) for some in fits)


def _taken(source: Any, shape: Shape) -> Iterator[Shape]:
    if isinstance(source, Choice):
        return (shape[i] for i in source.options)
    if isinstance(source, tuple):
        return product(*(_taken(i, shape) for i in source))
    return iter((shape[source],))


def _sure(node: Sum | Concat, k: int) -> bool:
    if isinstance(node.keep, Choice):
        return all(node.names[k] in some for some in node.keep.options)
    return node.keep is None or node.keep[k] is None
