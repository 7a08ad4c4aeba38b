"""ENAS's micro space: two cells of 5 operations (Pham et al. 2018, arXiv:1802.03268, section 2.4).

Read in melodyguan/enas, src/cifar10/micro_child.py, where a found architecture is built: state 0 is the value before
the last one, state 1 the last one. The shared weights of its search reduce before a cell; here it is done in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import final

from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Identity, Label, Node, Shape, Take, Tree
from search_spaces.nasnet import WIDTHS_DIFFER, Stack, check_settings, holes
from search_spaces.ops.cells import OPERATIONS, AuxiliaryHead, FactorizedReduction, aligned, assembled
from search_spaces.ops.conv import ConvNormAct, Linear, ReluConvNorm
from search_spaces.ops.norm import Dropout, DropPath
from search_spaces.ops.pool import Flatten, GlobalPool

NUMBERED = ("sep_3x3", "sep_5x5", "avg_3x3", "max_3x3", "identity")
"""The operations in the order of their numbers in the authors' code."""
KINDS = ("normal", "reduction")
STEM = 3
"""The stem has so many times the filters of the first stage."""


@recorded
def enas(
    input: tuple[int, int, int] = (3, 32, 32),  # the word of the project for an input shape
    classes: int = 10,
    cells: int = 2,
    filters: int = 20,
    blocks: int = 5,
    output: str = "loose",
    drop_path: float = 0.0,
    dropout: float = 0.0,
    auxiliary: bool = False,
) -> Space:
    """Three times `cells` tied normal cells, a tied reduction cell after the first and after the second third.

    filters: of the first stage, doubled by each reduction; output: cells join the "loose" states, or "all" blocks.
    drop_path: the rate at the last cell by the end of a training; it grows from cell to cell and over the training.
    auxiliary: a second classifier, in training, behind the first cell after the second reduction.
    """
    check_settings("cifar", output, (), {"cells": cells, "filters": filters, "blocks": blocks}, "loose, all")
    total, channels = 3 * cells + 2, filters
    reductions = (cells, 2 * cells + 1)
    grow = Stack(AuxiliaryHead(classes, same=True) if auxiliary else None)
    grow.stem(ConvNormAct(STEM * filters, 3, act=""))
    for k in range(total):
        kind, stride = ("reduction", 2) if k in reductions else ("normal", 1)
        channels *= stride
        made = partial(_operations, channels=channels, rate=drop_path * (k + 1) / total)
        grow.cell(f"layer_{k}", EnasCell(channels, stride, holes(kind, blocks, made, stride), output), grow.before)
        if k == reductions[1] + 1:
            grow.auxiliary()
    drop = Dropout(dropout) if dropout else None
    linear = Linear(classes, bias=False)
    root = grow.network(Chain.of(pool=GlobalPool(), flatten=Flatten(), dropout=drop, linear=linear))
    reason = "" if output == "all" else WIDTHS_DIFFER
    spelling = Spelling(_spell, partial(_parse, blocks=blocks))
    return Space("enas", root, tuple(input), shares=reason, relaxes=reason, spelling=spelling)


@final
@dataclass(frozen=True)
class EnasCell(Node):
    """Blocks over two values, (this one, the one before), as `Cell`, but both are made alike before the blocks.

    State 0 is the one before; state 1 is this one through a 1x1 convolution, two where it has other channels.
    """

    channels: int
    stride: int
    blocks: tuple[Tree, ...]
    output: str

    def lower(self, shape: Shape) -> Node:
        now, before = shape
        one = (self.channels, *now[1:])
        calibrate = None if now[0] == self.channels else ReluConvNorm(self.channels, 1)
        this = Chain.of(calibrate=calibrate, project=ReluConvNorm(self.channels, 1))
        states = Take(1, aligned(before, one)), Take(0, this)
        return assembled(states, (one, one), self.stride, self.blocks, self.output)


def _operations(stride: int, *, channels: int, rate: float) -> dict[str, Node]:
    """The operations by name; unlike NASNet's, an identity that halves its input is a factorised reduction."""
    drop = DropPath(rate, scheduled=True) if rate else None
    made: dict[str, Node] = {name: Chain.of(op=OPERATIONS[name](channels, stride), drop=drop) for name in NUMBERED[:4]}
    return {**made, "identity": Chain.of(op=FactorizedReduction(channels) if stride == 2 else Identity())}


def _spell(arch: Architecture) -> str:
    """The numbers that the authors' --child_fixed_arc takes: state, operation, state, operation of each block."""
    numbers: list[str] = []
    for kind in KINDS:
        k = 2
        while f"{kind}.{k}.left.input" in arch.labels:
            for side in ("left", "right"):
                op = str(arch[f"{kind}.{k}.{side}.op"])
                numbers += [str(arch[f"{kind}.{k}.{side}.input"]), str(NUMBERED.index(op))]
            k += 1
    return " ".join(numbers)


def _parse(text: str, blocks: int) -> Mapping[str, Label]:
    words = text.split()
    if len(words) != 8 * blocks or any(not word.isdecimal() for word in words):
        raise ValueError(
            f"{text!r} is no architecture of enas; one is {8 * blocks} numbers, state and operation in turn"
        )
    labels: dict[str, Label] = {}
    names = [f"{kind}.{k}.{side}" for kind in KINDS for k in range(2, blocks + 2) for side in ("left", "right")]
    for name, state, op in zip(names, words[::2], words[1::2], strict=True):
        if int(op) >= len(NUMBERED):
            raise ValueError(f"{name} has the operation {op}; the last one is {len(NUMBERED) - 1}")
        labels |= {f"{name}.input": str(int(state)), f"{name}.op": NUMBERED[int(op)]}
    return labels
