"""Where a residual network halves the image, with all else fixed (Roshtkhari et al. 2023, arXiv:2306.11982)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import final

from nas.errors import UserError
from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Identity, Int, Label, Node, Shape
from search_spaces.ops.conv import Conv
from search_spaces.ops.norm import Act, Norm
from search_spaces.ops.pool import Classifier, MaxPool
from search_spaces.ops.resnet_blocks import BasicBlock, BottleneckBlock, PlainNorm, shortcut
from search_spaces.resnet import EXPANSION

NORMS: Mapping[str, Node] = {"batch": Norm(), "plain": PlainNorm()}


@recorded
def pooling(
    input: tuple[int, int, int] = (3, 32, 32),  # the word of the project for an input shape
    classes: int = 10,
    block: str = "basic",
    widths: Sequence[int] = (16, 32, 64),
    depths: Sequence[int] = (3, 3, 3),
    poolings: int = 2,
    by: str = "pool",
    norm: str = "batch",
) -> Space:
    """A stem and residual blocks, in front of which `poolings` of them halve the image: 36 networks of one ResNet-20.

    ResNet-18 of the paper: widths (64, 128, 256, 512), depths (2, 2, 2, 2), 3 poolings by "stride" (56 networks);
    ResNet-50: block "bottleneck", depths (3, 4, 6, 3) (560 networks). The weights are the same in all networks.

    widths, depths: of groups of blocks of one width; by: "pool", a 2x2 maximum in front of the block, or "stride", of
    the block's 3x3 convolution. norm: "batch", or the paper's "plain", which knows only the batch that it sees and
    learns nothing: right for a supernet, but such a network's answer depends on the other images of the batch.
    """
    for name, value, words in (("block", block, EXPANSION), ("by", by, ("pool", "stride")), ("norm", norm, NORMS)):
        if value not in words:
            raise UserError(f"{name} of pooling is {value!r}", fix=f"it may be {', '.join(words)}")
    if len(depths) != len(widths) or not 0 < poolings <= sum(depths):
        raise UserError(
            f"pooling has {len(widths)} widths, {len(depths)} depths and {poolings} poolings",
            fix="give a depth for each width, and from 1 pooling to as many as there are blocks",
        )
    norms = NORMS[norm]
    stem = Chain.of(conv=Conv(widths[0], 3), norm=norms, act=Act("relu"))
    units = (stem, *_blocks(block, widths, depths, norms))
    last = len(units) - 1
    before = tuple(Choice(f"pool{p}.before", tuple(range(p, last - poolings + p + 1))) for p in range(1, poolings + 1))
    names = tuple(f"unit{k}" for k in range(len(units)))
    root = Chain.of(units=Pooled(names, units, before, by == "pool"), classifier=Classifier(classes))
    spelling = Spelling(partial(_spell, units=len(units)), partial(_parse, units=len(units), poolings=poolings))
    relaxes = "its choices are places in a row, whose networks differ in the shape of every value"
    return Space("pooling", root, tuple(input), relaxes=relaxes, accepts=_rising, spelling=spelling)


@final
@dataclass(frozen=True)
class Pooled(Node):
    """Units one after another, the image being halved in front of those whose numbers stand in `before`.

    pool: by a maximum in front of the unit; otherwise by the unit's own stride.
    """

    names: tuple[str, ...]
    units: tuple[Node, ...]
    before: tuple[Int, ...]
    pool: bool = True

    def lower(self, shape: Shape) -> Node:
        items: dict[str, Node] = {}
        for k, (name, unit) in enumerate(zip(self.names, self.units, strict=True)):
            halves = k in self.before
            if halves and self.pool:
                items[f"pool{k}"] = MaxPool(2, 2)
            items[name] = _strided(unit) if halves and not self.pool else unit
        return Chain.of(**items)


def _blocks(block: str, widths: Sequence[int], depths: Sequence[int], norm: Node) -> list[Node]:
    made: list[Node] = []
    make = BasicBlock if block == "basic" else BottleneckBlock
    for g, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        out = EXPANSION[block] * width
        for b in range(depth):
            changes = b == 0 and (g > 0 or block == "bottleneck")
            beside = shortcut("projection", out, 1, norm) if changes else Identity()
            made.append(make(out, width, 1, beside, norm))
    return made


def _strided(unit: Node) -> Node:
    """The same block with stride 2; a shortcut without weights takes every second pixel."""
    if not isinstance(unit, BasicBlock | BottleneckBlock):
        raise TypeError(f"only a block can halve the image, not {type(unit).__name__}")
    if isinstance(unit.shortcut, Identity):
        return replace(unit, stride=2, shortcut=MaxPool(1, 2))
    return replace(unit, stride=2, shortcut=shortcut("projection", unit.channels, 2, unit.norm))


def _rising(network: Node) -> bool:
    """Whether each pooling stands behind the one before."""
    units = network.items[0] if isinstance(network, Chain) else network
    return isinstance(units, Pooled) and all(a < b for a, b in pairwise(units.before))


def _spell(arch: Architecture, units: int) -> str:
    """The lengths of the rows of units of one size, "[4,3,3]"."""
    before = sorted(int(label) for _, label in arch.choices)
    return "[" + ",".join(str(b - a) for a, b in pairwise([0, *before, units])) + "]"


def _parse(text: str, units: int, poolings: int) -> Mapping[str, Label]:
    lengths = [int(word) for word in re.findall(r"\d+", text)]
    written = re.fullmatch(r"\s*\[\s*\d+(\s*,\s*\d+)*\s*\]\s*", text)
    if not written or len(lengths) != poolings + 1 or sum(lengths) != units or min(lengths) < 1:
        what = f"{poolings + 1} positive lengths that add up to {units}"
        raise ValueError(
            f"{text!r} is no configuration of this pooling; one is {what}, as in {_example(units, poolings)}"
        )
    return {f"pool{p}.before": sum(lengths[:p]) for p in range(1, poolings + 1)}


def _example(units: int, poolings: int) -> str:
    return "[" + ",".join(["1"] * poolings + [str(units - poolings)]) + "]"
