"""Any predictor, told what lies on the ways through the networks beside their choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.roles import Array, Prediction, Predictor
from nas.space import Architecture, Space
from predictors.graphs import Graphs
from predictors.ways import Ways, telling


@final
class Informed:
    """Hands a predictor the sums of `Ways` as further features; else as that predictor."""

    def __init__(self, space: Space, predictor: Predictor, *, graphs: Graphs | None = None) -> None:
        self._space, self._predictor, self._graphs = space, predictor, graphs or Graphs(space)

    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> Informed:
        """Learn from rated architectures."""
        made = Informed(self._space, self._predictor, graphs=self._graphs)
        made._ways = Ways(self._graphs, archs, listed=False)
        made._told = telling(made._ways(archs))
        made._predictor = self._predictor.fit(archs, y, made._features(archs, features))
        return made

    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """What the predictor says."""
        return self._predictor.predict(archs, self._features(archs, features))

    def _features(self, archs: Sequence[Architecture], features: Array | None) -> Array | None:
        ways = self._ways(archs)[:, self._told]
        parts = [ways] if features is None else [np.asarray(features, dtype=np.float64), ways]
        rows: Array = np.hstack(parts)
        return rows if rows.shape[1] else None

    _ways: Ways
    _told: NDArray[np.intp]
