"""A ridge regression on the choices of architectures: a predictor that is a sum of one term a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.codes import Codes, Rows, blocks
from nas.programs.openings import Openings
from nas.programs.tables import Tables, additive
from nas.space import Architecture, Rng, Space
from nas.tree import Label

Array: TypeAlias = NDArray[np.float64]
Column: TypeAlias = tuple[str, Label]
PENALTIES = np.geomspace(1e-2, 1e3, 26)
"""The penalties that are tried; the one whose left-out errors are smallest is taken."""


@final
@dataclass(frozen=True, eq=False)
class Additive:
    """An offset, and a weight for each (choice, label) that an architecture makes, then for each further feature.

    weights: (columns,), means: of the columns; noise: std of what is left; spread: a square root of the weights'
    covariance over noise squared, (columns, columns).
    """

    columns: tuple[Column, ...]
    mean: float
    means: Array
    weights: Array
    noise: float
    spread: Array

    @staticmethod
    def fit(
        archs: Sequence[Architecture], y: Array, columns: Sequence[Column], features: Array | None = None
    ) -> Additive:
        """Learn from rated architectures; the penalty is the one of the smallest leave-one-out error (Allen 1974).

        Raises ValueError for fewer than 3 of them, or values that are not finite.
        """
        if len(archs) < 3 or len(archs) != len(y):
            raise ValueError(f"a ridge needs at least 3 rated architectures, got {len(archs)} with {len(y)} values")
        if not np.isfinite(y).all():
            raise ValueError("the values to learn from must be finite")
        rows = coded(archs, columns, features)
        means, mean = rows.mean(0), float(np.mean(y))
        u, s, vt = np.linalg.svd(rows - means, full_matrices=False)
        along = u.T @ (y - mean)
        best = (np.inf, 1.0, 0.0)
        for penalty in PENALTIES:
            shrunk = s**2 / (s**2 + penalty)
            left = (y - mean) - u @ (shrunk * along)
            influence = 1 / len(y) + u**2 @ shrunk
            error = float(np.mean((left / np.maximum(1 - influence, 1e-9)) ** 2))
            if error < best[0] * (1 - 1e-9):
                freedom = max(len(y) - 1 - float(shrunk.sum()), 1.0)
                best = (error, float(penalty), float(left @ left) / freedom)
        _, penalty, variance = best
        noise = max(float(np.sqrt(variance)), float(np.std(y)) / 100, 1e-9)
        weights = vt.T @ (s / (s**2 + penalty) * along)
        flat = np.eye(rows.shape[1]) / np.sqrt(penalty)
        spread = flat + vt.T @ ((1 / np.sqrt(s**2 + penalty) - 1 / np.sqrt(penalty))[:, None] * vt)
        return Additive(tuple(columns), mean, means, weights, noise, spread)

    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> tuple[Array, Array]:
        """The mean and the std of each, (n,); the std holds the noise."""
        rows = coded(archs, self.columns, features) - self.means
        std = self.noise * np.sqrt(1 + ((rows @ self.spread) ** 2).sum(1))
        return self.mean + rows @ self.weights, std

    def coded(
        self, codes: Codes, rows: Rows, features: Array | None = None, *, std: bool = True
    ) -> tuple[Array, Array]:
        """The same of the architectures of rows: their terms looked up and added; the std NaN where not asked."""
        count = len(self.columns)
        mean, spread = codes.added(rows, self.terms) + self.offset, np.full(len(rows), np.nan)
        if features is not None:
            mean += features @ self.weights[count:]
        for start, block in blocks(rows) if std else ():
            part = slice(start, start + len(block))
            away = codes.hot(block, self.columns)
            if features is not None:
                away = np.vstack([away, features[part].T])
            away -= self.means[:, None]
            spread[part] = self.noise * np.sqrt(1 + ((self.spread.T @ away) ** 2).sum(0))
        return mean, spread

    @property
    def offset(self) -> float:
        """What is predicted where no term counts."""
        return float(self.mean - self.means @ self.weights)

    @property
    def terms(self) -> Mapping[Column, float]:
        """What each (choice, label) adds where it is made."""
        return dict(zip(self.columns, self.weights.tolist(), strict=False))

    def drawn(self, rng: Rng, widened: float = 1.0) -> Additive:
        """One of the predictors that the data leave possible: the weights drawn from their posterior, widened so."""
        weights = self.weights + widened * self.noise * self.spread @ rng.standard_normal(len(self.weights))
        return Additive(self.columns, self.mean, self.means, weights, self.noise, self.spread)

    def tables(self, openings: Openings) -> Tables:
        """The prediction as a sum of tables, exactly."""
        return additive(openings, self.offset, self.terms)


def columns_of(space: Space) -> tuple[Column, ...]:
    """Every (choice, label) of a space."""
    return tuple((name, label) for name, choice in space.choices.items() for label in choice.labels)


def coded(archs: Sequence[Architecture], columns: Sequence[Column], features: Array | None = None) -> Array:
    """A row for each architecture: 1 for the columns that it makes, then its features."""
    place = {column: k for k, column in enumerate(columns)}
    rows = np.zeros((len(archs), len(columns)))
    for n, arch in enumerate(archs):
        rows[n, [place[pair] for pair in arch.choices if pair in place]] = 1.0
    return rows if features is None else np.hstack([rows, features])
