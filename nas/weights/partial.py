"""Partial channels: one K-th of the channels goes through a relaxed choice, the others go round it.

Xu et al. 2020, arXiv:1907.05737 (PC-DARTS), section 3.2 and equation 2; what goes round is pooled where the choice
halves the image, and a shuffle of the channels (released code) lets others go through the next choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.graph import several
from nas.tree import Call, Choice, Cost, Dag, Node, Shape, Take, Tree, parts
from nas.weights.relaxed import Mixture


@final
@dataclass(frozen=True)
class Partly(Node):
    """A mixture that reads the first of `share` equal parts of the channels; its options make that many fewer."""

    mixture: Mixture
    share: int

    def lower(self, shape: Shape) -> Node:
        if several(shape) or len(shape) != 3:
            raise ValueError(f"a choice of partial channels reads one image (C, H, W), got {shape}")
        narrow = tuple(narrowed(item, self.share) for item in self.mixture.items)
        return Dag.of(
            leading=Take(0, Leading(self.share)),
            mixed=Take(1, replace(self.mixture, items=narrow)),
            whole=Take((0, 2), Rejoined(self.share)),
        )


@final
@dataclass(frozen=True)
class Leading(Node):
    """The first of `share` equal parts of the channels: (C, H, W) to (C / share, H, W)."""

    share: int

    def call(self, shape: Shape) -> Call:
        return Call.of(LeadingChannels, self.out(shape)[0])

    def out(self, shape: Shape) -> Shape:
        if shape[0] % self.share:
            raise ValueError(f"{shape[0]} channels do not divide by {self.share}")
        return (shape[0] // self.share, *shape[1:])

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class Rejoined(Node):
    """What went round a choice, behind what came out of it, and the channels shuffled."""

    share: int

    def call(self, shape: Shape) -> Call:
        return Call.of(Bypass, self.share, self.out(shape)[1:] != shape[0][1:])

    def out(self, shape: Shape) -> Shape:
        (c, h, w), mixed = shape
        halved = (c // self.share, -(-h // 2), -(-w // 2))
        if mixed not in ((c // self.share, h, w), halved):
            raise ValueError(
                f"options of partial channels must keep (C, H, W) or halve the image, {shape[0]} became {mixed}"
            )
        return (c, *mixed[1:])

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
class LeadingChannels(nn.Module):
    """The first channels."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, count, H, W)."""
        return x[:, : self.count]


@final
class Bypass(nn.Module):
    """Joins what came out of a choice with the channels of its input that went round, and shuffles."""

    def __init__(self, share: int, halved: bool) -> None:
        super().__init__()
        self.share, self.halved = share, halved

    def forward(self, x: Tensor, mixed: Tensor) -> Tensor:
        """(B, C, H, W) and (B, C / share, H', W') to (B, C, H', W')."""
        rest = x[:, mixed.shape[1] :]
        if self.halved:
            rest = functional.max_pool2d(rest, 2, ceil_mode=True)
        return functional.channel_shuffle(torch.cat((mixed, rest), 1), self.share)


def narrowed(tree: Tree, share: int) -> Tree:
    """A tree whose every `channels` is one of `share` equal parts; ValueError where one does not divide."""
    if isinstance(tree, tuple):
        return tuple(narrowed(item, share) for item in tree)
    if not isinstance(tree, Node):
        return tree
    made: dict[str, Any] = {}
    for name in parts(type(tree)):
        value = getattr(tree, name)
        if name == "channels" and isinstance(value, int):
            if value % share:
                raise ValueError(f"{value} channels of {type(tree).__name__} do not divide by {share}")
            made[name] = value // share
        else:
            made[name] = narrowed(value, share)
    return replace(tree, **made)


def around(share: int) -> Callable[[Choice, Mixture], Node]:
    """What stands for a relaxed choice where one of `share` parts of the channels goes through it.

    A choice that holds further ones, or that says what is read, stays whole: the parts are taken inside of it.
    """
    return lambda choice, mixture: mixture if any(map(_wires, choice.options)) else Partly(mixture, share)


def _wires(tree: Tree, inside: bool = False) -> bool:
    """Whether a tree holds a choice, or a Take that is of no Dag within it."""
    if isinstance(tree, tuple):
        return any(_wires(item, inside) for item in tree)
    if isinstance(tree, Choice) or (isinstance(tree, Take) and not inside):
        return True
    if not isinstance(tree, Node):
        return False
    inside = inside or isinstance(tree, Dag)
    return any(_wires(getattr(tree, name), inside) for name in parts(type(tree)))
