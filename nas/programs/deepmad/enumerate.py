"""All designs of one depth vector whose Lagrangian is above a value: only they can be better than it."""

from __future__ import annotations

from typing import final

import numpy as np

from nas.programs.deepmad.costs import Array
from nas.programs.deepmad.dual import Dual, Multipliers
from nas.programs.deepmad.measure import Batch, feasible, measure
from nas.programs.deepmad.problem import Design

MOST = 300_000
"""Partial designs behind one stage at most."""
LOOKS = 30_000_000
"""Pairs of a partial design and what may stand before it at most, for all stages."""


@final
class TooMany(Exception):
    """There are more of them than can be looked at."""


def above(
    dual: Dual, y: Multipliers, depths: tuple[int, ...], value: float, *, most: int = LOOKS
) -> tuple[float, Design | None]:
    """The best of them that keeps all budgets, and its value; -inf and None where there is none.

    Raises TooMany where it takes more than `most` looks.

    From the last stage to the first, each partial design is kept while it and the best beginning reach the value.
    """
    t = dual.template
    begins = dual.beginnings(y, depths)
    ends = begins[-1] + dual.end(y)
    low = value - 1e-9 * max(1.0, abs(value))
    floor = low - float(dual.constant(y, np.array([depths]))[0])
    at = np.flatnonzero(ends > floor)
    looks, rest, picked = 0, dual.end(y)[at], np.empty((len(at), 0, 3), np.int64)
    for j in range(t.stages, 0, -1):
        parts = []
        for column in np.unique(at):
            rows = np.flatnonzero(at == column)
            worth, options = dual.choices(y, j, depths[j - 1], int(column))
            looks += len(rows) * len(worth)
            if looks > most:
                raise TooMany
            # (states, options): the states behind this width, with each width in, inner width and kernel.
            bound = rest[rows][:, None] + (worth + begins[j - 1][options[:, 0]])
            state, option = np.nonzero(bound > floor)
            parts.append((rows[state], options[option], worth[option]))
            if sum(len(p[0]) for p in parts) > MOST:
                raise TooMany
        if not parts:
            return -np.inf, None
        rows = np.concatenate([p[0] for p in parts])
        options = np.concatenate([p[1] for p in parts])
        rest = rest[rows] + np.concatenate([p[2] for p in parts])
        now = np.concatenate([_widths(t.widths[j - 1], at[rows]), options[:, 1:]], 1)
        picked, at = np.concatenate([now[:, None], picked[rows]], 1), options[:, 0]
    return _best(dual, depths, np.array(t.stems)[at], picked)


def _widths(options: tuple[int, ...], at: Array) -> Array:
    return np.array(options)[at][:, None]


def _best(dual: Dual, depths: tuple[int, ...], stems: Array, picked: Array) -> tuple[float, Design | None]:
    """picked: (N, stages, 3), width out, inner width, kernel."""
    if not len(stems):
        return -np.inf, None
    deep = np.broadcast_to(np.array(depths), (len(stems), len(depths)))
    batch = Batch(stems, deep, picked[:, :, 0], picked[:, :, 1], picked[:, :, 2])
    found = measure(dual.template, dual.score, batch)
    worth = np.where(feasible(found, dual.budgets), found.value, -np.inf)
    n = int(np.argmax(worth))
    if not np.isfinite(worth[n]):
        return -np.inf, None
    return float(worth[n]), batch.design(n, dual.template.head)
