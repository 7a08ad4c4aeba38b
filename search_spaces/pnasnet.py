"""One cell, at stride 1 and 2, stacked: PNASNet (Liu et al. 2018, arXiv:1712.00559).

Macro-structure as in tensorflow/models, research/slim/nets/nasnet/pnasnet.py.
"""

from __future__ import annotations

from functools import partial

from nas.recorded import recorded
from nas.space import Space, Spelling
from search_spaces.nasnet import (
    WIDTHS_DIFFER,
    Stack,
    check_settings,
    default_stem,
    dropping,
    holes,
    parse,
    spell,
    stem_of,
    with_stem,
)
from search_spaces.ops.cells import AuxiliaryHead, Cell
from search_spaces.ops.pool import Classifier

OPERATIONS = ("sep_3x3", "sep_5x5", "sep_7x7", "conv_1x7_7x1", "identity", "avg_3x3", "max_3x3", "dilated_3x3")
"""The 8 operations of the paper, section 3.1, in its order."""
KINDS = ("cell",)


@with_stem
@recorded
def pnasnet(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    cells: int = 2,
    filters: int = 32,
    blocks: int = 5,
    operations: tuple[str, ...] = OPERATIONS,
    output: str = "all",
    stem: str = "",
    stem_multiplier: float = 3.0,
    drop_path: float = 0.0,
    dropout: float = 0.0,
    auxiliary: bool = False,
) -> Space:
    """Three times `cells` tied cells; the first of the second and of the third stage has stride 2.

    output: cells join "all" blocks (the released networks) or the "loose" states that no block reads.
    filters, stem, stem_multiplier, drop_path and auxiliary as for `nasnet`.
    """
    stem = stem or default_stem(input)
    sizes = {"cells": cells, "filters": filters, "blocks": blocks}
    check_settings(stem, output, operations, sizes, "all, loose")
    total = 3 * cells + 2 * (stem == "imagenet")
    grow = Stack(AuxiliaryHead(classes) if auxiliary else None)

    def cell(name: str, channels: int, stride: int) -> None:
        rate = drop_path * (grow.cells + 1) / total
        named = partial(dropping, rate=rate, names=tuple(operations), channels=channels)
        before = grow.before
        grow.cell(name, Cell(channels, stride, holes("cell", blocks, named, stride), output, before is None), before)

    grow.stem(stem_of(stem, filters, stem_multiplier))
    if stem == "imagenet":
        for k in (0, 1):
            cell(f"cell_stem_{k}", max(1, int(filters * 2 ** (k - 2))), 2)
    for k in range(3 * cells):
        cell(f"cell_{k}", filters << k // cells, 2 if k in (cells, 2 * cells) else 1)
        if k == 2 * cells - 1:
            grow.auxiliary()
    reason = "" if output == "all" else WIDTHS_DIFFER
    spelling = Spelling(partial(spell, kinds=KINDS), partial(parse, kinds=KINDS))
    root = grow.network(Classifier(classes, dropout))
    return Space("pnasnet", root, tuple(input), shares=reason, relaxes=reason, spelling=spelling)
