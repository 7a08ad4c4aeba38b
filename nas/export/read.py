"""Reading a filled tree with its hierarchy: a composite becomes a scope, a plain chain a sequence of parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias, final

from nas.export.group import form, grouped, pairs
from nas.export.parts import (
    Add,
    Arg,
    Block,
    Cat,
    Item,
    Leaf,
    Loop,
    Part,
    Scope,
    Seq,
    Use,
    Value,
    Zeros,
    leaves,
    macs,
    reached,
    unread,
    work,
)
from nas.export.words import attribute, camel, fresh, snake, stem
from nas.graph import join, several, sources
from nas.tree import Chain, Concat, Dag, Each, Identity, Node, Scan, Shape, Sum, Take, TrainHead, Zero

_Rel: TypeAlias = tuple[str, ...]
_NOTHING = Seq((), ())


class _Plain(Exception):  # a signal, no error
    """A node that is no part by itself: its values must stand in `forward`."""


class _Differs(Exception):
    """A path that is met with shapes for which it is not the same module: it is written out where it stands."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@final
@dataclass(frozen=True, eq=False)
class _Wire:
    value: Value
    shape: Shape


_Wires: TypeAlias = "_Wire | tuple[_Wire, ...]"


def read(tree: Node, shape: Shape, name: str) -> Scope:
    """The scope of a whole network, called `name`, with everything below it."""
    spread: set[str] = set()
    while True:
        try:
            return _scope(name, "", None, tree, shape, spread=spread, top=True)
        except _Differs as found:
            spread.add(found.path)


def _scope(
    kind: str, path: str, node: Node | None, tree: Node, shape: Shape, *, spread: set[str], top: bool = False
) -> Scope:
    shapes = shape if several(shape) else (shape,)
    inputs = tuple(_Wire(Arg(i), s) for i, s in enumerate(shapes))
    reader = _Reader(spread, top, inputs)
    made = reader.walk(tree, inputs if several(shape) else inputs[0], path, ())
    out = made if isinstance(made, tuple) else (made,)
    values = tuple(w.value for w in out)
    dead = unread(reader.uses, values, reader.parts)
    used = {id(v) for v in reached((*values, *dead))}
    reads = tuple(i for i, w in enumerate(inputs) if top or len(inputs) == 1 or id(w.value) in used)
    for i, k in enumerate(reads):
        value = inputs[k].value
        if isinstance(value, Arg):
            value.index = i
    ends = tuple(w.shape for w in out)
    run = {v.part for v in reached((*values, *dead)) if isinstance(v, Use)}
    parts = {name: part for name, part in reader.parts.items() if name in run}
    read = tuple(shapes[i] for i in reads)
    return Scope(kind, path, node, read, ends, parts, values, dead, isinstance(made, tuple), reads)


@dataclass
class _Reader:
    spread: set[str]
    top: bool
    inputs: tuple[_Wire, ...]
    parts: dict[str, Part] = field(default_factory=dict)
    named: dict[tuple[str, str], str] = field(default_factory=dict)
    owners: dict[str, tuple[str, str]] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)

    def walk(self, node: Node, value: _Wires, path: str, rel: _Rel) -> _Wires:
        if isinstance(value, _Wire) and (rel or self.whole(node, value.shape)):
            try:
                part, shape = self.part(node, value.shape, path, wrap=self.top and len(rel) == 1, inside=bool(rel))
            except _Plain:
                pass
            else:
                if part is _NOTHING:
                    return _Wire(value.value, shape)
                return _Wire(self.use(part, path, rel, (value.value,), macs(part)), shape)
        match node:
            case Chain():
                return self.chain(node, value, path, rel)
            case Identity() | TrainHead():
                return value
            case Sum():
                return self.sum(self.items(node, value, path, rel), node.names)
            case Concat():
                return self.concat(self.items(node, value, path, rel))
            case Dag():
                return self.dag(node, value, path, rel)
            case Take():
                sight = value if isinstance(value, tuple) else (value,)
                source = node.source
                taken = tuple(sight[i] for i in source) if isinstance(source, tuple) else sight[source]
                return self.walk(node.node, taken, path, rel)
            case Each():
                each = value if isinstance(value, tuple) else (value,)
                return tuple(_one(self.walk(node.node, v, path, rel)) for v in each)
            case Scan():
                return self.scan(node, _one(value), path, rel)
            case Zero():
                return self.zero(_one(value).shape)
        return self.node(node, value, path, rel)

    def whole(self, node: Node, shape: Shape) -> bool:
        """Whether the root of a scope may be one part; the network's own is written item by item."""
        if isinstance(node, Chain):
            return not self.top and len(node.items) > 1
        return not self.top or node.lower(shape) is None

    def part(self, node: Node, shape: Shape, path: str, *, wrap: bool, inside: bool = True) -> tuple[Part, Shape]:
        """The node as a part with one input and one output; `wrap` gives structures a class. Raises _Plain."""
        if several(shape) or path in self.spread:
            raise _Plain
        match node:
            case Identity() | TrainHead():
                return _NOTHING, shape
            case Chain():
                made = []
                for name, item in zip(node.names, node.items, strict=True):
                    part, shape = self.part(item, shape, join(path, name), wrap=inside if len(node.items) > 1 else wrap)
                    made.append((name, part))
                if len(made) == 1:
                    return made[0][1], shape
                kept = [(name, part) for name, part in made if part is not _NOTHING]
                return (Seq(tuple(n for n, _ in kept), tuple(p for _, p in kept)) if kept else _NOTHING), shape
            case Sum() | Concat() | Dag() | Scan():
                if not wrap:
                    raise _Plain
                name = stem(path.rpartition(".")[2])
                return self.block(_scope(camel(name or "block"), path, None, node, shape, spread=self.spread), node)
            case Take() | Each() | Zero():
                raise _Plain
        lower = node.lower(shape)
        if lower is None:
            return _leaf(node, shape, path), node.out(shape)
        return self.block(_scope(type(node).__name__, path, node, lower, shape, spread=self.spread), node)

    def block(self, scope: Scope, node: Node) -> tuple[Part, Shape]:
        out, shape = scope.out[0], scope.ends[0]
        if scope.several or (not scope.parts and isinstance(node, Sum | Concat | Dag)):
            raise _Plain
        if not scope.parts and isinstance(out, Arg):
            return _NOTHING, shape
        inner = scope.alone
        return (inner if isinstance(inner, Leaf | Block) or (inner and scope.node is None) else Block(scope)), shape

    def use(self, part: Part, path: str, rel: _Rel, values: tuple[Value, ...], count: int) -> Use:
        """A run of a part."""
        self.uses.append(Use(self.add(part, path, rel), values, count))
        return self.uses[-1]

    def add(self, part: Part, path: str, rel: _Rel) -> str:
        """The attribute of a part; one that stands there already is the same module."""
        key = (path, type(part).__name__)
        known = self.named.get(key)
        if known is not None:
            if form(self.parts[known]) != form(part):
                raise _Differs(path)
            return known
        word = {"Seq": "layers"}.get(key[1]) or snake(
            part.scope.kind if isinstance(part, Block) else getattr(part, "kind", "")
        )
        name = fresh(attribute("_".join(rel) or word), self.parts)
        self.parts[name], self.named[key] = part, name
        for leaf in leaves(part):  # one set of weights must not stand in two parts
            owner, where = self.owners.setdefault(leaf.path, (name, path))
            if owner != name:
                raise _Differs(where if isinstance(part, Leaf) else path)
        return name

    def chain(self, node: Chain, value: _Wires, path: str, rel: _Rel) -> _Wires:
        for name, item, inside in grouped(node) if self.top and not rel else [(n, i, True) for n, i in pairs(node)]:
            deeper = (*rel, name) if len(node.items) > 1 or not rel else rel
            value = self.walk(item, value, join(path, name) if inside else path, _words(deeper, "layer"))
        return value

    def items(self, node: Sum | Concat, value: _Wires, path: str, rel: _Rel) -> list[_Wire]:
        return [
            _one(self.walk(item, value, join(path, name), _words((*rel, name), "branch"))) for name, item in pairs(node)
        ]

    def zero(self, shape: Shape) -> _Wire:
        """Zeros are made from an input, so that nothing is computed for its shape alone."""
        like = next((w for w in self.inputs if w.shape == shape), None)
        return _Wire(Zeros(like.value) if like else Zeros(self.inputs[0].value, shape), shape)

    def sum(self, wires: list[_Wire], names: tuple[str, ...]) -> _Wire:
        live = [(n, w) for n, w in zip(names, wires, strict=True) if not isinstance(w.value, Zeros)]
        if len(live) < 2:
            return live[0][1] if live else wires[0]
        terms: list[Value] = []
        labels: list[str] = []
        for k, (name, wire) in enumerate(live):
            inner = wire.value if not k and isinstance(wire.value, Add) and not wire.value.name else None
            terms.extend(inner.terms if inner else (wire.value,))
            labels.extend(inner.labels if inner else (name,))
        return _Wire(Add(tuple(terms), tuple(labels)), wires[0].shape)

    def concat(self, wires: list[_Wire]) -> _Wire:
        if len(wires) == 1:
            return wires[0]
        shape = (sum(w.shape[0] for w in wires), *wires[0].shape[1:])
        return _Wire(Cat(tuple(w.value for w in wires)), shape)

    def dag(self, node: Dag, value: _Wires, path: str, rel: _Rel) -> _Wires:
        sight = value if isinstance(value, tuple) else (value,)
        first = len(sight)
        for name, item in pairs(node):
            words = _words((*rel, name), "step")
            made = _one(self.walk(item, sight, join(path, name), words))
            if not isinstance(made.value, Arg) and not made.value.name:
                made.value.name = attribute("_".join(words))
            sight = (*sight, made)
        ends = list(range(first, len(sight)))
        if node.output == "last":
            return sight[-1]
        if node.output == "loose":
            taken = {i for item in node.items for i in sources(item)}
            ends = [i for i in ends if i not in taken] or [len(sight) - 1]
        return self.concat([sight[i] for i in ends])

    def scan(self, node: Scan, value: _Wire, path: str, rel: _Rel) -> _Wire:
        steps, width = value.shape
        prefix = "_".join(rel)
        step = Arg(0, fresh("step", {prefix}))
        names = ["state"] if len(node.state) == 1 else [f"state{i}" for i in range(len(node.state))]
        state = tuple(Arg(i, f"{prefix}_{name}" if prefix else name) for i, name in enumerate(names))
        inside = (_Wire(step, (width,)), *(_Wire(s, (w,)) for s, w in zip(state, node.state, strict=True)))
        outer, uses, self.inputs, self.uses = self.inputs, self.uses, inside, []
        new = self.walk(node.node, inside, path, rel)
        made = tuple(w.value for w in (new if isinstance(new, tuple) else (new,)))
        loop = Loop(value.value, steps, step, state, tuple(node.state), made)
        loop.dead = unread(self.uses, loop.runs, self.parts)
        self.inputs, self.uses = outer, uses
        return _Wire(loop, (steps, node.state[0]))

    def node(self, node: Node, value: _Wires, path: str, rel: _Rel) -> _Wires:
        shape: Shape = tuple(w.shape for w in value) if isinstance(value, tuple) else value.shape
        wires = value if isinstance(value, tuple) else (value,)
        lower = node.lower(shape)
        if lower is None:
            leaf = _leaf(node, shape, path)
            return _Wire(self.use(leaf, path, rel, tuple(w.value for w in wires), leaf.macs), node.out(shape))
        if path in self.spread or (self.top and not rel):
            return self.walk(lower, value, path, rel)
        scope = _scope(type(node).__name__, path, node, lower, shape, spread=self.spread)
        if not scope.parts:
            return self.walk(lower, value, path, rel)
        use = self.use(Block(scope), path, rel, tuple(wires[i].value for i in scope.reads), work(scope.runs))
        if not scope.several:
            return _Wire(use, scope.ends[0])
        use.several = len(scope.out)
        return tuple(_Wire(Item(use, i), s) for i, s in enumerate(scope.ends))


def _leaf(node: Node, shape: Shape, path: str) -> Leaf:
    return Leaf(node.call(shape), path, type(node).__name__, node.cost(shape).macs)


def _one(value: _Wires) -> _Wire:
    return value[0] if isinstance(value, tuple) else value


def _words(names: _Rel, word: str) -> _Rel:
    """Names of which the last is an identifier: an item "0" of a chain is "layer0"."""
    return (*names[:-1], word + names[-1] if names[-1][:1].isdigit() and len(names) == 1 else names[-1])
