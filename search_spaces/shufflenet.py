"""The space of Single Path One-Shot (Guo et al. 2020, arXiv:1904.00420): ShuffleNetV2 with a choice in each block."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from itertools import pairwise

from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Label, Node
from search_spaces.ops.conv import ConvNormAct, Linear
from search_spaces.ops.norm import Dropout
from search_spaces.ops.pool import Flatten, GlobalPool
from search_spaces.ops.shuffle import ShuffleUnit, ShuffleXception

BLOCKS = ("shuffle3x3", "shuffle5x5", "shuffle7x7", "xception")
"""The four choices of a block, in the order of the authors' numbers 0 to 3."""
SCALES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6)
"""The scales of the channel search, in the order of the authors' numbers 0 to 7."""


@recorded
def shufflenet(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    scales: tuple[float, ...] = (1.0,),
    stem: int = 16,
    widths: tuple[int, ...] = (64, 160, 320, 640),
    depths: tuple[int, ...] = (4, 4, 8, 4),
    head: int = 1024,
) -> Space:
    """Twenty choice blocks in four stages: 4^20 architectures, and 4^20 * 8^20 with the channel search.

    scales: of the width inside of a block; one is fixed, several are its choice `scale`, SCALES in the paper.
    stem, widths, depths, head: channels of the stem, channels and blocks of the stages, channels before the classifier.
    """
    if any(width % 2 for width in widths):
        raise ValueError(f"the widths of shufflenet are split in halves and must be even, got {tuple(widths)}")
    if wide := [(a, b) for a, b in pairwise((stem, *widths)) if b <= a]:
        raise ValueError(f"a stage of shufflenet must be wider than what it reads, got {wide[0][1]} after {wide[0][0]}")
    body: dict[str, Node | Choice] = {"stem": ConvNormAct(stem, 3, 2)}
    for width, depth in zip(widths, depths, strict=True):
        for k in range(depth):
            name = f"block{len(body)}"
            body[name] = _block(name, width, 1 if k else 2, tuple(scales))
    top = Chain.of(pool=GlobalPool(), flatten=Flatten(), dropout=Dropout(0.1), linear=Linear(classes, bias=False))
    root = Chain.of(**body, last=ConvNormAct(head, 1), classifier=top)
    one = len(scales) == 1
    relaxes = "" if one else "the scale of a block is a number; give it one scale"
    count = sum(depths)
    spelling = Spelling(partial(_spell, count=count, scales=scales), partial(_parse, count=count, scales=scales))
    return Space("shufflenet", root, tuple(input), relaxes=relaxes, spelling=spelling)


def _block(name: str, width: int, stride: int, scales: tuple[float, ...]) -> Choice:
    scale = scales[0] if len(scales) == 1 else Choice(f"{name}.scale", scales)
    return Choice.over(
        name,
        shuffle3x3=ShuffleUnit(width, 3, scale, stride),
        shuffle5x5=ShuffleUnit(width, 5, scale, stride),
        shuffle7x7=ShuffleUnit(width, 7, scale, stride),
        xception=ShuffleXception(width, scale, stride),
    )


def _spell(arch: Architecture, count: int, scales: tuple[float, ...]) -> str:
    numbers = [[BLOCKS.index(str(arch[f"block{k}"])) for k in range(1, count + 1)]]
    if len(scales) > 1:
        numbers.append([tuple(scales).index(float(arch[f"block{k}.scale"])) for k in range(1, count + 1)])
    return " ".join(f"[{', '.join(map(str, some))}]" for some in numbers)


def _parse(text: str, count: int, scales: tuple[float, ...]) -> Mapping[str, Label]:
    """The blocks' numbers in brackets, round or square, and behind them the numbers of the scales if they are free."""
    tables: dict[str, tuple[Label, ...]] = {"": BLOCKS} if len(scales) == 1 else {"": BLOCKS, ".scale": tuple(scales)}
    lists = [re.split(r"\s*,\s*", some.strip()) for some in re.findall(r"[(\[]([^)\]]*)[)\]]", text)]
    labels: dict[str, Label] = {}
    for numbers, (part, table) in zip(lists, tables.items(), strict=False):
        if len(numbers) == count and set(numbers) <= set(map(str, range(len(table)))):
            labels |= {f"block{k}{part}": table[int(n)] for k, n in enumerate(numbers, 1)}
    if len(lists) != len(tables) or len(labels) != count * len(tables):
        form = " ".join(f"[{count} numbers below {len(table)}]" for table in tables.values())
        raise ValueError(f"{text!r} is no network of shufflenet; one is {form}")
    return labels
