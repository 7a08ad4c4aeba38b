"""The MnasNet-like space of Accel-NASBench (Ahmad et al. 2024, arXiv:2404.08005): decisions alone, a table knows them.

Options as in the released `configuration_space_writer.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from nas.decision import ALONE, decisions
from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Label

PARTS = {"expand": "e", "kernel": "k", "layers": "l", "squeeze": "s"}
"""What a block decides, and the letter that stands for it in a spelling."""
BLOCK = re.compile(r"e(\d+)k(\d+)l(\d+)s(\d+)")


@recorded
def accel_nasbench(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    layers: tuple[int, ...] = (3, 3, 3, 3, 3, 4, 3),
    expands: tuple[int, ...] = (1, 4, 6),
    kernels: tuple[int, ...] = (3, 5),
) -> Space:
    """Seven blocks of 36 decisions, the sixth of 48: expansion, kernel, layers, squeeze-and-excitation.

    input, classes: ImageNet's; no decision depends on them. layers: the most of each block; expands, kernels: options.
    """
    holes: dict[str, tuple[int, ...]] = {}
    for b, most in enumerate(layers, 1):
        holes |= {f"block{b}.expand": tuple(expands), f"block{b}.kernel": tuple(kernels)}
        holes |= {f"block{b}.layers": tuple(range(1, most + 1)), f"block{b}.squeeze": (0, 1)}
    count = len(layers)
    spelling = Spelling(partial(_spell, count=count), partial(_parse, count=count))
    return Space("accel_nasbench", decisions(holes), tuple(input), shares=ALONE, relaxes=ALONE, spelling=spelling)


def _spell(arch: Architecture, count: int) -> str:
    words = ("".join(f"{letter}{arch[f'block{b}.{part}']}" for part, letter in PARTS.items()) for b in _blocks(count))
    return ";".join(words)


def _parse(text: str, count: int) -> Mapping[str, Label]:
    found = [BLOCK.fullmatch(word) for word in text.strip().split(";")]
    labels: dict[str, Label] = {}
    for b, match in enumerate(found, 1):
        if match is None or len(found) != count:
            raise ValueError(f"{text!r} is no network of accel_nasbench; one is {count} blocks e6k3l1s0 joined by ;")
        labels |= {f"block{b}.{part}": int(n) for part, n in zip(PARTS, match.groups(), strict=True)}
    return labels


def _blocks(count: int) -> range:
    return range(1, count + 1)
