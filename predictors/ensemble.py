"""Tree ensembles on the one-hot code of the choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from nas.roles import Array, Prediction
from nas.space import Architecture
from predictors.encode import OneHot


@final
class Forest:
    """A random forest (Breiman 2001); its std is the spread of its trees, never below a hundredth of the data's.

    Raises ValueError for fewer than 3 samples, or values that are not finite.
    """

    def __init__(self, trees: int = 200, seed: int = 0) -> None:
        self._trees, self._seed = trees, seed

    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> Forest:
        """Learn from rated architectures."""
        if len(archs) < 3 or len(archs) != len(y):
            raise ValueError(f"a forest needs at least 3 rated architectures, got {len(archs)} with {len(y)} values")
        if not np.isfinite(y).all():
            raise ValueError("the values to learn from must be finite")
        made = Forest(self._trees, self._seed)
        made._code = OneHot.of(archs)
        made._floor = max(float(np.std(y)) / 100, 1e-9)
        order = np.argsort([a.key for a in archs], kind="stable")  # each tree draws rows by their place
        rows = _joined(made._code(archs), features)[order]
        forest = RandomForestRegressor(self._trees, max_features=1 / 3, random_state=self._seed, n_jobs=1)
        made._model = forest.fit(rows, np.asarray(y)[order])
        return made

    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """The mean of the trees, and their standard deviation."""
        rows = _joined(self._code(archs), features).astype(np.float32)
        trees = np.stack([tree.predict(rows) for tree in self._model.estimators_])
        return Prediction(trees.mean(0), np.maximum(trees.std(0), self._floor))

    _code: OneHot
    _floor: float
    _model: RandomForestRegressor


def _joined(rows: Array, features: Array | None) -> Array:
    return rows if features is None else np.hstack([rows, features])
