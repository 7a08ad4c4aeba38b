"""How much each trained network counts for a population that was not searched."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, rankdata

from nas.roles import Array

WIDTH = 0.5
"""Of the density of predictions, in deviations of the population's normal scores."""
MOST = 10.0
"""No network counts for more than so many."""


def likeness(told: Array, population: Array) -> Array:
    """How often such predictions are met in the population over how often among the told, (n,), mean 1.

    told: (n,), held-out predictions of trained networks; population: (m,), predictions of random ones. A search trains
    good networks, and others like them: what it says of random ones lies with the few that are as random ones are
    (importance weights, Shimodaira 2000). Ones where there is no population.
    """
    if not len(population) or not np.isfinite(told).all():
        return np.ones(len(told))
    known, n = np.sort(population), len(population)
    below = (np.searchsorted(known, told) + np.searchsorted(known, told, "right")) / 2
    at = norm.ppf((below + 0.5) / (n + 1))
    there = norm.ppf((rankdata(known) - 0.5) / n)
    weights = _density(at, there) / _density(at, at)
    weights = np.minimum(weights / weights.mean(), MOST)
    made: Array = weights / weights.mean()
    return made


def _density(at: Array, points: Array) -> Array:
    """The mean of normal bumps on the points, not normalised."""
    made: Array = np.exp(-0.5 * np.square((at[:, None] - points[None]) / WIDTH)).mean(1)
    return made
