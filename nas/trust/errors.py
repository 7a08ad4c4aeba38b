"""Calibrated errors: how far a predictor was off where it had not learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nas.roles import Array, Prediction


@final
@dataclass(frozen=True, eq=False)
class Errors:
    """What held-out predictions were off by, as shares of their scale, and how much each counts for the population.

    shares: (n,), signed; weights: (n,), mean 1. The scale of a prediction is its std and `common` together, so that a
    predictor that takes itself for certain somewhere is not believed there.
    """

    shares: Array
    weights: Array
    common: float

    @staticmethod
    def of(held: Prediction, y: Array, weights: Array) -> Errors:
        """The errors of held-out predictions; none where nothing could be held out."""
        if not len(y) or not np.isfinite(held.mean).all():
            return Errors(np.zeros(0), np.zeros(0), float("nan"))
        common = float(np.median(held.std))
        return Errors((y - held.mean) / (held.std + common), weights, common)

    def scale(self, std: Array) -> Array:
        """The scale of predictions."""
        return std + self.common

    def half(self, level: float) -> float:
        """What so large a part of the errors stays below, the one to come among them; infinite for too few.

        Weighted conformal prediction (Tibshirani et al. 2019, arXiv:1904.06019), in which the network to come weighs
        as much as the mean: 9 networks are the fewest for a level of 0.9.
        """
        order = np.argsort(np.abs(self.shares), kind="stable")
        reached = np.cumsum(self.weights[order]) / (self.weights.sum() + 1.0)
        found = int(np.searchsorted(reached, level - 1e-12))
        return float(np.abs(self.shares[order[found]])) if found < len(order) else float("inf")

    def interval(self, said: Prediction, level: float = 0.9) -> tuple[Array, Array]:
        """Where the values of networks lie in `level` of all cases: low, high, each (n,); NaN for too few errors."""
        half = self.half(level)
        if not np.isfinite(half):
            none = np.full(len(said.mean), np.nan)
            return none, none
        away = half * self.scale(said.std)
        return said.mean - away, said.mean + away
