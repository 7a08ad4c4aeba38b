"""Relaxing: an open tree becomes a network in which each choice is a weighed sum of its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn

from nas.derive import slots
from nas.graph import Graph, several
from nas.space import Architecture, Space
from nas.tree import Call, Choice, Concat, Cost, Dag, Node, Shape, Sum, Take, Tree, Zero, parts

Slot: TypeAlias = "tuple[str, int] | None"
"""Which number weighs a value: of which choice, and at which place; None for always."""


def mixes(space: Space) -> dict[str, int]:
    """How many numbers `mix[name]` holds for each choice of a space that relaxes."""
    return {name: len(slots(choice)) for name, choice in space.choices.items()}


def one_hot(space: Space, arch: Architecture) -> dict[str, Tensor]:
    """The mix that is one architecture: 1 for what it has, 0 for the rest, all 0 for a choice that it does not meet."""
    mix = {}
    for name, choice in space.choices.items():
        mix[name] = torch.zeros(len(slots(choice)))
        if name in arch.labels:
            option = choice.options[choice.index(arch[name])]
            on = option if isinstance(option, tuple) else (str(arch[name]),)
            mix[name][[k for k, slot in enumerate(slots(choice)) if slot in on]] = 1
    return mix


def unmixed(space: Space) -> str:
    """Why a space cannot be relaxed: what it says itself, or its first hole of numbers or strings; "" where it can."""
    try:
        relax(space.root)
    except ValueError as error:
        return space.relaxes or str(error)
    return space.relaxes


def relax(tree: Node, around: Callable[[Choice, Mixture], Node] | None = None) -> Node:
    """The tree without holes in which all options run, and what they put out is weighed and added.

    Paths are those of the filled trees, so a layer's weights are the same. Raises ValueError at a hole of numbers.
    around: what stands in place of a choice's mixture, where that is not the mixture itself.
    """
    done: dict[int, Any] = {}

    def visit(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(visit, value))
        if not isinstance(value, Node | Choice):
            return value
        if id(value) not in done:
            done[id(value)] = turned(value)
        return done[id(value)]

    def turned(value: Node | Choice) -> Node:
        if isinstance(value, Choice):
            if not value.of_nodes:
                raise ValueError(
                    f"choice {value.name!r} is no choice of nodes or of kept items; no weighed sum can mix it"
                )
            names = tuple(map(str, value.labels))
            mixture = Mixture(names, visit(value.options), tuple((value.name, k) for k in range(len(names))))
            return around(value, mixture) if around else mixture
        if isinstance(value, Sum | Concat) and value.keep is not None:
            weighed = [_slot(value, k) for k in range(len(value.items))]
            there = [k for k, slot in enumerate(weighed) if slot is None or slot[1] >= 0]
            names, items = (tuple(some[k] for k in there) for some in (value.names, value.items))
            return Mixture(names, visit(items), tuple(weighed[k] for k in there), isinstance(value, Concat))
        return replace(value, **{name: visit(getattr(value, name)) for name in parts(type(value))})

    relaxed: Node = visit(tree)
    return relaxed


def _slot(node: Sum | Concat, k: int) -> Slot:
    """What weighs item `k`; a place below 0 where nothing ever keeps it."""
    if isinstance(node.keep, Choice):
        items = slots(node.keep)
        return node.keep.name, items.index(node.names[k]) if node.names[k] in items else -1
    hole = node.keep[k]
    return None if hole is None else (hole.name, hole.options.index(1) if 1 in hole.options else -1)


@final
@dataclass(frozen=True)
class Mixture(Node):
    """What its items make of one input, weighed, and added or joined."""

    names: tuple[str, ...]
    items: tuple[Tree, ...]
    slots: tuple[Slot, ...]
    joined: bool = False

    def lower(self, shape: Shape) -> Node:
        first = len(shape) if several(shape) else 1
        source = tuple(range(first)) if several(shape) else 0
        live = [k for k, item in enumerate(self.items) if self.joined or not isinstance(item, Zero)]
        live = live or list(range(len(self.items)))
        steps = {self.names[k]: Take(source, self.items[k]) for k in live}
        last = "mix"
        while last in steps:
            last += "_"
        made = tuple(range(first, first + len(live)))
        mixed = Take(made, Weighed(tuple(self.slots[k] for k in live), self.joined))
        return Dag((*steps, last), (*steps.values(), mixed))


@final
@dataclass(frozen=True)
class Weighed(Node):
    """Several values, each times a number from outside, added or joined along the first axis."""

    slots: tuple[Slot, ...]
    joined: bool = False

    def call(self, shape: Shape) -> Call:
        return Call.of(WeighedSum, len(shape), self.joined)

    def out(self, shape: Shape) -> Shape:
        if any(s[self.joined :] != shape[0][self.joined :] for s in shape):
            raise ValueError(f"a relaxed choice needs options of equal shapes, got {', '.join(map(str, shape))}")
        return (sum(s[0] for s in shape), *shape[0][1:]) if self.joined else shape[0]

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
class WeighedSum(nn.Module):
    """Values times `weights`, a buffer of one number for each, which whoever calls it replaces."""

    weights: Tensor

    def __init__(self, count: int, joined: bool) -> None:
        super().__init__()
        self.register_buffer("weights", torch.ones(count), persistent=False)
        self.joined = joined

    def forward(self, *values: Tensor) -> Tensor:
        """Values of shape (B, C, ...) to one (B, C, ...), or (B, sum of C, ...) where they are joined."""
        weighed = (weight * value for weight, value in zip(self.weights.unbind(), values, strict=True))
        return torch.cat(tuple(weighed), 1) if self.joined else reduce(torch.add, weighed)


def weighing(flat: Graph) -> dict[str, tuple[Slot, ...]]:
    """The keys of a relaxed network's weights, and what stands in each."""
    return {f"{op.path}.weights": op.node.slots for op in flat.ops if isinstance(op.node, Weighed)}


def agree(mix: Mapping[str, Tensor], counts: Mapping[str, int]) -> None:
    """Raise KeyError or ValueError, which names the choice, where a mix is not what `mixes` counts."""
    for name, count in counts.items():
        if name not in mix:
            raise KeyError(f"the mix does not say how choice {name!r} is weighed")
        if tuple(mix[name].shape) != (count,):
            raise ValueError(f"choice {name!r} needs a mix of shape ({count},), got {tuple(mix[name].shape)}")


def gathered(mix: Mapping[str, Tensor], wanted: Mapping[str, tuple[Slot, ...]], like: Tensor) -> dict[str, Tensor]:
    """The weights of a relaxed network by key, out of the mix."""
    one, made = like.new_ones(()), dict[tuple[Slot, ...], Tensor]()
    for some in wanted.values():
        if some not in made:
            made[some] = torch.stack([one if slot is None else mix[slot[0]][slot[1]].to(like) for slot in some])
    return {key: made[some] for key, some in wanted.items()}
