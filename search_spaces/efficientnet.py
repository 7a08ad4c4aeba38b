"""EfficientNet (Tan and Le 2019, arXiv:1905.11946): MnasNet's space around B0, scaled in width, depth and resolution.

An architecture keeps its labels at every scale: B0's, made with the coefficients of B7, is B7.
"""

from __future__ import annotations

from math import ceil

from nas.recorded import recorded
from nas.space import Space
from nas.tree import Chain, Int, Tree
from search_spaces.mnasnet import RELAXES, STRIDES, Options, block
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.options import channels_of, layers_of
from search_spaces.ops.pool import Classifier
from search_spaces.ops.residual import round_to

CHANNELS, LAYERS = (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)
"""Of the stages 2 to 8 of B0 (table 1)."""


@recorded
def efficientnet(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    channels: tuple[int, ...] = CHANNELS,
    layers: tuple[int, ...] = LAYERS,
    strides: tuple[int, ...] = STRIDES,
    multipliers: tuple[float, ...] = (0.75, 1.0, 1.25),
    more: tuple[int, ...] = (-1, 0, 1),
    ops: tuple[str, ...] = ("conv", "sepconv", "mbconv"),
    kernels: tuple[int, ...] = (3, 5),
    expands: tuple[float, ...] = (3, 6),
    squeezes: tuple[float, ...] = (0, 0.25),
    skips: tuple[str, ...] = ("none", "identity", "pool"),
    stem: int = 32,
    head: int = 1280,
) -> Space:
    """A stem, seven stages and a classifier; the stages are numbered as in table 1, from 2.

    width, depth: the compound coefficients of channels and layers, 1.1^phi and 1.2^phi; the resolution, 1.15^phi, is
    that of `input`. drop_path: how often the last layer is dropped in train mode, the earlier ones less.
    channels, layers: of each stage at scale 1, with `multipliers` and `more` around them; the rest as for MnasNet.
    """
    options = Options(tuple(ops), tuple(kernels), tuple(expands), tuple(squeezes), tuple(skips))
    reads: Int = round_to(stem * width, 8)
    body: dict[str, Tree] = {"stem": ConvNormAct(reads, 3, 2, "silu")}
    total, done = sum(ceil(n * depth) for n in layers), 0
    for s, (reference, count, stride) in enumerate(zip(channels, layers, strides, strict=True), 2):
        wide = channels_of(f"stage{s}.channels", reference, multipliers, width)
        deep = layers_of(f"stage{s}.layers", count, more, depth)
        drops = tuple(round(drop_path * min(1, (done + k) / total), 4) for k in range(max(deep.options)))
        body[f"stage{s}"] = block(f"stage{s}", options, reads, wide, stride, deep, "silu", drops)
        reads, done = wide, done + ceil(count * depth)
    last = ConvNormAct(round_to(head * width, 8), 1, act="silu")
    root = Chain.of(**body, last=last, classifier=Classifier(classes, dropout))
    return Space("efficientnet", root, tuple(input), relaxes=RELAXES)
