"""The channels of a space's networks, followed through the tree with its numbers at their largest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any, TypeAlias, final

import torch
from torch import nn

from nas.graph import join, several
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
)
from nas.weights.channels import KINDS, Channels, Group
from nas.weights.largest import MANY, at_largest


@final
@dataclass(frozen=True)
class Wire:
    """A value: its shape, and its channels."""

    shape: Shape
    group: Group


Value: TypeAlias = "Wire | tuple[Wire, ...]"


def followed(root: Node, shape: Shape, channels: Channels) -> set[str]:
    """Follow the channels of every network whose numbers are largest; the paths of the layers that were met.

    What comes in, goes out or is joined with other channels keeps its order. Raises ValueError as `largest` does.
    """
    flow = _Flow(channels)
    value = tuple(map(_fixed, shape)) if several(shape) else _fixed(shape)
    for out in flow.walk(at_largest(root), value, ""):
        _fix(out)
    return flow.paths


@final
@dataclass
class _Flow:
    channels: Channels
    paths: set[str] = field(default_factory=set)
    modules: dict[Call, nn.Module] = field(default_factory=dict)

    def walk(self, node: Tree, value: Value, path: str) -> list[Value]:
        """What a part may make of a value: of one shape, one."""
        match node:
            case Choice():
                pairs = zip(node.labels, node.options, strict=True)
                return _any(lambda pair: self.walk(pair[1], value, join(path, str(pair[0]))), pairs)
            case Chain():
                return self.chain(node, value, path)
            case Identity() | Zero():
                return [value]
            case Sum():
                return self.sum(node, value, path)
            case Concat():
                items = zip(node.names, node.items, strict=True)
                return _joined([self.item(item, value, join(path, name)) for name, item in items])
            case Dag():
                return self.dag(node, value, path)
            case Take():
                return _any(lambda v: self.walk(node.node, v, path), _taken(node.source, value))
            case Each():
                every = product(*(self.walk(node.node, wire, path) for wire in _wires(value)))
                return [tuple(wire for one in some for wire in _wires(one)) for some in every]
            case Scan():
                return self.scan(node, value, path)
            case TrainHead():
                for out in self.walk(node.node, value, path):
                    _fix(out)
                return [value]
        lower = node.lower(_shape(value))
        return self.walk(lower, value, path) if lower is not None else [self.leaf(node, value, path)]

    def leaf(self, node: Node, value: Value, path: str) -> Wire:
        shape = _shape(value)
        out, call = node.out(shape), node.call(shape)
        self.paths.add(path or "node")
        if call not in self.modules:
            with torch.device("meta"):
                self.modules[call] = call()
        module = self.modules[call]
        if isinstance(value, tuple) or len(shape) not in KINDS:
            _fix(value)
            return _fixed(out)
        if isinstance(module, nn.Flatten) and shape[1:] == (1, 1) and out == shape[:1]:
            return Wire(out, value.group)
        group = self.channels.through(module, value.group, KINDS[len(shape)], path or "node")
        if group.root().size != _width(out) or len(out) != len(shape):
            group.fix()
            return _fixed(out)
        return Wire(out, group)

    def chain(self, node: Chain, value: Value, path: str) -> list[Value]:
        n = len(node.items)
        depths = node.depth.options if isinstance(node.depth, Choice) else (n if node.depth is None else node.depth,)
        stops = {min(n, depth) for depth in depths}
        now = [value]
        found = list(now) if 0 in stops else []
        for k in range(max(stops)):
            now = _any(partial(self.walk, node.items[k], path=join(path, node.names[k])), now)
            found += now if k + 1 in stops else ()
        return _merged(found)

    def item(self, item: Tree, value: Value, path: str) -> list[Value]:
        try:
            return self.walk(item, value, path)
        except ValueError:
            return []  # no network has it where this arrives

    def sum(self, node: Sum, value: Value, path: str) -> list[Value]:
        pairs = zip(node.names, node.items, strict=True)
        return _merged([v for name, item in pairs for v in self.item(item, value, join(path, name))])

    def dag(self, node: Dag, value: Value, path: str) -> list[Value]:
        first = len(_wires(value)) if isinstance(value, tuple) else 1
        sights: list[Value] = [value if isinstance(value, tuple) else (value,)]
        for name, item in zip(node.names, node.items, strict=True):
            sights = _any(partial(self.step, item, path=join(path, name)), sights)
            if len(sights) > MANY:
                raise ValueError(f"{join(path, name)}: more than {MANY} sets of shapes may arrive here")
        if node.output == "last" or len(node.items) == 1:
            return _merged([_wires(sight)[-1] for sight in sights])
        return _any(lambda sight: _joined([[wire] for wire in _wires(sight)[first:]]), sights)

    def step(self, item: Tree, sight: Value, path: str) -> list[Value]:
        return [(*_wires(sight), *_wires(out)) for out in self.walk(item, sight, path)]

    def scan(self, node: Scan, value: Value, path: str) -> list[Value]:
        _fix(value)
        steps, width = _shape(value)
        for out in self.walk(node.node, (_fixed((width,)), *(_fixed((state,)) for state in node.state)), path):
            _fix(out)
        return [_fixed((steps, node.state[0]))]


def _any(made: Callable[[Any], Iterable[Value]], ways: Iterable[Any]) -> list[Value]:
    """What several ways make together; a way that does not fit makes nothing, unless none fits."""
    values: list[Value] = []
    wrong = None
    for way in ways:
        try:
            values += made(way)
        except ValueError as error:
            wrong = error
    if wrong is not None and not values:
        raise wrong
    return _merged(values)


def _merged(values: Iterable[Value]) -> list[Value]:
    """Values that may stand in one place, one of each shape; channels that are as many stand in one order."""
    found: dict[Shape, Value] = {}
    for value in values:
        there = found.setdefault(_shape(value), value)
        for a, b in zip(_wires(there), _wires(value), strict=True):
            a.group.join(b.group)
    return list(found.values())


def _joined(items: list[list[Value]]) -> list[Value]:
    fits: dict[Shape, None] = {}
    for some in product(*filter(None, items)):
        shapes = [_shape(value) for value in some]
        if all(shape[1:] == shapes[0][1:] for shape in shapes):
            fits[sum(shape[0] for shape in shapes), *shapes[0][1:]] = None
            for value in some:
                _fix(value)
    return [_fixed(shape) for shape in fits]


def _taken(source: Any, value: Value) -> list[Value]:
    if isinstance(source, Choice):
        return [_wires(value)[i] for i in source.options]
    if isinstance(source, tuple):
        return [tuple(w for v in some for w in _wires(v)) for some in product(*(_taken(i, value) for i in source))]
    return [_wires(value)[source]]


def _wires(value: Value) -> tuple[Wire, ...]:
    return value if isinstance(value, tuple) else (value,)


def _shape(value: Value) -> Shape:
    return tuple(wire.shape for wire in value) if isinstance(value, tuple) else value.shape


def _width(shape: Shape) -> int:
    width: int = shape[-1] if len(shape) == 2 else shape[0]
    return width


def _fixed(shape: Shape) -> Wire:
    return Wire(shape, Group(_width(shape), fixed=True))


def _fix(value: Value) -> None:
    for wire in _wires(value):
        wire.group.fix()
