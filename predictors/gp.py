"""A Gaussian process on the choices (Rasmussen and Williams 2006, chapters 2 and 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from nas.codes import BLOCK, Codes, Column, Rows, blocks
from nas.roles import Array, Prediction
from nas.space import Architecture
from nas.tree import Label
from predictors.paths import Path, Paths
from predictors.scales import Scores, checked
from predictors.threads import on_one_thread

STEPS = 40
"""How many steps the fit of the kernel may take."""
ROUNDING = 1e-4
"""By how many deviations of what was learnt a mean that only ranks may be off."""


@final
class GP:
    """Architectures are as alike as the choices that they share: k(a, b) = s exp(-sum over choices of w [a != b]).

    paths: besides, as the paths that they share, by the number that only one of them has, for each length of path.

    The weight of each choice, the scale and the noise are those of the largest posterior density, under log-normal
    priors that hold where the data say little. Features enter by their ranks among those learnt from, with an
    exponential kernel. The std is that of the value without noise, never below a hundredth of the data's.
    ranks: learn normal scores of the ranks of the values, for values with a long tail; what is said is turned back.
    noise: the share of the values' variance that is noise, where that is known; what else the choices do not explain is
    then an architecture's own, and is said of those learnt from (each once). Without it all of that is noise.
    Raises ValueError for fewer than 3 samples, or values that are not finite. Cost grows with the cube of the samples.
    """

    def __init__(self, paths: Paths | None = None, *, ranks: bool = False, noise: float | None = None) -> None:
        if noise is not None and not 0 < noise < 1:
            raise ValueError(f"the share of noise lies between 0 and 1, got {noise:g}")
        self._paths, self._ranks, self._noise = paths, ranks, noise

    @on_one_thread
    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> GP:
        """Learn from rated architectures."""
        made, values = GP(self._paths, ranks=self._ranks, noise=self._noise), checked(archs, y, "a process")
        order = np.argsort([a.key for a in archs], kind="stable")  # so that rounding does not depend on it
        made._names = tuple(sorted({name for a in archs for name, _ in a.choices}))
        made._known = {}
        made._sorted = None if features is None else np.sort(np.asarray(features, dtype=np.float64), axis=0)
        made._columns = () if self._paths is None else self._paths.columns(archs)
        made._codes = made._coded(archs)[order]
        made._ways = made._passed(archs)[:, order]
        made._placed = None if features is None else made._places(features)[order]
        made._learnt = {archs[n]: k for k, n in enumerate(order)}
        made._scores = Scores(values, ranks=self._ranks)
        made._solve(made._scores.of[order])
        return made

    @on_one_thread
    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """The mean and the standard deviation of the posterior."""
        places = None if features is None else self._places(features)
        apart = self._apart(self._coded(archs), self._passed(archs), places)
        alike = self._scale * np.exp(-np.tensordot(self._weights, apart, 1))
        for n, arch in enumerate(archs if self._own else ()):
            if arch in self._learnt:
                alike[n, self._learnt[arch]] += self._own
        half = solve_triangular(self._lower, alike.T, lower=True)
        return self._said(alike @ self._alpha, (half**2).sum(0))

    @on_one_thread
    def coded(self, codes: Codes, rows: Rows, features: Array | None = None, *, std: bool = True) -> Prediction:
        """The same of the architectures of rows: what they share with those learnt from is a product of matrices.

        With paths, and with what is an architecture's own, the architectures are made of the rows.
        """
        if self._paths is not None or self._own:
            return self.predict(codes.archs(rows), features)
        columns, shared = self._shared(codes)
        largest = self._scale * np.abs(self._alpha).sum() * (1 + self._weights.sum())
        dtype = np.float64 if std or largest * np.finfo(np.float32).eps > ROUNDING else np.float32
        shared, alpha = shared.astype(dtype), (self._scale * self._alpha).astype(dtype)
        inverse = solve_triangular(self._lower, np.eye(len(alpha)), lower=True) if std else None
        mean, learnt = np.empty(len(rows)), np.full(len(rows), np.nan)
        rooms = np.empty((len(columns) + 1, BLOCK), dtype), np.empty((len(alpha), BLOCK), dtype)
        for start, block in blocks(rows):
            part = slice(start, start + len(block))
            hot, alike = (room[:, : len(block)] for room in rooms)
            codes.hot(block, columns, hot[:-1])
            hot[-1] = 1
            np.matmul(shared, hot, out=alike)
            if features is not None and self._placed is not None:
                weights = self._weights[len(self._weights) - self._placed.shape[1] :]
                for weight, asked, own in zip(weights, self._places(features[part]).T, self._placed.T, strict=True):
                    alike -= weight * np.abs(asked[None] - own[:, None])
            np.exp(alike, out=alike)
            mean[part] = alpha @ alike
            if inverse is not None:
                learnt[part] = self._scale**2 * np.square(inverse @ alike).sum(0)
        return self._said(mean, learnt)

    def _shared(self, codes: Codes) -> tuple[list[Column], Array]:
        """What each (choice, label) shares with each learnt one beyond a label without a column: (learnt, columns + 1).

        The label without a column is the choice that is not made or, where all make it, the first; the last column is
        what that lacks. So the exponent of the kernel is the product with the one-hot code and a line of ones.
        """
        columns: list[Column] = []
        lines, lacking = [], np.zeros(len(self._codes))
        for name, weight, own in zip(self._names, self._weights, self._codes.T, strict=False):
            choice = codes.space.choices.get(name)
            labels: list[Label | None] = [] if choice is None else [*choice.labels]
            absent = labels.pop(0) if choice is not None and codes.always[name] else None
            matches = own == self._number(name, absent)
            lacking += weight * ~matches
            for label in labels:
                columns.append((name, label))
                lines.append(weight * ((own == self._number(name, label)) * 1.0 - matches))
        return columns, np.stack([*lines, -lacking], 1)

    def _number(self, name: str, label: Label | None) -> int:
        """The number of a label: -1 where the choice is not made, -2 where it was not learnt from."""
        return -1 if label is None else self._known.get((name, label), -2)

    def _said(self, mean: Array, learnt: Array) -> Prediction:
        """The values of a posterior mean, and of the share of the variance that is known; NaN stays NaN."""
        std = np.sqrt(np.maximum(self._scale + self._own - learnt, 0.0))
        high, low = self._scores.back(mean + std), self._scores.back(mean - std)
        return Prediction(self._scores.back(mean), np.maximum((high - low) / 2, self._scores.floor))

    def _coded(self, archs: Sequence[Architecture]) -> Array:
        """A number for each label of each choice, -1 where the choice is not made: (n, choices)."""
        codes = np.full((len(archs), len(self._names)), -1.0)
        place = {name: k for k, name in enumerate(self._names)}
        for n, arch in enumerate(archs):
            for name, label in arch.choices:
                if name in place:
                    codes[n, place[name]] = self._known.setdefault((name, label), len(self._known))
        return codes

    def _passed(self, archs: Sequence[Architecture]) -> Array:
        """Which of the paths learnt from each has, a sheet for each length: (lengths, n, columns)."""
        lengths = np.array([len(labels) for _, labels in self._columns])
        if self._paths is None:
            return np.zeros((0, len(archs), 0))
        rows = self._paths(archs, self._columns)
        return np.stack([rows * (lengths == length) for length in np.unique(lengths)])

    def _places(self, features: Array) -> Array:
        """The share of the values learnt from that lie below each feature: (n, features)."""
        known = features if self._sorted is None else self._sorted
        pairs = zip(known.T, np.asarray(features, dtype=np.float64).T, strict=True)
        return np.stack([(np.searchsorted(a, b) + np.searchsorted(a, b, "right")) / 2 / len(a) for a, b in pairs], 1)

    def _apart(self, codes: Array, ways: Array, places: Array | None) -> Array:
        """How far each asked one is from each learnt one: (choices + lengths + features, asked, learnt)."""
        apart = [(codes.T[:, :, None] != self._codes.T[:, None, :]).astype(np.float64)]
        for asked, learnt in zip(ways, self._ways, strict=True):
            own, its = asked.sum(1), learnt.sum(1)
            apart.append((own[:, None] + its[None] - 2 * asked @ learnt.T)[None])
        if places is not None and self._placed is not None:
            apart.append(np.abs(places.T[:, :, None] - self._placed.T[:, None, :]))
        return np.concatenate(apart)

    def _solve(self, y: Array) -> None:
        apart = self._apart(self._codes, self._ways, self._placed)
        count = len(apart)
        first = np.log(np.r_[np.full(count, 2.0 / count), 1.0, 0.1])
        spreads = np.r_[np.full(count, 1.5), 0.7, 1.5]
        least = first[-1] - 6 if self._noise is None else float(np.log(self._noise))
        found = minimize(
            _cost,
            np.r_[first[:-1], max(first[-1], least)],
            args=(apart, y, first, spreads),
            jac=True,
            method="L-BFGS-B",
            bounds=[*((c - 6, c + 6) for c in first[:-1]), (least, first[-1] + 6)],
            options={"maxiter": STEPS},
        )
        self._weights, self._scale = np.exp(found.x[:count]), float(np.exp(found.x[count]))
        alike = self._scale * np.exp(-np.tensordot(self._weights, apart, 1))
        unexplained = float(np.exp(found.x[-1]))
        self._own = 0.0 if self._noise is None else max(unexplained - self._noise, 0.0)
        alike[np.diag_indices(len(y))] += unexplained + 1e-6
        factor = cho_factor(alike, lower=True)
        self._lower, self._alpha = np.tril(factor[0]), cho_solve(factor, y)

    _learnt: dict[Architecture, int]
    _own: float
    _names: tuple[str, ...]
    _known: dict[tuple[str, object], int]
    _sorted: Array | None
    _columns: tuple[Path, ...]
    _codes: Array
    _ways: Array
    _placed: Array | None
    _scores: Scores
    _weights: Array
    _scale: float
    _lower: Array
    _alpha: Array


def _cost(at: Array, apart: Array, y: Array, first: Array, spreads: Array) -> tuple[float, Array]:
    """Minus the log posterior of the logarithms (weights, scale, noise), and its slope (equations 5.8 and 5.9)."""
    weights, scale, noise = np.exp(at[:-2]), np.exp(at[-2]), np.exp(at[-1])
    alike = scale * np.exp(-np.tensordot(weights, apart, 1))
    whole = alike.copy()
    whole[np.diag_indices(len(y))] += noise + 1e-6
    factor = cho_factor(whole, lower=True)
    inverse = cho_solve(factor, np.eye(len(y)))
    alpha = inverse @ y
    slopes = 0.5 * (inverse - np.outer(alpha, alpha))
    shared = slopes * alike
    slope = np.r_[-weights * np.tensordot(apart, shared, 2), shared.sum(), noise * np.trace(slopes)]
    away = (at - first) / spreads
    value = 0.5 * float(y @ alpha) + float(np.log(np.diag(factor[0])).sum()) + 0.5 * float(away @ away)
    return value, slope + away / spreads
