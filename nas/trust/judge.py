"""A predictor and how far to trust it, from the trials alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nas.ranking import Tau, held
from nas.roles import Array, Prediction, Predictor
from nas.space import Architecture
from nas.trust.best import chances
from nas.trust.errors import Errors
from nas.trust.heldout import Groups, held_out
from nas.trust.likeness import likeness

LEVEL = 0.9
MANY = 1000
"""More further networks than this nobody is promised anything for."""


@final
@dataclass(frozen=True, eq=False)
class Judged:
    """A predictor that learnt from trained networks, and what it said of each of them when it had not.

    tau: of its order of networks that are as the population is, with the interval of `level`. Where there was no
    population, of networks that are as the trained ones are. seed: of what is drawn for the chances.
    """

    predictor: Predictor
    tau: Tau
    errors: Errors
    level: float = LEVEL
    seed: int = 0

    @property
    def trusted(self) -> bool:
        """Whether the interval of tau lies above 0."""
        return self.tau.low > 0

    @property
    def line(self) -> str:
        """One sentence for a reader; it says so where the order is not told apart from chance."""
        if not self.trusted:
            return untold(self.tau)
        low, high, n = self.tau.low, self.tau.high, self.tau.count
        return (
            f"Kendall's tau {self.tau.tau:.2f} [{low:.2f}, {high:.2f}] ({self.level:.0%}), from {n} held-out networks"
        )

    def json(self) -> dict[str, float]:
        """Tau as plain values."""
        tau = self.tau
        return {"value": tau.tau, "low": tau.low, "high": tau.high, "level": self.level, "n": tau.count}

    def interval(self, said: Prediction) -> tuple[Array, Array]:
        """Where the values lie with the probability `level`: low, high; NaN where too few networks were held out."""
        return self.errors.interval(said, self.level)

    def chances(self, said: Prediction, measured: Array) -> tuple[Array, Array]:
        """The probability of being the best, of those predicted and those measured."""
        return chances(said, self.errors, measured, seed=self.seed)


def judged(
    make: Callable[[], Predictor],
    archs: Sequence[Architecture],
    y: Array,
    features: Array | None = None,
    *,
    population: tuple[Sequence[Architecture], Array | None] = ((), None),
    groups: Groups | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> Judged:
    """Fit a predictor to trained networks, and judge it by holding each of them out.

    make: makes a new predictor. y: (n,), larger is better. population: random networks, not trained, of which the
    trust is to hold, and their features; some hundreds are enough. groups: see `held_out`. At most 11 fits. What its
    intervals are worth on simulated searches stands in docs/figures.md. Raises what the predictor raises.
    """
    fitted = make().fit(archs, y, features)
    said = held_out(make, archs, y, features, groups, seed=seed)
    rest = fitted.predict(*population).mean if len(population[0]) else np.zeros(0)
    weights = likeness(said.mean, rest)
    whole = bool(np.isfinite(said.mean).all())
    tau = held(said.mean, y, weights, level=level) if whole else Tau(float("nan"), -1.0, 1.0, len(y))
    return Judged(fitted, tau, Errors.of(said, y, weights), level, seed)


def further(tau: Tau) -> int | None:
    """How many more trained networks would move the interval off 0 if tau stays; None for more than MANY.

    The interval on Fisher's scale shrinks with the root of how many there are: n (half / z)^2 in all.
    """
    if not tau.tau > 0:
        return None
    at, low = math.atanh(min(tau.tau, 0.98)), math.atanh(max(tau.low, -1 + 1e-9))
    more = math.ceil(tau.count * ((at - low) / at) ** 2) - tau.count
    return max(more, 1) if more <= MANY else None


def untold(tau: Tau) -> str:
    """The line of a ranking that is not told apart from chance."""
    more = further(tau)
    begun = "not better than chance so far; "
    if more is not None:
        return f"{begun}{more} more trained network{'' if more == 1 else 's'} would settle it"
    if math.isnan(tau.tau):
        return f"{begun}{tau.count} trained networks are too few to hold any out"
    return f"{begun}at this tau, {tau.tau:.2f}, no number of trained networks below {MANY:,} would settle it"
