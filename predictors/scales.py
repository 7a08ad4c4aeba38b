"""Features and values on the scale that a predictor learns on, and values turned back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from scipy.stats import norm, rankdata

from nas.roles import Array
from nas.space import Architecture


@final
class Places:
    """Features by their places among those learnt from, so that no scale matters: in [0, 1]; NaN stays NaN."""

    def __init__(self, features: Array) -> None:
        columns = np.asarray(features, dtype=np.float64).T
        self._sorted = [np.sort(column[~np.isnan(column)]) for column in columns]

    def __call__(self, features: Array) -> Array:
        """The share of the values learnt from that lie below, half of those that are equal: (n, features)."""
        given = np.asarray(features, dtype=np.float64)
        if given.shape[1] != len(self._sorted):
            raise ValueError(f"{len(self._sorted)} features were learnt from, got {given.shape[1]}")
        made = np.full(given.shape, np.nan)
        for k, (known, column) in enumerate(zip(self._sorted, given.T, strict=True)):
            there = ~np.isnan(column)
            if len(known):
                low, high = np.searchsorted(known, column[there]), np.searchsorted(known, column[there], "right")
                made[there, k] = (low + high) / 2 / len(known)
        return made


@final
class Scores:
    """Values as standard scores: by themselves, or by the normal scores of their ranks; and back again.

    centre, spread: of the scores before they are standardised; floor: a hundredth of the values' deviation.
    """

    def __init__(self, y: Array, *, ranks: bool = False) -> None:
        self._ranks = ranks
        y = np.asarray(y, dtype=np.float64)
        scores = norm.ppf((rankdata(y) - 0.5) / len(y)) if ranks else y
        self._centre, self._spread = float(scores.mean()), float(scores.std()) or 1e-9
        self.of: Array = (scores - self._centre) / self._spread
        """The scores of the values themselves."""
        self.floor = max(float(y.std()) / 100, 1e-9)
        order = np.argsort(y, kind="stable")
        self._pairs = np.stack([self.of[order], y[order]])

    def back(self, scores: Array) -> Array:
        """The values of scores; beyond those learnt from, along the line through the outer quarter of these."""
        if not self._ranks:
            return self._centre + self._spread * scores
        known, values = self._pairs
        turned: Array = np.interp(scores, known, values)
        for end, near in ((-1, (3 * len(known)) // 4 - 1), (0, len(known) // 4)):
            slope = (values[end] - values[near]) / max(abs(known[end] - known[near]), 1e-9)
            over = np.maximum(scores - known[end], 0.0) if end else np.maximum(known[end] - scores, 0.0)
            turned = turned + slope * over
        return turned + self.floor * 1e-3 * scores  # so that equal values do not make different scores equal


def checked(archs: Sequence[Architecture], y: Array, what: str) -> Array:
    """The values to learn from; ValueError for fewer than 3, a wrong number of them, or one that is not finite."""
    if len(archs) < 3 or len(archs) != len(y):
        raise ValueError(f"{what} needs at least 3 rated architectures, got {len(archs)} with {len(y)} values")
    values: Array = np.asarray(y, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("the values to learn from must be finite")
    return values
