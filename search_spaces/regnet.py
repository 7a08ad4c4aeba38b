"""The design space of RegNet: stages with a width, a depth and a group width (arXiv:2003.13678)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas.errors import UserError
from nas.recorded import recorded
from nas.space import Json, Space
from nas.tree import Chain, Choice, Node
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.pool import Classifier
from search_spaces.ops.regnet_blocks import XBlock, fitted


@recorded
def regnet(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    widths: Sequence[Sequence[int]] = ((32, 48, 64), (64, 96, 128), (128, 192, 256), (256, 384, 512)),
    depths: Sequence[Sequence[int]] = ((1, 2), (1, 2, 3, 4), (2, 4, 6, 8), (1, 2, 3)),
    group_widths: tuple[int, ...] = (8, 16, 32),
    squeeze: float = 0.25,
    stem: int = 32,
    strides: tuple[int, ...] = (2, 2, 2, 2, 2),
) -> Space:
    """A stem, stages of X or Y blocks and a classifier: AnyNetX_C, in which all stages share one group width (3.2).

    widths, depths: the options of each stage; group_widths: of all stages; a width moves to the nearest multiple of the
    group width that is chosen. squeeze: 0.25 for RegNetY, 0 for RegNetX; stem: its width; strides: of the stem and of
    each stage's first block.
    """
    if not len(widths) == len(depths) == len(strides) - 1:
        raise UserError(
            f"a regnet of {len(widths)} stages got depths of {len(depths)} and {len(strides)} strides",
            fix="give widths and depths for each stage, and one stride more, for the stem",
        )
    body: dict[str, Node] = {"stem": ConvNormAct(stem, 3, strides[0])}
    for s, options in enumerate(widths, 1):
        width = Choice(f"stage{s}.width", tuple(options))
        depth = Choice(f"stage{s}.depth", tuple(depths[s - 1]))
        # A first block projects whatever its stride, so that no key depends on whether two widths are equal.
        blocks = [
            Choice.over(
                "group_width",
                **{f"g{g}": XBlock(width, g, 1 if b else strides[s], b == 0, squeeze) for g in group_widths},
            )
            for b in range(max(depth.options))
        ]
        body[f"stage{s}"] = Chain(tuple(f"block{b}" for b in range(1, len(blocks) + 1)), tuple(blocks), depth)
    root = Chain.of(**body, classifier=Classifier(classes))
    return Space("regnet", root, tuple(input), relaxes="widths and depths are numbers")


def stages(w_0: int, w_a: float, w_m: float, d: int, g: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The width and the depth of each stage by the quantised linear parametrisation (arXiv:2003.13678, eq. 2 to 4).

    Block j of the d blocks is w_0 + w_a * j wide, moved to the nearest w_0 * w_m^k for a whole k, and to a multiple of
    8; blocks of one width are a stage; then widths move to a multiple of the group width g.
    """
    if w_0 % 8 or w_0 <= 0 or w_a < 0 or w_m <= 1 or d < 1 or g < 1:
        raise ValueError(f"no RegNet has w_0 {w_0} (in eights), w_a {w_a}, w_m {w_m} (above 1), d {d}, g {g}")
    powers = (round(math.log((w_0 + w_a * j) / w_0) / math.log(w_m)) for j in range(d))
    widths = [round(w_0 * w_m**k / 8) * 8 for k in powers]
    found = sorted(set(widths))
    return tuple(fitted(w, g)[0] for w in found), tuple(widths.count(w) for w in found)


def around(w_0: int, w_a: float, w_m: float, d: int, g: int) -> dict[str, Json]:
    """Settings of `regnet` around the network of these parameters: its widths and half of them, its depths and less."""
    wide, deep = stages(w_0, w_a, w_m, d, g)
    return {
        "widths": [sorted({fitted(w // 2, g)[0], w}) for w in wide],
        "depths": [sorted({max(1, n // 2), n}) for n in deep],
        "group_widths": [g],
        "strides": [2] * (len(wide) + 1),
    }


def labels(w_0: int, w_a: float, w_m: float, d: int, g: int) -> dict[str, int | str]:
    """The architecture of these parameters, by choice."""
    made: dict[str, int | str] = {"group_width": f"g{g}"}
    for s, (width, depth) in enumerate(zip(*stages(w_0, w_a, w_m, d, g), strict=True), 1):
        made |= {f"stage{s}.width": width, f"stage{s}.depth": depth}
    return made
