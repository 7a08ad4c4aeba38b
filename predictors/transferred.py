"""Any predictor, told what another says that learnt from another run, task or device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from nas.roles import Array, Prediction, Predictor
from nas.space import Architecture

FOLDS = 5
PRIOR = 1.25
"""Of the values' variance: what speaks for the one that has learnt elsewhere before any network was held out."""


@final
class Transferred:
    """Weighs a predictor, which reads the other's means as one more feature, with the other's means themselves.

    Those are brought to the values by a line; the weight is that of the least squared error of `FOLDS`-fold held-out
    predictions. So few networks change little of what is known, and many all of it. known: fitted, on architectures
    with the same choices; it reads those alone, and no features. Raises as the predictor.
    """

    def __init__(self, predictor: Predictor, known: Predictor) -> None:
        self._predictor, self._known = predictor, known

    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> Transferred:
        """Learn from rated architectures."""
        order = np.argsort([a.key for a in archs], kind="stable")  # folds are drawn by place
        archs, values = [archs[k] for k in order], np.asarray(y, dtype=np.float64)[order]
        said = self._known.predict(archs).mean
        rows = _joined(said, None if features is None else np.asarray(features)[order])
        made = Transferred(self._predictor.fit(archs, values, rows), self._known)
        made._line = _line(said, values)
        fold = np.random.default_rng(0).permutation(len(archs)) % min(FOLDS, len(archs))
        off = np.zeros((2, len(archs)))
        for k in range(int(fold.max()) + 1):
            there, out = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            if len(there) < 3:
                continue
            model = self._predictor.fit([archs[i] for i in there], values[there], rows[there])
            off[0, out] = model.predict([archs[i] for i in out], rows[out]).mean - values[out]
            off[1, out] = np.polyval(_line(said[there], values[there]), said[out]) - values[out]
        apart = off[0] - off[1]
        pull = PRIOR * float(values.var())
        made._share = float(np.clip(-(apart @ off[1]) / (apart @ apart + pull + 1e-12), 0.0, 1.0))
        return made

    @property
    def share(self) -> float:
        """What the predictor counts, from 0 to 1; the rest counts what was known."""
        return self._share

    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """The weighed mean; the predictor's deviation, and how far both differ."""
        known = self._known.predict(archs).mean
        said, line = self._predictor.predict(archs, _joined(known, features)), np.polyval(self._line, known)
        mean = self._share * said.mean + (1 - self._share) * line
        apart = self._share * (1 - self._share) * (said.mean - line) ** 2
        return Prediction(mean, np.sqrt(said.std**2 + apart))

    _line: Array
    _share: float


def _joined(known: Array, features: Array | None) -> Array:
    rows: Array = known[:, None]
    return rows if features is None else np.hstack([np.asarray(features, dtype=np.float64), rows])


def _line(said: Array, values: Array) -> Array:
    """Slope and intercept from what is said to values; never downwards, which would turn round what is known."""
    spread = float(said.var())
    slope = max(float(np.cov(said, values, bias=True)[0, 1]) / spread, 0.0) if spread > 0 else 0.0
    return np.array([slope, float(values.mean()) - slope * float(said.mean())])
