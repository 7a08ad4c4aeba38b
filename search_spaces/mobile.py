"""Inverted residuals in stages: width, depth, and in each block kernel, expansion and squeeze-and-excitation.

The space of MnasNet and MobileNetV3 (Tan et al. 2019, arXiv:1807.11626; Howard et al. 2019, arXiv:1905.02244), stage by
stage and block by block as in Once-for-all (Cai et al. 2020, arXiv:1908.09791).
"""

from __future__ import annotations

from nas.recorded import recorded
from nas.space import Space
from nas.tree import Chain, Choice, Identity, Node
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.pool import Classifier
from search_spaces.ops.residual import MBConv, SqueezeExcite, round_to

RELAXES = "widths, depths, kernels and expansions are numbers"
SMALLEST = 7
"""No stage makes an image whose sides are below this; large images come out at 7, as in the papers."""


@recorded
def mobile(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    widths: tuple[int, ...] = (16, 24, 40, 80),
    multipliers: tuple[float, ...] = (0.5, 0.75, 1.0),
    depths: tuple[int, ...] = (1, 2, 3),
    kernels: tuple[int, ...] = (3, 5, 7),
    expands: tuple[float, ...] = (2, 3, 4, 6),
    squeezes: tuple[float, ...] = (0, 0.25),
    head: int = 128,
) -> Space:
    """A stem, stages of inverted residuals and a classifier; a stage halves the image while it is large enough.

    widths: channels of each stage, times each of `multipliers` (rounded to 8); depths, kernels, expands: the options.
    squeezes: shares for squeeze-and-excitation, 0 for none; head: channels before the classifier.
    """
    side = min(input[1:])
    stride = 2 if side >= 64 else 1
    side = -(-side // stride)
    body: dict[str, Node] = {"stem": ConvNormAct(widths[0], 3, stride, act="hardswish")}
    for s, width in enumerate(widths, 1):
        stride = 2 if s > 1 and side >= 2 * SMALLEST - 1 else 1
        side = -(-side // stride)
        options = tuple(dict.fromkeys(round_to(width * m, 8) for m in multipliers))
        channels = Choice(f"stage{s}.width", options)
        squeeze = {"none" if not r else f"se{round(100 * r)}": SqueezeExcite(r) if r else Identity() for r in squeezes}
        blocks = [
            MBConv(
                channels,
                Choice(f"stage{s}.block{b}.kernel", tuple(kernels)),
                Choice(f"stage{s}.block{b}.expand", tuple(expands)),
                stride if b == 1 else 1,
                Choice.over(f"stage{s}.block{b}.squeeze", **squeeze),
                "relu" if s <= 2 else "hardswish",
            )
            for b in range(1, max(depths) + 1)
        ]
        names = tuple(f"block{b}" for b in range(1, len(blocks) + 1))
        body[f"stage{s}"] = Chain(names, tuple(blocks), Choice(f"stage{s}.depth", tuple(depths)))
    root = Chain.of(**body, last=ConvNormAct(head, 1, act="hardswish"), classifier=Classifier(classes))
    return Space("mobile", root, tuple(input), relaxes=RELAXES)
