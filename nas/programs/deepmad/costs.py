"""What the stages of a design cost, as linear forms: one row of whole coefficients for each stage and resource."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.programs.deepmad.problem import Template

Array: TypeAlias = NDArray[Any]
Count: TypeAlias = Literal["conv", "tool"]
TERMS = (
    "in_mid",  # n b: the first block's first convolution
    "out_mid",  # L c b
    "out_mid_once",  # c b
    "square",  # L b^2 k^2 for the resnet family, L b k^2 for the mobile family
    "mid",  # L b
    "mid_once",  # b
    "gate",  # L b s, with s the width inside the squeeze-excitation
    "squeezed",  # L s
    "out",  # L c
    "out_once",  # c
    "in_out",  # n c: the projection
    "in_once",  # n
    "equal",  # n where n = c: the pooled shortcut of the mobile family
)
"""Of a stage with n channels in, c out, b inner ones, L blocks, and the kernel k."""


@final
@dataclass(frozen=True)
class Forms:
    """The costs of a template's designs in one resource.

    rows: (stages, terms); stem: of each of its channels; end: of each channel of the last stage; constant: the rest.
    """

    rows: Array
    stem: int
    end: int
    constant: int


@lru_cache(maxsize=64)
def forms(template: Template, count: Count) -> tuple[Forms, Forms]:
    """The MACs and the parameters."""
    return _macs(template, count), _params(template, count)


def activations(template: Template) -> Forms:
    """The elements that the convolutions put out."""
    rows = []
    for before, area in zip(template.areas, template.areas[1:], strict=False):
        row = {"mid": 2 * area, "mid_once": before - area, "out": area}
        extra = {"out_once": area} if template.family == "resnet" else {"mid": 2 * area + 1, "squeezed": 1}
        rows.append(_row(**{**row, **extra}))
    return Forms(np.array(rows), template.areas[0], 0, template.head * template.areas[-1])


def squeezed(mids: Array) -> Array:
    """The width inside the squeeze-excitation: a quarter, cut to a multiple of 8."""
    return np.maximum(1, np.rint(mids * 0.25).astype(np.int64) // 8) * 8


def _macs(template: Template, count: Count) -> Forms:
    rows, tool, resnet = [], count == "tool", template.family == "resnet"
    for stride, before, area in zip(template.strides, template.areas, template.areas[1:], strict=False):
        row = {"in_mid": before, "out_mid": 2 * area, "out_mid_once": -area, "square": area}
        if resnet:
            row |= {"in_out": area}
        elif not tool:
            row |= {"gate": 2}
        if tool:
            row |= {"mid": 6 * area, "mid_once": 3 * (before - area), "out": 3 * area}
            pooled = before if stride > 1 else 0
            row |= {"out_once": 3 * area, "in_once": pooled} if resnet else {"equal": pooled}
        rows.append(_row(**row))
    stem = (9 * template.input[0] + 3 * tool) * template.areas[0]
    head, last = template.head, template.areas[-1]
    end = head * last if head else template.classes * (not tool)
    constant = 3 * head * last if tool else head * template.classes
    return Forms(np.array(rows), stem, end, constant)


def _params(template: Template, count: Count) -> Forms:
    same = {"in_mid": 1, "out_mid": 2, "out_mid_once": -1, "square": 1, "out": 2}
    row = (
        _row(**same, mid=4, out_once=2, in_out=1)
        if template.family == "resnet"
        else _row(**same, mid=6, gate=2, squeezed=2)
    )
    head, classifier = template.head, count == "conv"
    end = head or template.classes * classifier
    constant = 2 * head + (head * template.classes + template.classes if head else template.classes) * classifier
    return Forms(np.array([row] * template.stages), 9 * template.input[0] + 2, end, constant)


def _row(**terms: int) -> list[int]:
    return [int(terms.get(name, 0)) for name in TERMS]


def total(template: Template, form: Forms, stems: Array, rows: tuple[Array, Array, Array, Array]) -> Array:
    """The cost of many designs: `stems` (N,), `rows` the depths, outs, mids and kernels, each (N, stages), int64."""
    depths, outs, mids, kernels = rows
    made: Array = form.stem * stems + form.end * outs[:, -1] + form.constant
    before = stems
    for j, f in enumerate(form.rows):
        deep, out, mid, kernel = depths[:, j], outs[:, j], mids[:, j], kernels[:, j]
        made = made + stage(template, f, before, deep, out, mid, kernel)
        before = out
    return made


def stage(template: Template, f: Array, before: Array, deep: Array, out: Array, mid: Array, kernel: Array) -> Array:
    """The cost of one stage, for arrays that broadcast; `f` its row."""
    widths = mid * mid if template.family == "resnet" else mid
    by_block = f[1] * out * mid + f[3] * widths * (kernel * kernel) + f[4] * mid + f[8] * out
    if f[6] or f[7]:
        inside = squeezed(mid)
        by_block = by_block + (f[6] * mid + f[7]) * inside
    made: Array = by_block * deep + mid * (f[0] * before + f[2] * out + f[5])
    if f[9] or f[10] or f[11]:
        made = made + f[9] * out + before * (f[10] * out + f[11])
    return made + f[12] * before * (before == out) if f[12] else made
