"""Multipliers for one depth vector: cutting planes in a box around the best point, on the convex dual function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic
from typing import final

import numpy as np
from scipy.optimize import linprog

from nas.programs.deepmad.costs import Array
from nas.programs.deepmad.dual import Dual, Maximiser, Multipliers
from nas.programs.deepmad.problem import Design
from nas.programs.deepmad.spans import spans

ROUNDS = 60
NARROW = 1e-4
"""The box, relative to its first size, below which nothing more is won."""
WIDE = 1e3
"""The box, relative to its first size, above which it is not widened."""


@final
@dataclass(frozen=True)
class Lowest:
    """The best multipliers found for a depth vector, their bound, and the designs that the inner problems chose."""

    multipliers: Multipliers
    bound: float
    designs: tuple[Design, ...]


def lowest(
    dual: Dual,
    depths: tuple[int, ...],
    start: Multipliers,
    *,
    target: float = -np.inf,
    close: float = 1e-6,
    rounds: int = ROUNDS,
    stop: float = np.inf,
) -> Lowest:
    """The lowest bound from `start` on, to within `close` of its size as the cuts see it, or to `target`."""
    here = replace(start, spans=spans(dual.template, dual.budgets, np.array([depths])))
    free = _free(dual, here)
    point, scale = _vector(here), _scale(here)
    best = dual.maximise(here, depths)
    designs, top = {best.design: None}, best.bound
    cuts: list[tuple[float, Array, Array]] = [_cut(best, point)]
    size, ray = 1.0, start.objective == 0
    for _ in range(rounds):
        if top <= target or size < NARROW or monotonic() > stop:
            break
        found = _least(cuts, point, size * scale, free, ray=ray)
        if found is None:
            break
        there, low = found
        hoped = top - low
        fenced = size < WIDE and bool((np.abs(there - point) > 0.999 * size * scale).any())
        if hoped <= close * max(1.0, abs(top)):
            if not fenced:
                break
            size *= 4.0  # the box hides the slope
            continue
        made = dual.maximise(_multipliers(here, there), depths)
        designs[made.design] = None
        cuts.append(_cut(made, there))
        if made.bound < top - 0.3 * hoped and fenced:
            size *= 3.0
        elif made.bound > top:
            size *= 0.5
        if made.bound < top:
            point, top = there, made.bound
    return Lowest(_multipliers(here, point), top, tuple(designs))


def first(dual: Dual, value: float, *, objective: float = 1.0) -> Multipliers:
    """Multipliers to begin with, for a value of this size; for objective 0, prices that sum to 1."""
    t, levels = dual.template, len(dual.template.ends)
    zero = tuple((0.0, 0.0) for _ in t.ends)
    macs, params, rho = np.isfinite([dual.budgets.macs, dual.budgets.params, dual.budgets.rho]).tolist()
    if objective == 0:
        share = 1.0 / max(1, macs + params + levels * rho)
        return Multipliers(0.0, share * macs, share * params, (share * rho,) * levels, (0.0,) * levels, zero)
    size = max(abs(value), 1.0)
    middles = [float(np.sqrt(row[0] * row[-1])) for row in (t.stems, *t.widths)]
    centres = tuple(float(dual.factor(i, middles[end])) if dual.joined[i] else 0.0 for i, end in enumerate(t.ends))
    last = (0.0,) * (levels - 1) + (rho * size / 1000,)
    return Multipliers(1.0, 0.25 * size * macs, 0.25 * size * params, last, centres, zero)


def _free(dual: Dual, y: Multipliers) -> Array:
    """Which coordinates may move."""
    levels, rho = len(dual.template.ends), np.isfinite(dual.budgets.rho)
    joined = np.array(dual.joined) & (y.objective > 0)
    macs, params = np.isfinite(dual.budgets.macs), np.isfinite(dual.budgets.params)
    return np.concatenate([[macs, params], np.full(levels, rho), joined])


def _scale(y: Multipliers) -> Array:
    """The first box around a point."""
    if not y.objective:
        return np.full(2 + 2 * len(y.rho), 0.25)
    size = max(y.macs + y.params, 1.0)
    rho = np.maximum(0.3 * np.array(y.rho), size / 4000)
    return np.concatenate([[0.3 * size, 0.3 * size], rho, np.maximum(0.05 * np.array(y.centres), 1e-3)])


def _vector(y: Multipliers) -> Array:
    return np.array([y.macs, y.params, *y.rho, *y.centres])


def _multipliers(like: Multipliers, point: Array) -> Multipliers:
    levels = len(like.rho)
    rho, centres = tuple(map(float, point[2 : 2 + levels])), tuple(map(float, point[2 + levels :]))
    return replace(like, macs=float(point[0]), params=float(point[1]), rho=rho, centres=centres)


def _cut(made: Maximiser, point: Array) -> tuple[float, Array, Array]:
    return made.bound, np.nan_to_num(made.slopes), point


def _least(
    cuts: list[tuple[float, Array, Array]], point: Array, box: Array, free: Array, *, ray: bool
) -> tuple[Array, float] | None:
    """The point of the box where the highest cut is least, and its height; for a ray, of a fixed sum of prices.

    The steps are in sizes of the box and the heights in those of the first cut's, as the simplex method likes them.
    """
    slopes = np.array([g for _, g, _ in cuts])
    moved = point - np.array([y for _, _, y in cuts])
    heights = np.array([b for b, _, _ in cuts]) + np.einsum("ij,ij->i", slopes, moved)
    top, size = float(heights.max()), max(1e-9, float(np.abs(slopes * box).max()))
    bounds = [(max(-1.0, -p / b), 1.0) if moves else (0, 0) for p, b, moves in zip(point, box, free, strict=True)]
    cost = np.zeros(len(point) + 1)
    cost[-1] = 1.0
    rows = np.hstack([slopes * box / size, -np.ones((len(cuts), 1))])
    fixed = {"A_eq": [[*np.where(free, box, 0.0), 0.0]], "b_eq": [1.0 - point @ free]} if ray else {}
    found = linprog(cost, A_ub=rows, b_ub=(top - heights) / size, bounds=[*bounds, (None, None)], **fixed)
    if found.x is None:
        return None
    return np.maximum(point + box * found.x[:-1], 0), top + size * float(found.x[-1])
