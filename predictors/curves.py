"""What a training will reach, from the beginning of its learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, final

import numpy as np
from scipy.stats import kendalltau
from sklearn.linear_model import RidgeCV
from sklearn.svm import NuSVR

from nas.roles import Array, Prediction
from predictors.scales import Scores

POWERS = (0.25, 0.5, 1.0, 2.0)
"""The exponents of the power laws that are fitted."""
RATES = (0.5, 1.0, 2.0, 4.0)
"""The rates of the exponentials, over the epochs seen."""
DRAWS = 40
"""How many support vector regressions are tried; the released code tries 1,000."""
FOLDS = 3
SURE = 2.0
"""By how many standard errors a model must be better than the last value alone, as the best of many is by chance."""


class _Model(Protocol):
    def fit(self, rows: Array, y: Array) -> object: ...
    def predict(self, rows: Array) -> Array: ...


@final
class Curves:
    """The final value of a training, learnt from curves of trainings that ended.

    For each length of a beginning a line on the last value, or else the one of these with the smallest error over three
    folds, if it is surely smaller and the order no worse: a line on the value that laws of growth extrapolate to
    (`extrapolated`), ridge regression on `curve_features`, and nu support vector regressions on the values and their
    differences, whose C and gamma are drawn log-uniformly from 1e-5 to 10 and nu uniformly (Baker et al. 2017,
    arXiv:1705.10823). Values are learnt as normal scores of their ranks, and turned back. std: of the errors over the
    folds.

    epochs: at which the columns of a curve were measured, increasing.
    Raises ValueError for fewer than 6 trainings that ended, or epochs that do not fit.
    """

    def __init__(self, epochs: Sequence[int], *, draws: int = DRAWS, seed: int = 0) -> None:
        if len(epochs) < 1 or any(a >= b for a, b in pairwise(epochs)):
            raise ValueError(f"the epochs of a curve must increase, got {list(epochs)}")
        self._epochs, self._draws, self._seed = tuple(epochs), draws, seed

    def fit(self, curves: Array, final: Array) -> Curves:
        """Learn from curves, (n, epochs), larger is better, and what they ended with, (n,)."""
        made = Curves(self._epochs, draws=self._draws, seed=self._seed)
        made._curves, made._final = self._given(curves), np.asarray(final, dtype=np.float64)
        if len(made._curves) < 6 or len(made._curves) != len(made._final):
            count, values = len(made._curves), len(made._final)
            raise ValueError(f"curves need at least 6 trainings that ended, got {count} with {values} final values")
        if not np.isfinite(made._final).all():
            raise ValueError("the final values to learn from must be finite")
        made._models = {}
        return made

    def predict(self, curves: Array, epoch: int | None = None) -> Prediction:
        """The final values of curves whose later values may be missing (NaN), or are not looked at after `epoch`.

        ValueError for a curve without a first value, or so long that fewer than 6 of those learnt from are.
        """
        given = self._given(curves)
        seen = self._seen(given)
        if epoch is not None:
            seen = np.minimum(seen, sum(e <= epoch for e in self._epochs))
        if len(seen) and seen.min() < 1:
            raise ValueError(f"curve {int(seen.argmin())} has no value at epoch {self._epochs[0]}, the first")
        mean, std = np.zeros(len(given)), np.zeros(len(given))
        for k in sorted(set(seen.tolist())):
            at = seen == k
            mean[at], std[at] = self._of(k)(given[at])
        return Prediction(mean, std)

    def _given(self, curves: Array) -> Array:
        given: Array = np.asarray(curves, dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != len(self._epochs):
            raise ValueError(f"curves at {len(self._epochs)} epochs are (n, {len(self._epochs)}), got {given.shape}")
        return given

    def _seen(self, curves: Array) -> Array:
        """How many values stand before the first missing one, (n,)."""
        missing = ~np.isfinite(np.c_[curves, np.full(len(curves), np.nan)])
        first: Array = missing.argmax(1)
        return first

    def _of(self, k: int) -> _Length:
        if k not in self._models:
            long = self._seen(self._curves) >= k
            if long.sum() < 6:
                raise ValueError(f"only {int(long.sum())} curves learnt from reach epoch {self._epochs[k - 1]}, not 6")
            known, final = self._curves[long, :k], self._final[long]
            order = np.lexsort((*known.T, final))  # folds are drawn by place
            made = _Length(self._epochs[:k], self._epochs[-1], known[order], final[order], self._draws, self._seed)
            self._models[k] = made
        return self._models[k]

    _curves: Array
    _final: Array
    _models: dict[int, _Length]


@final
class _Length:
    """The model of curves of one length."""

    def __init__(self, epochs: Sequence[int], last: int, curves: Array, final: Array, draws: int, seed: int) -> None:
        self._epochs, self._last, self._scores = tuple(epochs), last, Scores(final, ranks=True)
        rng, y = np.random.default_rng(seed), self._scores.of
        rows = self._rows(curves)
        fold = rng.permutation(np.arange(len(y)) % FOLDS)
        tried, errors, orders = self._tried(draws, rng), list[Array](), list[float]()
        for what, model in tried:
            said = np.zeros(len(y))
            for k in range(FOLDS):
                model.fit(rows[what][fold != k], y[fold != k])
                said[fold == k] = model.predict(rows[what][fold == k])
            errors.append((said - y) ** 2)
            orders.append(float(kendalltau(said, y)[0]))
        able = [k for k, order in enumerate(orders) if k == 0 or order >= orders[0]]
        best = min(able, key=lambda k: float(errors[k].mean()))
        gain = errors[0] - errors[best]
        if gain.mean() <= SURE * gain.std() / np.sqrt(len(y)):
            best = 0
        self._error, (self._what, self._model) = float(np.sqrt(errors[best].mean())), tried[best]
        self._model.fit(rows[self._what], y)

    def __call__(self, curves: Array) -> tuple[Array, Array]:
        """The final values, and their deviation."""
        said = self._model.predict(self._rows(curves[:, : len(self._epochs)])[self._what])
        wide = self._scores.back(said + self._error) - self._scores.back(said - self._error)
        return self._scores.back(said), np.maximum(wide / 2, self._scores.floor)

    def _rows(self, curves: Array) -> dict[str, Array]:
        """What each kind of model reads, each column by the scale of those learnt from."""
        grown = extrapolated(curves, self._epochs, self._last)[:, None]
        made = {"last": curves[:, -1:], "grown": grown, "curve": differences(curves)}
        made["all"] = curve_features(curves, self._epochs, self._last)
        if not hasattr(self, "_scales"):
            self._scales = {what: (rows.mean(0), rows.std(0) + 1e-9) for what, rows in made.items()}
        return {what: (rows - self._scales[what][0]) / self._scales[what][1] for what, rows in made.items()}

    def _tried(self, draws: int, rng: np.random.Generator) -> list[tuple[str, _Model]]:
        ridges = [(what, RidgeCV(np.geomspace(1e-2, 1e3, 16))) for what in ("last", "grown", "all")]
        spans = rng.uniform(-5, 1, (draws, 2))
        shares = rng.uniform(0.01, 1, draws)
        drawn = [
            ("curve", NuSVR(C=10**c, gamma=10**gamma, nu=nu)) for (c, gamma), nu in zip(spans, shares, strict=True)
        ]
        return [*ridges, *drawn]


def differences(curves: Array) -> Array:
    """The values of curves, their differences and the differences of these, side by side."""
    return np.hstack([curves, np.diff(curves, 1), np.diff(curves, 2)])


def curve_features(curves: Array, epochs: Sequence[int], last: int | None = None) -> Array:
    """Columns to stand beside architectures: `differences`, and the value that laws of growth extrapolate to at `last`.

    curves: (n, epochs), all seen; last: by default four times the last epoch. A missing value is missing in what
    follows from it.
    """
    grown = extrapolated(curves, epochs, 4 * epochs[-1] if last is None else last)
    return np.hstack([differences(curves), grown[:, None]])


def extrapolated(curves: Array, epochs: Sequence[int], last: int) -> Array:
    """The value at epoch `last` by the mean of laws c - a x^-p and c - a exp(-r x / x_n), fitted with a >= 0: (n,).

    Forms of Domhan et al. 2015 (IJCAI, table 1), for fixed p and r, so that c and a are those of least squares; laws
    count by the inverse of their squared error. The last value, where there is one alone; NaN where one is missing.
    """
    y = np.asarray(curves, dtype=np.float64)
    if y.shape[1] == 1:
        return y[:, 0].copy()
    x = np.asarray(epochs, dtype=np.float64)
    laws = [x**-p for p in POWERS] + [np.exp(-r * x / x[-1]) for r in RATES]
    ends = [float(last) ** -p for p in POWERS] + [np.exp(-r * last / x[-1]) for r in RATES]
    total, weights = np.zeros(len(y)), np.zeros(len(y))
    noise = 1e-6 * y.var(1) + 1e-12  # where laws fit exactly
    for law, end in zip(laws, ends, strict=True):
        apart = law - law.mean()
        a = np.maximum(-(y @ apart) / (apart @ apart), 0.0)
        c = y.mean(1) + a * law.mean()
        error = ((y - (c[:, None] - a[:, None] * law)) ** 2).mean(1)
        weight = 1 / (error + noise)
        total, weights = total + weight * (c - a * end), weights + weight
    return total / weights


def sotl(losses: Array, last: int | None = None) -> Array:
    """Minus the sum of training losses so far, or over the `last` epochs: (n, epochs) to (n,), larger is better.

    SoTL and SoTL-E of Ru et al. 2021 (arXiv:2006.04492). NaN where a loss is missing.
    """
    given = np.asarray(losses, dtype=np.float64)
    seen = given if last is None else given[:, -last:]
    total: Array = -seen.sum(1)
    return total
