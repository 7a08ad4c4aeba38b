"""The size space of NATS-Bench (Dong et al. 2021, arXiv:2009.00437): how many channels each of five layers has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Identity, Int, Label, Node, Shape
from search_spaces.nasbench201 import Cell, ResidualReduction
from search_spaces.ops.conv import Conv, ConvNormAct, ReluConvNorm
from search_spaces.ops.norm import Act, Norm
from search_spaces.ops.pool import Classifier

LAYERS = 5
SHARES = "the skip of a cell has weights only where the channels before and in it differ"


@recorded
def nats_size(
    input: tuple[int, int, int] = (3, 32, 32),  # the word of the project for an input shape
    classes: int = 10,
    channels: tuple[int, ...] = (8, 16, 24, 32, 40, 48, 56, 64),
    project: bool = False,
) -> Space:
    """Three cells of one topology with a residual block between them: 8^5 = 32,768 architectures.

    The cell is the best one of NAS-Bench-201 on CIFAR-100. channels: the options of each layer. project: the skip of a
    cell always has a convolution, so that networks share weights; in the benchmark only where the channels differ.
    """
    widths = [Choice(f"layer{k}.channels", tuple(channels)) for k in range(1, LAYERS + 1)]
    root = Chain.of(
        stem=ConvNormAct(widths[0], 3, act=""),
        layer1=_cell(widths[0], project=project),
        layer2=ResidualReduction(widths[1]),
        layer3=_cell(widths[2], project=project),
        layer4=ResidualReduction(widths[3]),
        layer5=_cell(widths[4], project=project),
        norm=Norm(),
        act=Act("relu"),
        head=Classifier(classes),
    )
    return Space(
        "nats_size",
        root,
        tuple(input),
        shares="" if project else SHARES,
        relaxes="its choices are numbers of channels",
        spelling=Spelling(_spell, _parse),
    )


@final
@dataclass(frozen=True)
class Skip(Node):
    """The input itself, or projected by a convolution and a norm: where it has other channels, or always."""

    channels: Int
    always: bool = False

    def lower(self, shape: Shape) -> Node:
        if shape[0] == self.channels and not self.always:
            return Identity()
        return Chain.of(conv=Conv(self.channels, 1), norm=Norm())


def _cell(channels: Choice, *, project: bool) -> Node:
    """|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|."""
    conv = ReluConvNorm(channels, 3)
    return Cell(conv, conv, conv, Skip(channels, project), conv, conv)


def _spell(arch: Architecture) -> str:
    return ":".join(str(arch[f"layer{k}.channels"]) for k in range(1, LAYERS + 1))


def _parse(text: str) -> Mapping[str, Label]:
    numbers = text.strip().split(":")
    if len(numbers) != LAYERS or not all(n.isdecimal() for n in numbers):
        raise ValueError(f"{text!r} is no network of nats_size; one is {LAYERS} numbers of channels, 64:64:56:64:24")
    return {f"layer{k}.channels": int(n) for k, n in enumerate(numbers, 1)}
