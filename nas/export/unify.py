"""Several scopes as one class: what they have in common is its source, what differs becomes its parameters.

This is anti-unification (Plotkin 1970, "A note on inductive generalization"), with modules for terms.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias, final

from torch import nn

from nas.export.parts import Add, Arg, Block, Leaf, Part, Scope, Seq, Use, Value, scopes, shown

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "ABSENT"})()
"""What a slot holds for a scope that lacks the part."""


class Differs(Exception):  # a signal, no error
    """Scopes that are no instances of one class."""


@final
@dataclass(eq=False)
class Slot:
    """An argument of a call: its values, one for each scope; `arg` is its name in torch, `item` that of the part."""

    values: tuple[Any, ...]
    arg: str
    item: str


@final
@dataclass(eq=False)
class Layer:
    """A torch module of a class: `make` is a slot of classes; `keyword` says which arguments are given by name."""

    make: Slot
    args: tuple[Slot, ...]
    keyword: tuple[bool, ...]
    there: tuple[bool, ...]


@final
@dataclass(eq=False)
class Row:
    """Layers one after another."""

    names: tuple[str, ...]
    items: tuple[Piece, ...]
    there: tuple[bool, ...]


@final
@dataclass(eq=False)
class Made:
    """An object of another class of the file; its arguments by parameter."""

    of: Kind
    args: dict[str, Slot]
    there: tuple[bool, ...]


Piece: TypeAlias = "Layer | Row | Made"


@final
@dataclass(eq=False)
class Kind:
    """One class of the file: the scopes that are its instances (without repeats), their pieces and values in common.

    skip: for each scope whether its input is added to what it makes, where that differs; label: what the tree calls it.
    args: for each scope (by id) the arguments that make it, set when the class's parameters are known.
    """

    kind: str
    scopes: list[Scope]
    pieces: dict[str, Piece]
    out: tuple[Value, ...]
    dead: tuple[Use, ...] = ()
    skip: tuple[bool, ...] = ()
    label: str = "skip"
    args: dict[int, dict[str, Any]] = field(default_factory=dict)
    every: list[Scope] = field(default_factory=list)
    name: str = ""

    @property
    def row(self) -> Row | None:
        """The layers of a class that just runs them."""
        piece = next(iter(self.pieces.values()), None)
        alone = not self.skip and all(s.alone is not None for s in self.scopes)
        return piece if alone and isinstance(piece, Row) and len(piece.items) > 1 else None


Find: TypeAlias = Callable[[Scope], Kind]


def unify(given: list[Scope], find: Find) -> Kind:
    """The class of which all these scopes are instances; raises Differs where there is none."""
    first = given[0]
    if any(list(s.parts) != list(first.parts) or len(s.shapes) != len(first.shapes) for s in given):
        raise Differs
    pieces = {name: _piece([s.parts[name] for s in given], name, find) for name in first.parts}
    if any(list(map(shown, s.dead)) != list(map(shown, first.dead)) for s in given):
        raise Differs
    forms = [tuple(map(shown, s.out)) for s in given]
    if all(f == forms[0] for f in forms) and all(s.several == first.several for s in given):
        return Kind(first.kind, given, pieces, first.out, first.dead)
    skip, label, core = _skip(given)
    return Kind(first.kind, given, pieces, (core,), first.dead, skip, label)


def _skip(given: list[Scope]) -> tuple[tuple[bool, ...], str, Value]:
    """Scopes that are equal but for adding their input to the result: which do, under what name, and the result."""
    found = [_without(s) for s in given]
    cores = [shown(core) for core, _ in found]
    if any(c != cores[0] for c in cores) or any(s.several or len(s.out) != 1 for s in given):
        raise Differs
    return tuple(bool(label) for _, label in found), next(label for _, label in found if label), found[0][0]


def _without(scope: Scope) -> tuple[Value, str]:
    out = scope.out[0]
    if isinstance(out, Add) and len(out.terms) == 2:
        for k, term in enumerate(out.terms):
            if isinstance(term, Arg):
                return out.terms[1 - k], out.labels[k]
    return out, ""


def _piece(parts: list[Part | None], item: str, find: Find) -> Piece:
    """The parts of several scopes as one; a part that is None is absent from its scope."""
    there = tuple(p is not None for p in parts)
    have = [p for p in parts if p is not None]
    if all(isinstance(p, Leaf) for p in have):
        return _layer(parts, item, there)  # type: ignore[arg-type]  # leaves or None, as was just asked
    if all(isinstance(p, Seq) for p in have):
        return _row(parts, there, find)  # type: ignore[arg-type]  # sequences or None
    if not all(isinstance(p, Block) for p in have):
        raise Differs
    kinds = [find(p.scope) if isinstance(p, Block) else None for p in parts]
    kind = next(k for k in kinds if k is not None)
    if any(k is not kind for k in kinds if k is not None):
        raise Differs
    given = [kind.args[id(p.scope)] if isinstance(p, Block) else None for p in parts]
    names = kind.args[id(kind.scopes[0])]
    return Made(kind, {n: Slot(tuple(ABSENT if g is None else g[n] for g in given), n, item) for n in names}, there)


def _row(parts: list[Seq | None], there: tuple[bool, ...], find: Find) -> Row:
    longest = max((p for p in parts if p), key=lambda p: len(p.names)).names
    by = [dict(zip(p.names, p.items, strict=True)) if p else {} for p in parts]
    for p in parts:
        if p and [n for n in longest if n in p.names] != list(p.names):
            raise Differs
        if p and 3 * len(p.names) < 2 * len(longest):
            raise Differs  # a class of which a third or more may be missing reads worse than two classes
    return Row(longest, tuple(_piece([b.get(n) for b in by], n, find) for n in longest), there)


def _layer(parts: list[Leaf | None], item: str, there: tuple[bool, ...]) -> Layer:
    have = [p.call for p in parts if p is not None]
    makes = {call.make for call in have}
    if len(makes) > 1 and any(c.args or c.kwargs for c in have):
        raise Differs
    first = have[0]
    if any(len(c.args) != len(first.args) for c in have):
        raise Differs
    known = parameters(first.make)
    keywords = list(dict.fromkeys(k for c in sorted(have, key=lambda c: -len(c.kwargs)) for k, _ in c.kwargs))
    names = [*list(known)[: len(first.args)], *keywords]
    names += [f"value{k}" for k in range(len(names), len(first.args))]
    rows = []
    for p in parts:
        if p is None:
            rows.append([ABSENT] * len(names))
            continue
        given = dict(p.call.kwargs)
        if any(k not in given and known.get(k, inspect.Parameter.empty) is inspect.Parameter.empty for k in keywords):
            raise Differs
        rows.append([*p.call.args, *(given.get(k, known.get(k)) for k in keywords)])
    plain = not first.args and not keywords
    make = Slot(tuple((nn.Identity if plain else ABSENT) if p is None else p.call.make for p in parts), "make", item)
    slots = tuple(Slot(tuple(row[i] for row in rows), name, item) for i, name in enumerate(names))
    return Layer(make, slots, tuple(i >= len(first.args) for i in range(len(names))), there)


@cache
def parameters(make: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a class and their defaults, in order."""
    try:
        found = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default for p in found if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}}


def kinds(top: Scope, fit: Callable[[Kind], None]) -> tuple[list[Kind], Find]:
    """The classes of a network, inner ones first, and that of each scope; `fit` settles their parameters in turn."""
    made: list[Kind] = []
    by: dict[int, Kind] = {}
    inner: dict[str, set[str]] = {}
    for scope in scopes(top):
        inner.setdefault(_group(scope, top), set()).update(_group(s, top) for s in scopes(scope) if s is not scope)
    for _ in inner:
        for found in inner.values():
            found.update(*(inner[kind] for kind in list(found)))
    groups: dict[tuple[int, int, str], list[Scope]] = {}
    for scope in scopes(top):
        kind = _group(scope, top)
        # What contains itself, at some distance, is one class for each height: an inner one must be settled first.
        groups.setdefault((len(inner[kind]), _height(scope) if kind in inner[kind] else 0, kind), []).append(scope)
    for key in sorted(groups):
        for new, same in _clusters(groups[key], lambda s: by[id(s)]):
            fit(new)
            for first, others in zip(new.scopes, same, strict=True):
                for scope in others:
                    by[id(scope)], new.args[id(scope)] = new, new.args[id(first)]
                    new.every.append(scope)
            made.append(new)
    return made, lambda s: by[id(s)]


def _group(scope: Scope, top: Scope) -> str:
    return "" if scope is top else scope.kind


def _height(scope: Scope) -> int:
    return 1 + max((_height(s) for s in scopes(scope) if s is not scope), default=-1)


def _clusters(given: list[Scope], find: Find) -> Iterator[tuple[Kind, list[list[Scope]]]]:
    same: dict[str, list[Scope]] = {}
    for scope in given:
        same.setdefault(_printed(scope, find), []).append(scope)
    groups: list[list[Scope]] = []
    for scope, *_ in same.values():
        for group in groups:
            try:
                unify([*group, scope], find)
            except Differs:
                continue
            group.append(scope)
            break
        else:
            groups.append([scope])
    equal = {id(all_of[0]): all_of for all_of in same.values()}
    for group in groups:
        yield unify(group, find), [equal[id(first)] for first in group]


def _printed(scope: Scope, find: Find) -> str:
    node = type(scope.node).__name__, [getattr(scope.node, f, None) for f in _numbers(scope)]
    parts = [f"{name}={_print(part, find)}" for name, part in scope.parts.items()]
    return (
        f"{scope.kind} {node} {scope.shapes} {parts} {[shown(v) for v in scope.out]} {[shown(v) for v in scope.dead]}"
    )


def _numbers(scope: Scope) -> list[str]:
    fields = getattr(scope.node, "__dataclass_fields__", {})
    return [name for name in fields if isinstance(getattr(scope.node, name), int | float | str)]


def _print(part: Part, find: Find) -> str:
    if isinstance(part, Leaf):
        return f"{part.call.make.__module__}.{part.call.make.__qualname__}{part.call.args}{part.call.kwargs}"
    if isinstance(part, Seq):
        return str([(n, _print(i, find)) for n, i in zip(part.names, part.items, strict=True)])
    kind = find(part.scope)
    return f"{id(kind)} {kind.args[id(part.scope)]}"


def paths(kind: Kind, scope: Scope, find: Find) -> Iterator[tuple[str, str]]:
    """For each torch module of a scope: its path in the tree, and its name in the class."""
    for name, piece in kind.pieces.items():
        yield from _paths(piece, scope.parts[name], "" if kind.row else name, find)


def _paths(piece: Piece, part: Part, name: str, find: Find) -> Iterator[tuple[str, str]]:
    if isinstance(part, Leaf):
        yield part.path, name
    elif isinstance(part, Block):
        for path, inner in paths(find(part.scope), part.scope, find):
            yield path, f"{name}.{inner}" if name else inner
    elif isinstance(piece, Row):
        for n, item in zip(part.names, part.items, strict=True):
            k = piece.names.index(n)
            inner = f"{name}.{k}" if name else str(k)
            yield from _paths(piece.items[k], item, inner if len(piece.items) > 1 else name, find)
