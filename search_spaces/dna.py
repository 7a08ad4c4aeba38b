"""Inverted residuals in five stages, rated stage by stage (DNA, Li et al. 2020, arXiv:1911.13053).

Also the MBConv space of BossNAS (Li et al. 2021, arXiv:2103.12424), whose supernet adds pooled shortcuts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Identity, Label, Node, Sum, Zero
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.hytra_blocks import Shortcut
from search_spaces.ops.pool import Classifier
from search_spaces.ops.residual import MBConv, SqueezeExcite


@recorded
def dna(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    channels: tuple[int, ...] = (24, 40, 80, 112, 192),
    layers: tuple[int, ...] = (2, 4, 4, 4, 4),
    strides: tuple[int, ...] = (2, 2, 2, 1, 2),
    expands: tuple[int, ...] = (6, 3),
    kernels: tuple[int, ...] = (3, 5),
    shortcuts: bool = False,
    stem: int = 32,
    first: int = 16,
    last: int = 320,
    head: int = 1280,
) -> Space:
    """A stem, stages of inverted residuals with squeeze-and-excitation, a fixed last one, and a classifier.

    channels, layers, strides: of each stage; expands, kernels: the options of each layer; shortcuts: beside every
    layer, as in the supernet of BossNAS, else identities where they fit. The default is the space of BossNAS.
    """
    if not len(channels) == len(layers) == len(strides):
        raise ValueError("channels, layers and strides must name equally many stages")
    body: dict[str, Node] = {
        "stem": ConvNormAct(stem, 3, 2, "silu"),
        "first": MBConv(first, 3, None, 1, _squeeze(stem), "silu"),
    }
    before = first
    for s, (width, many, stride) in enumerate(zip(channels, layers, strides, strict=True), 1):
        made: dict[str, Node] = {}
        for n in range(1, many + 1):
            step = stride if n == 1 else 1
            ops = {
                f"MB{e}_{k}x{k}": MBConv(
                    width, k, e, step, _squeeze(before), "silu", Zero() if shortcuts else Identity(), 8
                )
                for e in expands
                for k in kernels
            }
            op, same = Choice.over(f"stage{s}.layer{n}.op", **ops), step == 1 and before == width
            beside = Identity() if same else Shortcut(width, step, pooled=True)
            made[f"layer{n}"] = Sum.of(body=op, skip=beside) if shortcuts else Chain.of(body=op)
            before = width
        body[f"stage{s}"] = Chain.of(**made)
    body["last"] = MBConv(last, 3, 6, 1, _squeeze(before), "silu", divisor=8)
    root = Chain.of(**body, head=ConvNormAct(head, 1, act="silu"), classifier=Classifier(classes))
    names = tuple(f"MB{e}_{k}x{k}" for e in expands for k in kernels)
    spelling = Spelling(partial(_spell, names, tuple(layers)), partial(_parse, names, tuple(layers)))
    return Space("dna", root, tuple(input), spelling=spelling)


def _squeeze(before: int) -> Node:
    """A quarter of what comes into the block, as in EfficientNet."""
    return SqueezeExcite(0.25, before, 1, "silu", "sigmoid")


def _spell(names: tuple[str, ...], layers: tuple[int, ...], arch: Architecture) -> str:
    """The number of each layer's operation, stage by stage, as in the released tables of ratings."""
    return json.dumps(
        [
            [names.index(str(arch[f"stage{s}.layer{n}.op"])) for n in range(1, many + 1)]
            for s, many in enumerate(layers, 1)
        ]
    )


def _parse(names: tuple[str, ...], layers: tuple[int, ...], text: str) -> Mapping[str, Label]:
    try:
        return {
            f"stage{s}.layer{n}.op": names[op]
            for s, (many, stage) in enumerate(zip(layers, json.loads(text), strict=True), 1)
            for n, op in zip(range(1, many + 1), stage, strict=True)
        }
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(f"{text!r} is no network of dna; one is [[1, 1], [1, 0, 3, 1], ...]") from error
