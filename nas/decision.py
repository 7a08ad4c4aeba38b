"""Decisions without a network: what a space is made of whose members only a table knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from nas.errors import UserError
from nas.tree import Call, Chain, Choice, Cost, Label, Node, Shape, Tree

ALONE = "it only decides: a table alone knows its networks"
"""Why a space of decisions shares no weights and is not relaxed."""


@final
@dataclass(frozen=True)
class Decision(Node):
    """One hole of numbers or words that stands for itself; whoever wants its network is refused in one line."""

    of: Tree | Label

    def call(self, shape: Shape) -> Call:
        raise _refusal()

    def out(self, shape: Shape) -> Shape:
        raise _refusal()

    def cost(self, shape: Shape) -> Cost:
        raise _refusal()


def decisions(holes: Mapping[str, Sequence[Label]]) -> Chain:
    """A tree of holes alone, from their labels by name."""
    items = [Decision(Choice(name, tuple(labels))) for name, labels in holes.items()]
    return Chain.seq(*items)


def decides_only(root: Node) -> bool:
    """Whether a tree is of decisions alone, so that nobody may ask for its network."""
    return isinstance(root, Chain) and bool(root.items) and all(isinstance(item, Decision) for item in root.items)


def _refusal() -> UserError:
    fix = "search it with `nas bench`, on the table that it came with"
    return UserError("a space of decisions alone has no networks to build: only a table knows its members", fix=fix)
