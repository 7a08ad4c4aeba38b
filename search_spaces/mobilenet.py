"""MobileNetV2 and MobileNetV3, layer by layer: width, depth, activation, kernels, expansions, squeeze-and-excitation.

What NetAdapt refines in Howard et al. 2019 (arXiv:1905.02244, section 4.2): the expansion of each layer and the width
of each bottleneck. V2 (Sandler et al. 2018, arXiv:1801.04381) is in the same space. Strides stay as published.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.recorded import recorded
from nas.space import Space
from nas.tree import Chain, Choice, Node, Tree
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.last_stage import LastStage
from search_spaces.ops.options import channels_of, layers_of, squeezes_of
from search_spaces.ops.pool import Classifier
from search_spaces.ops.residual import MBConv, round_to

V2 = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
"""Channels, blocks and stride of each stage (table 2)."""
LARGE = ((16, 1, 1), (24, 2, 2), (40, 3, 2), (80, 4, 2), (112, 2, 1), (160, 3, 2))
"""MobileNetV3-Large (table 1), its rows of one width and stride together."""
SMALL = ((16, 1, 2), (24, 2, 2), (40, 3, 2), (48, 2, 1), (96, 3, 2))
"""MobileNetV3-Small (table 2)."""

RELAXES = "widths, depths, kernels, expansions and activations are numbers and words"


@recorded
def mobilenet(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    stages: Sequence[Sequence[int]] = LARGE,
    width: float = 1.0,
    multipliers: tuple[float, ...] = (0.5, 0.75, 1.0),
    more: tuple[int, ...] = (-1, 0, 1),
    kernels: tuple[int, ...] = (3, 5),
    expands: tuple[float, ...] = (2.3, 2.5, 3, 3.67, 4, 4.5, 6),
    squeezes: tuple[float, ...] = (0, 0.25),
    acts: tuple[str, ...] = ("relu", "hardswish"),
    stem: int = 16,
    last: int = 960,
    head: int = 1280,
    act: str = "hardswish",
    dropout: float = 0.2,
) -> Space:
    """A stem, stages of inverted residuals (the first one does not expand) and V3's last stage, or V2's.

    stages: channels, blocks and stride of each; width: the multiplier of all channels; multipliers, more: what is tried
    around the channels and the blocks of each stage. kernels, expands, squeezes: the options of each block; acts: of
    each stage. last: channels before the pooling; head: after it, 0 for none (V2); act: of the stem and the last stage.
    """
    body: dict[str, Tree] = {"stem": ConvNormAct(round_to(stem * width, 8), 3, 2, act)}
    for s, (channels, blocks, stride) in enumerate(stages, 1):
        wide = channels_of(f"stage{s}.width", channels, multipliers, width)
        deep = layers_of(f"stage{s}.depth", blocks, more)
        name = f"stage{s}"
        nodes = [
            MBConv(
                wide,
                Choice(f"{name}.block{b}.kernel", tuple(kernels)),
                Choice(f"{name}.block{b}.expand", tuple(expands)) if s > 1 else None,
                stride if b == 1 else 1,
                squeezes_of(f"{name}.block{b}.squeeze", squeezes),
                Choice(f"{name}.act", tuple(acts)),
                divisor=8,
            )
            for b in range(1, max(deep.options) + 1)
        ]
        body[name] = Chain.of(deep, **{f"block{b}": node for b, node in enumerate(nodes, 1)})
    # The widest layer is widened, but never narrowed (arXiv:1801.04381).
    body["last"] = ConvNormAct(round_to(last * (width if head else max(1.0, width)), 8), 1, act=act)
    body["classifier"] = _head(round_to(head * max(1.0, width), 8) if head else 0, classes, act, dropout)
    return Space("mobilenet", Chain.of(**body), tuple(input), relaxes=RELAXES)


def _head(features: int, classes: int, act: str, dropout: float) -> Node:
    return LastStage(features, classes, act, dropout=dropout) if features else Classifier(classes, dropout)
