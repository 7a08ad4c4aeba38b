"""The holes of a tree alone, in the order in which they are asked: what `Space.decide` walks instead of the tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from nas.tree import Chain, Choice, Concat, Label, Node, Pick, Sum, parts


@final
@dataclass(frozen=True, eq=False)
class Hole:
    """One hole, and for each of its options the holes that it opens; equal holes of one plan are one object."""

    choice: Choice
    opens: tuple[Plan, ...]

    @property
    def leaf(self) -> bool:
        """Whether no option opens further holes."""
        return not any(self.opens)


Plan: TypeAlias = tuple[Hole, ...]


def plan(root: Node) -> Plan:
    """The holes of a tree; subtrees without any are left out, and tied ones stand once."""
    return _Planner().plan(root)


def follow(holes: Plan, pick: Pick, made: dict[str, int]) -> None:
    """Ask `pick` for every hole that is met, once a name, and write its index into `made`."""
    _follow(holes, pick, made, set())


def _follow(holes: Plan, pick: Pick, made: dict[str, int], walked: set[int]) -> None:
    for hole in holes:
        choice = hole.choice
        k = made.get(choice.name)
        if k is None:
            k = int(pick(choice))
            if not 0 <= k < len(choice.options):
                raise ValueError(f"choice {choice.name!r} has {len(choice.options)} options, no option number {k}")
            made[choice.name] = k
        if hole.opens and id(hole) not in walked:
            walked.add(id(hole))
            if hole.opens[k]:
                _follow(hole.opens[k], pick, made, walked)


def ordered(holes: Plan) -> Iterator[Choice]:
    """Every choice of a plan in the order of asking, repeats included."""
    return (hole.choice for hole in _holes(holes))


def opening(holes: Plan) -> set[str]:
    """The names of the choices of which some hole opens others."""
    return {hole.choice.name for hole in _holes(holes) if not hole.leaf}


def _holes(holes: Plan) -> Iterator[Hole]:
    seen: set[int] = set()

    def visit(some: Plan) -> Iterator[Hole]:
        for hole in some:
            if id(hole) not in seen:
                seen.add(id(hole))
                yield hole
                for opened in hole.opens:
                    yield from visit(opened)

    return visit(holes)


@final
@dataclass
class _Planner:
    made: dict[tuple[str, tuple[Label, ...], tuple[tuple[int, ...], ...]], Hole] = field(default_factory=dict)
    done: dict[int, Plan] = field(default_factory=dict)

    def plan(self, value: Any) -> Plan:
        if isinstance(value, Choice):
            return (self.hole(value, tuple(self.plan(o) for o in value.options) if value.of_nodes else ()),)
        if isinstance(value, tuple):
            return self.one(*map(self.plan, value))
        if not isinstance(value, Node):
            return ()
        if id(value) not in self.done:
            self.done[id(value)] = self.node(value)
        return self.done[id(value)]

    def node(self, node: Node) -> Plan:
        if isinstance(node, Chain):
            items = [self.plan(item) for item in node.items]
            if isinstance(node.depth, Choice):
                return (self.hole(node.depth, tuple(self.one(*items[:n]) for n in node.depth.options)),)
            return self.one(*items[: node.depth])
        if isinstance(node, Sum | Concat):
            return self.kept(node, [self.plan(item) for item in node.items])
        return self.one(*(self.plan(getattr(node, name)) for name in parts(type(node))))

    def kept(self, node: Sum | Concat, items: list[Plan]) -> Plan:
        if node.keep is None:
            return self.one(*items)
        if isinstance(node.keep, Choice):
            sets = node.keep.options
            opens = (self.one(*(p for name, p in zip(node.names, items, strict=True) if name in s)) for s in sets)
            return (self.hole(node.keep, tuple(opens)),)
        pairs = zip(node.keep, items, strict=True)
        return self.one(
            *(p if c is None else (self.hole(c, tuple(p if o else () for o in c.options)),) for c, p in pairs)
        )

    def hole(self, choice: Choice, opens: tuple[Plan, ...]) -> Hole:
        opens = opens if any(opens) else ()
        key = (choice.name, choice.labels, tuple(tuple(map(id, o)) for o in opens))
        return self.made.setdefault(key, Hole(choice, opens))

    def one(self, *plans: Plan) -> Plan:
        return tuple({id(hole): hole for plan in plans for hole in plan}.values())
