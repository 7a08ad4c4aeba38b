"""Several predictors, each with the weight that it earns on held-out trials (Wolpert 1992; Breiman 1996)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from nas.roles import Array, Prediction
from nas.space import Architecture, Space
from predictors.ensemble import ExtraTrees, Forest
from predictors.gp import GP
from predictors.graphs import Graphs
from predictors.scales import Places, Scores, checked
from predictors.threads import on_one_thread
from predictors.ways import Ways, telling

FOLDS = 5
EQUAL = 10.0
"""As many held-out trials speak for equal weights, so that few real ones do not decide alone."""
NINE = 1.645
"""How many deviations from the mean 90 % of a normal lie."""


class _Member(Protocol):
    """Learns scores, and says them with a deviation."""

    def fit(self, archs: Sequence[Architecture], scores: Array, features: Array, sums: int) -> _Member: ...
    def predict(self, archs: Sequence[Architecture], features: Array) -> Prediction: ...


@final
class Stack:
    """A process on choices and features, trees, and a smooth process on features, weighed by cross-validation.

    Each reads what lies on the ways through the network (`Ways`) beside the features that are given, and learns normal
    scores of the ranks of the values. The weights are those of the least squared error of `FOLDS`-fold held-out
    predictions, none below 0, drawn towards equal ones. The std holds the members' and their disagreement, and is
    scaled so that it tells the errors on what was held out. Features may be missing (NaN). Raises ValueError for fewer
    than 3 samples, or values that are not finite.
    """

    def __init__(self, space: Space, *, graphs: Graphs | None = None, seed: int = 0) -> None:
        self._space, self._graphs, self._seed = space, graphs or Graphs(space), seed

    @on_one_thread
    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> Stack:
        """Learn from rated architectures."""
        values = checked(archs, y, "a stack")
        made = Stack(self._space, graphs=self._graphs, seed=self._seed)
        order = np.argsort([a.key for a in archs], kind="stable")  # folds and trees are drawn by place
        sorted_archs = [archs[k] for k in order]
        made._ways = Ways(self._graphs, archs)
        made._given = 0 if features is None else features.shape[1]
        made._scores = Scores(values[order], ranks=True)
        rows = made._rows(sorted_archs, None if features is None else np.asarray(features)[order])
        made._learn(sorted_archs, made._scores.of, rows)
        return made

    @on_one_thread
    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """The weighed mean of the members, and its standard deviation."""
        mean, std = self._said(self._members, archs, self._rows(archs, features))
        std = np.maximum(std * self._ratio, 1e-3)
        high, low = self._scores.back(mean + std), self._scores.back(mean - std)
        return Prediction(self._scores.back(mean), np.maximum((high - low) / 2, self._scores.floor))

    @property
    def weights(self) -> dict[str, float]:
        """What each member counts."""
        return dict(zip(MEMBERS, self._weights.tolist(), strict=True))

    def _rows(self, archs: Sequence[Architecture], features: Array | None) -> Array:
        """Features first, then ways."""
        given = 0 if features is None else features.shape[1]
        if given != self._given:
            raise ValueError(f"{self._given} features were learnt from, got {given}")
        ways = self._ways(archs)
        return ways if features is None else np.hstack([np.asarray(features, dtype=np.float64), ways])

    def _learn(self, archs: list[Architecture], scores: Array, rows: Array) -> None:
        count, sums = len(archs), self._given + self._ways.sums
        made = [make() for make in MEMBERS.values()]
        fold = np.random.default_rng(self._seed).permutation(count) % min(FOLDS, count)
        held, apart = np.zeros((count, len(made))), np.zeros((count, len(made)))
        for k in range(int(fold.max()) + 1):
            there, out = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            known = [archs[i] for i in there]
            if len(known) < 3 or not np.ptp(scores[there]):
                continue
            for m, member in enumerate(made):
                said = member.fit(known, scores[there], rows[there], sums).predict([archs[i] for i in out], rows[out])
                held[out, m], apart[out, m] = said.mean, said.std
        equal = np.full(len(made), 1 / len(made))
        pull = np.sqrt(EQUAL) * np.eye(len(made))
        weights, _ = nnls(np.vstack([held, pull]), np.r_[scores, pull @ equal])
        self._weights = weights / (weights.sum() or 1.0) if weights.any() else equal
        self._members = [member.fit(archs, scores, rows, sums) for member in made]
        mean, std = _joined(held.T, apart.T, self._weights)
        off = np.sort(np.abs(mean - scores) / np.maximum(std, 1e-3))
        nine = off[min(count, int(np.ceil(0.9 * (count + 1)))) - 1]  # what 90 % of trials to come stay below
        self._ratio = float(np.clip(nine / NINE, 0.2, 10.0))

    def _said(self, members: list[_Member], archs: Sequence[Architecture], rows: Array) -> tuple[Array, Array]:
        said = [member.predict(archs, rows) for member in members]
        return _joined(np.stack([s.mean for s in said]), np.stack([s.std for s in said]), self._weights)

    _ways: Ways
    _given: int
    _scores: Scores
    _weights: Array
    _members: list[_Member]
    _ratio: float


def _joined(means: Array, stds: Array, weights: Array) -> tuple[Array, Array]:
    """The mean and the deviation of a mixture: (members, n) to (n,)."""
    mean = weights @ means
    return mean, np.sqrt(weights @ (stds**2 + (means - mean) ** 2))


@final
class _Process:
    """A Gaussian process on the choices and on all features but sequences."""

    def fit(self, archs: Sequence[Architecture], scores: Array, features: Array, sums: int) -> _Process:
        made = _Process()
        made._told = telling(features[:, :sums])
        made._model = GP().fit(archs, scores, _whole(features[:, made._told]))
        return made

    def predict(self, archs: Sequence[Architecture], features: Array) -> Prediction:
        return self._model.predict(archs, _whole(features[:, self._told]))

    _told: NDArray[np.intp]
    _model: GP


@final
class _Trees:
    """Trees on everything."""

    def fit(self, archs: Sequence[Architecture], scores: Array, features: Array, sums: int) -> _Trees:
        made = _Trees()
        made._model = ExtraTrees().fit(archs, scores, features)
        return made

    def predict(self, archs: Sequence[Architecture], features: Array) -> Prediction:
        return self._model.predict(archs, features)

    _model: Forest


@final
class _Smooth:
    """A Gaussian process of one length scale on the places of features, and the square roots of sequences' counts."""

    def fit(self, archs: Sequence[Architecture], scores: Array, features: Array, sums: int) -> _Smooth:
        made = _Smooth()
        made._sums, made._told = sums, telling(features)
        made._places = Places(features)
        rows = made._raw(features)
        made._scale = (rows.mean(0), rows.std(0) + 1e-9)
        kernel = ConstantKernel(1.0) * Matern(1.0, (0.05, 50.0), nu=1.5) + WhiteKernel(0.1, (1e-3, 2.0))
        made._centre = float(scores.mean())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a length or a noise at its bound is no fault
            made._model = GaussianProcessRegressor(kernel).fit(made._coded(features), scores - made._centre)
        return made

    def predict(self, archs: Sequence[Architecture], features: Array) -> Prediction:
        mean, std = self._model.predict(self._coded(features), return_std=True)
        return Prediction(mean + self._centre, std)

    def _raw(self, features: Array) -> Array:
        rows = np.nan_to_num(self._places(features), nan=0.5)
        rows[:, self._sums :] = np.sqrt(np.maximum(features[:, self._sums :], 0.0))
        made: Array = rows[:, self._told]
        return made

    def _coded(self, features: Array) -> Array:
        rows = (self._raw(features) - self._scale[0]) / self._scale[1]
        rows[:, self._told >= self._sums] *= 0.5
        made: Array = rows / 5
        return made

    _sums: int
    _told: NDArray[np.intp]
    _places: Places
    _scale: tuple[Array, Array]
    _centre: float
    _model: GaussianProcessRegressor


MEMBERS: Mapping[str, Callable[[], _Member]] = {"process": _Process, "trees": _Trees, "smooth": _Smooth}


def _whole(features: Array) -> Array | None:
    """Features without gaps: a missing one lies in the middle of its column; None where there is none."""
    if not features.shape[1]:
        return None
    middle = np.nan_to_num(np.nanmedian(features, axis=0)) if np.isnan(features).any() else np.zeros(features.shape[1])
    made: Array = np.where(np.isnan(features), middle, features)
    return made
