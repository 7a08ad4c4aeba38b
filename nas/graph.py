"""A filled tree as a flat graph of operations with shapes: build, profile, encodings and drawings read it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, final

from nas.tree import (
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

Kind: TypeAlias = Literal["input", "node", "sum", "concat", "zero", "at", "stack"]


class TooSmall(ValueError):
    """An input that leaves a layer without room; the message names the layer."""


@final
@dataclass(frozen=True, eq=False)
class Op:
    """One operation of a graph: what it is, whose values it reads, and the shape that it puts out.

    path: the names on the way from the root, joined by dots; what is met twice under one path has one set of weights.
    node, reads: the primitive and the shape (or shapes) that reach it, for kind "node"; index: the time, for "at".
    train: whether it runs in train mode alone; counted: whether its cost is the network's.
    """

    kind: Kind
    path: str
    inputs: tuple[int, ...]
    shape: Shape
    node: Node | None = None
    reads: Shape = ()
    index: int = 0
    train: bool = False
    counted: bool = True


@final
@dataclass(frozen=True, eq=False)
class Graph:
    """Operations in an order in which they can run; the first ones are the inputs.

    heads: what is put out in train mode behind the outputs.
    """

    ops: tuple[Op, ...]
    outputs: tuple[int, ...]
    several: bool
    heads: tuple[int, ...] = ()

    @property
    def out(self) -> Shape:
        """The shape of the output, or of each where there are several."""
        shapes = tuple(self.ops[i].shape for i in self.outputs)
        return shapes if self.several else shapes[0]


@final
@dataclass(frozen=True)
class _Wire:
    at: int
    shape: Shape


_Value: TypeAlias = "_Wire | tuple[_Wire, ...]"


def several(shape: Shape) -> bool:
    """Whether a shape is of several values."""
    return bool(shape) and isinstance(shape[0], tuple)


def graph(tree: Node, shape: Shape) -> Graph:
    """The flat graph of a tree without holes, for an input of this shape.

    Raises ValueError that names the path where a hole is still open or a shape does not fit.
    """
    tracer = _Tracer()
    shapes = shape if several(shape) else (shape,)
    wires = tuple(tracer.add(Op("input", "", (), s)) for s in shapes)
    value = tracer.walk(tree, wires if several(shape) else wires[0], "")
    out = value if isinstance(value, tuple) else (value,)
    return Graph(tuple(tracer.ops), tuple(w.at for w in out), isinstance(value, tuple), tuple(tracer.heads))


@dataclass
class _Tracer:
    ops: list[Op] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)

    def add(self, op: Op) -> _Wire:
        self.ops.append(op)
        return _Wire(len(self.ops) - 1, op.shape)

    def walk(self, node: Tree, value: _Value, path: str) -> _Value:
        match node:
            case Chain():
                for name, item in zip(node.names, node.items, strict=True):
                    value = self.walk(item, value, join(path, name))
                return value
            case Identity():
                return value
            case Sum():
                return self.sum(self.items(node, value, path), path)
            case Concat():
                return self.concat(self.items(node, value, path), path)
            case Dag():
                return self.dag(node, value, path)
            case Take():
                if not isinstance(value, tuple):
                    raise ValueError(f"{path or 'the root'}: a Take must stand inside a Dag")
                source = node.source
                return self.walk(
                    node.node, tuple(value[i] for i in source) if isinstance(source, tuple) else value[source], path
                )
            case Each():
                if not isinstance(value, tuple):
                    raise ValueError(f"{path or 'the root'}: Each needs several values, got one of shape {value.shape}")
                return tuple(self.one(self.walk(node.node, v, path), path) for v in value)
            case Scan():
                return self.scan(node, self.one(value, path), path)
            case Zero():
                one = self.one(value, path)
                return self.add(Op("zero", path, (one.at,), one.shape))
            case TrainHead():
                self.head(node, value, path)
                return value
            case Choice():
                raise ValueError(f"choice {node.name!r} is still open at {path or 'the root'}; fill the tree first")
        return self.node(node, value, path)

    def node(self, node: Node, value: _Value, path: str) -> _Value:
        shape: Shape = tuple(w.shape for w in value) if isinstance(value, tuple) else value.shape
        lower = node.lower(shape)
        if lower is not None:
            return self.walk(lower, value, path)
        inputs = tuple(w.at for w in value) if isinstance(value, tuple) else (value.at,)
        try:
            out = node.out(shape)
        except ValueError as error:
            raise ValueError(f"{path or 'the root'}: {error}") from error
        if any(isinstance(n, int) and n < 1 for n in out):
            raise TooSmall(
                f"{path or 'the root'}: {type(node).__name__} has no room in {_by(shape)}, it would make {_by(out)}"
            )
        return self.add(Op("node", path, inputs, out, node, shape))

    def head(self, node: TrainHead, value: _Value, path: str) -> None:
        first = len(self.ops)
        self.heads.append(self.one(self.walk(node.node, value, path), path).at)
        if self.heads[-1] < first:
            raise ValueError(f"{path or 'the root'}: a TrainHead needs a node that makes something, got an identity")
        self.ops[first:] = [replace(op, train=True, counted=node.counted) for op in self.ops[first:]]

    def items(self, node: Sum | Concat, value: _Value, path: str) -> list[_Wire]:
        pairs = zip(node.names, node.items, strict=True)
        return [self.one(self.walk(item, value, join(path, name)), join(path, name)) for name, item in pairs]

    def one(self, value: _Value, path: str) -> _Wire:
        if isinstance(value, tuple):
            raise ValueError(f"{path or 'the root'}: one value is expected here, got {len(value)}; say which by Take")
        return value

    def sum(self, wires: list[_Wire], path: str) -> _Wire:
        if len(wires) == 1:
            return wires[0]
        if any(w.shape != wires[0].shape for w in wires):
            raise ValueError(
                f"{path or 'the root'}: a Sum needs equal shapes, got {', '.join(str(w.shape) for w in wires)}"
            )
        return self.add(Op("sum", path, tuple(w.at for w in wires), wires[0].shape))

    def concat(self, wires: list[_Wire], path: str) -> _Wire:
        if len(wires) == 1:
            return wires[0]
        if any(w.shape[1:] != wires[0].shape[1:] for w in wires):
            shapes = ", ".join(str(w.shape) for w in wires)
            raise ValueError(f"{path or 'the root'}: a Concat needs shapes equal but for the first axis, got {shapes}")
        shape = (sum(w.shape[0] for w in wires), *wires[0].shape[1:])
        return self.add(Op("concat", path, tuple(w.at for w in wires), shape))

    def dag(self, node: Dag, value: _Value, path: str) -> _Value:
        sight: tuple[_Wire, ...] = value if isinstance(value, tuple) else (value,)
        first = len(sight)
        for name, item in zip(node.names, node.items, strict=True):
            sight = (*sight, self.one(self.walk(item, sight, join(path, name)), join(path, name)))
        ends = range(first, len(sight))
        if node.output == "last":
            return sight[-1]
        if node.output == "loose":
            read = {i for item in node.items for i in sources(item)}
            ends = [i for i in ends if i not in read] or [len(sight) - 1]  # type: ignore[assignment]  # any sequence of ints
        return self.concat([sight[i] for i in ends], path)

    def scan(self, node: Scan, value: _Wire, path: str) -> _Wire:
        steps, width = value.shape
        state: tuple[_Wire, ...] = tuple(self.add(Op("zero", path, (value.at,), (w,))) for w in node.state)
        seen = []
        for t in range(steps):
            now = self.add(Op("at", path, (value.at,), (width,), index=t))
            new = self.walk(node.node, (now, *state), path)
            state = new if isinstance(new, tuple) else (new,)
            if tuple(w.shape for w in state) != tuple((w,) for w in node.state):
                got = ", ".join(str(w.shape) for w in state)
                raise ValueError(f"{path or 'the root'}: a Scan of state {node.state} got the next state {got}")
            seen.append(state[0])
        return self.add(Op("stack", path, tuple(w.at for w in seen), (steps, node.state[0])))


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))


def join(path: str, name: str) -> str:
    """A path and one more name."""
    return f"{path}.{name}" if path else name


def sources(value: object) -> set[int]:
    """The numbers of the values that a step of a Dag takes; inner Dags number their own."""
    if isinstance(value, Take):
        return set(value.source) if isinstance(value.source, tuple) else {value.source}
    if isinstance(value, Dag):
        return set()
    if isinstance(value, Node):
        return set().union(*(sources(getattr(value, name)) for name in parts(type(value))))
    if isinstance(value, tuple):
        return set().union(*map(sources, value))
    return set()


def signature(flat: Graph) -> tuple[str, bool]:
    """A name of the function that a graph computes, and whether its output depends on its input.

    Two networks of one name are equal after dropping what cannot reach the output: dead branches, identities, terms
    that are zero and what reads only zeros; the order and the grouping of the terms of a sum do not matter.
    """
    terms: list[tuple[str, ...]] = []
    for op in flat.ops:
        inputs = [terms[i] for i in op.inputs]
        if op.kind == "input":
            terms.append((f"in{len(terms)}",))
        elif op.kind == "zero" or not any(inputs):
            terms.append(())
        elif op.kind == "sum":
            terms.append(tuple(sorted(name for some in inputs for name in some)))
        else:
            reads = " ".join("+".join(some) for some in inputs)
            what = f"{op.kind} {op.index} {_token(op.node)} {op.shape} {reads}"
            terms.append((hashlib.blake2b(what.encode(), digest_size=8).hexdigest(),))
    out = ";".join("+".join(terms[i]) for i in flat.outputs)
    return hashlib.blake2b(out.encode(), digest_size=8).hexdigest(), all(terms[i] for i in flat.outputs)


def _token(node: Node | None) -> str:
    if node is None:
        return ""
    return " ".join([type(node).__name__, *(_word(getattr(node, name)) for name in parts(type(node)))])


def _word(value: Any) -> str:
    """A field of a primitive as text that is the same in every process (a function by its name, not its address)."""
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return "(" + " ".join(map(_word, value)) + ")" if isinstance(value, tuple) else str(value)
