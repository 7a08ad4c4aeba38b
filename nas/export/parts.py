"""What a network is made of before it is source: parts (what stands in `__init__`) and values (in `forward`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, final

import torch

from nas.tree import Call, Node, Shape


@final
@dataclass(eq=False)
class Leaf:
    """A torch module: how it is made, its path in the tree, its node's class by name, and its multiply-accumulates."""

    call: Call
    path: str
    kind: str
    macs: int


@final
@dataclass(eq=False)
class Seq:
    """Parts one after another, by the names of the chain; a chain's identities are left out."""

    names: tuple[str, ...]
    items: tuple[Part, ...]


@final
@dataclass(eq=False)
class Block:
    """A part that has a class of its own."""

    scope: Scope


Part: TypeAlias = "Leaf | Seq | Block"


@final
@dataclass(eq=False)
class Arg:
    """An argument of `forward`, or a variable of a loop."""

    index: int
    name: str = ""


@final
@dataclass(eq=False)
class Use:
    """What a part of the scope makes of some values, by this many multiply-accumulates; `several`: how many."""

    part: str
    args: tuple[Value, ...]
    macs: int
    several: int = 0
    name: str = ""


@final
@dataclass(eq=False)
class Item:
    """One of the values that a use makes."""

    use: Use
    index: int
    name: str = ""


@final
@dataclass(eq=False)
class Add:
    """A sum, with the names of its terms."""

    terms: tuple[Value, ...]
    labels: tuple[str, ...]
    name: str = ""


@final
@dataclass(eq=False)
class Cat:
    """Values joined along their first axis."""

    terms: tuple[Value, ...]
    name: str = ""


@final
@dataclass(eq=False)
class Zeros:
    """Zeros in the shape of another value, or in one of its own for the same batch."""

    like: Value
    shape: Shape = ()
    name: str = ""


@final
@dataclass(eq=False)
class Loop:
    """A scan over time: `made` is the next state, from `step` and `state`, which has these widths."""

    over: Value
    steps: int
    step: Arg
    state: tuple[Arg, ...]
    widths: tuple[int, ...]
    made: tuple[Value, ...]
    dead: tuple[Use, ...] = ()
    name: str = ""

    @property
    def kept(self) -> tuple[int, ...]:
        """The parts of the state that something reads; the first one is what the loop puts out."""
        read = {id(v) for v in reached((*self.made, *self.dead))}
        return tuple(k for k, arg in enumerate(self.state) if not k or id(arg) in read)

    @property
    def runs(self) -> tuple[Value, ...]:
        """What a step of the loop computes."""
        return (*(self.made[k] for k in self.kept), *self.dead)


Value: TypeAlias = "Arg | Use | Item | Add | Cat | Zeros | Loop"


@final
@dataclass(eq=False)
class Scope:
    """What becomes one `nn.Module`: its parts by name and the values that it puts out.

    kind: what the class should be called; node: whose fields name its parameters, None for a structure without a name.
    shapes, ends: of the inputs that it reads and of what it puts out; reads: which of the values in sight they are.
    dead: what nothing reads and is run all the same, since it has weights that were trained (see `unread`).
    """

    kind: str
    path: str
    node: Node | None
    shapes: tuple[Shape, ...]
    ends: tuple[Shape, ...]
    parts: dict[str, Part] = field(default_factory=dict)
    out: tuple[Value, ...] = ()
    dead: tuple[Use, ...] = ()
    several: bool = False
    reads: tuple[int, ...] = (0,)

    @property
    def runs(self) -> tuple[Value, ...]:
        """Everything that `forward` computes."""
        return (*self.out, *self.dead)

    @property
    def alone(self) -> Part | None:
        """The one part that the scope consists of, if it just runs it."""
        if self.dead or len(self.parts) != 1 or len(self.out) != 1 or self.several or len(self.shapes) != 1:
            return None
        out = self.out[0]
        plain = isinstance(out, Use) and not out.several and len(out.args) == 1 and isinstance(out.args[0], Arg)
        return next(iter(self.parts.values())) if plain else None


def args(value: Value) -> tuple[Value, ...]:
    """What a value is made from, at once."""
    match value:
        case Use():
            return value.args
        case Item():
            return (value.use,)
        case Add() | Cat():
            return value.terms
        case Zeros():
            return (value.like,)
        case Loop():
            return (value.over,)
    return ()


def reached(values: tuple[Value, ...]) -> Iterator[Value]:
    """Every value that these need, once; what a loop does inside included."""
    seen: set[int] = set()
    stack = list(values)
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        stack.extend(args(value))
        if isinstance(value, Loop):
            stack.extend((*value.made, *value.dead))


def unread(uses: list[Use], out: tuple[Value, ...], parts: dict[str, Part]) -> tuple[Use, ...]:
    """The last ones of the uses that nothing in `out` needs, among those whose part has weights.

    The network was built and trained with them, and the profile counts them, as the published tables do: an export that
    left them out would be another network, with fewer multiply-accumulates and other statistics when it is trained on.
    """
    dead: list[Use] = []
    known = {id(v) for v in reached(out)}
    for use in reversed(uses):
        if id(use) not in known and _weighs(parts[use.part]):
            dead.append(use)
            known.update(id(v) for v in reached((use,)))
    return tuple(reversed(dead))


def _weighs(part: Part) -> bool:
    with torch.device("meta"):
        return any(leaf.call().state_dict() for leaf in leaves(part))


def shown(value: Value) -> str:
    """A value as text in which two equal computations are equal."""
    match value:
        case Arg():
            return value.name or f"x{value.index}"
        case Loop():
            inner = ", ".join(map(shown, (*value.made, *value.dead)))
            return f"loop({shown(value.over)}; {value.widths}; {inner})"
        case Use():
            return f"{value.part}({', '.join(map(shown, value.args))})"
        case Item():
            return f"{shown(value.use)}[{value.index}]"
        case Zeros():
            return f"zeros({shown(value.like)} {value.shape})"
    return f"{type(value).__name__}({', '.join(map(shown, value.terms))})"


def work(values: tuple[Value, ...]) -> int:
    """The multiply-accumulates by which values are made from the arguments, each value once."""
    total, seen, stack = 0, set[int](), list(values)
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        stack.extend(args(value))
        if isinstance(value, Use):
            total += value.macs
        elif isinstance(value, Loop):
            total += value.steps * work(value.runs)
    return total


def macs(part: Part) -> int:
    """The multiply-accumulates of a part that is run once."""
    if isinstance(part, Leaf):
        return part.macs
    return sum(map(macs, part.items)) if isinstance(part, Seq) else work(part.scope.runs)


def scopes(scope: Scope) -> Iterator[Scope]:
    """Every scope below one, inner ones first, in the order of the source; then itself."""
    for part in scope.parts.values():
        yield from _below(part)
    yield scope


def _below(part: Part) -> Iterator[Scope]:
    if isinstance(part, Block):
        yield from scopes(part.scope)
    elif isinstance(part, Seq):
        for item in part.items:
            yield from _below(item)


def leaves(part: Part) -> Iterator[Leaf]:
    """Every torch module of a part."""
    if isinstance(part, Leaf):
        yield part
    elif isinstance(part, Seq):
        for item in part.items:
            yield from leaves(item)
    else:
        for inner in part.scope.parts.values():
            yield from leaves(inner)
