"""Tree ensembles on the one-hot code of the choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, final

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor

from nas.codes import Codes, Rows, blocks
from nas.roles import Array, Prediction
from nas.space import Architecture
from predictors.encode import OneHot
from predictors.scales import Places, checked

Code: TypeAlias = Callable[[Sequence[Architecture]], Array]
"""Further columns of architectures, such as `predictors.layers.Layers`."""
MISSING = -1.0
"""Stands for a feature that is missing: apart from all places, so that a tree can split it off."""
BLOCK = 8192
"""How many rows of codes the trees read at a time."""


@final
class Forest:
    """A random forest (Breiman 2001); its std is the spread of its trees, never below a hundredth of the data's.

    Features enter by their places among those learnt from; they may be missing (NaN). code: further columns.
    drawn: thresholds are drawn, not searched for, and every tree sees all samples: `ExtraTrees`.
    Raises ValueError for fewer than 3 samples, or values that are not finite.
    """

    def __init__(self, trees: int = 200, seed: int = 0, *, code: Code | None = None, drawn: bool = False) -> None:
        self._trees, self._seed, self._code, self._drawn = trees, seed, code, drawn

    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> Forest:
        """Learn from rated architectures."""
        made = Forest(self._trees, self._seed, code=self._code, drawn=self._drawn)
        known = {"max_features": 1 / 3, "random_state": self._seed, "n_jobs": 1}
        forest = (
            ExtraTreesRegressor(self._trees, min_samples_leaf=2, **known)
            if self._drawn
            else RandomForestRegressor(self._trees, **known)
        )
        made._made = _Trees(forest, self._code, archs, checked(archs, y, "a forest"), features)
        return made

    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """The mean of the trees, and their standard deviation."""
        return self._made(archs, features)

    def coded(self, codes: Codes, rows: Rows, features: Array | None = None, *, std: bool = True) -> Prediction:
        """The same of the architectures of rows; the std comes with it."""
        return self._made.coded(codes, rows, features)

    _made: _Trees


ExtraTrees = partial(Forest, drawn=True)
"""A forest whose thresholds are drawn, on all samples (Geurts et al. 2006)."""


@final
class Boosted:
    """Gradient boosting of small trees (Friedman 2002), several times, each tree on a random part of the samples.

    The mean over the members and their standard deviation, never below a hundredth of the data's; else as the forest.
    """

    def __init__(
        self, members: int = 5, trees: int = 150, depth: int = 3, seed: int = 0, *, code: Code | None = None
    ) -> None:
        self._members, self._trees, self._depth, self._seed, self._code = members, trees, depth, seed, code

    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> Boosted:
        """Learn from rated architectures."""
        made = Boosted(self._members, self._trees, self._depth, self._seed, code=self._code)
        values = checked(archs, y, "boosting")
        made._made = [_Trees(self._one(k), self._code, archs, values, features) for k in range(self._members)]
        return made

    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """The mean of the members, and their standard deviation."""
        rows = self._made[0].rows(archs, features)
        return self._said(rows)

    def coded(self, codes: Codes, rows: Rows, features: Array | None = None, *, std: bool = True) -> Prediction:
        """The same of the architectures of rows; the std comes with it."""
        return self._made[0].coded(codes, rows, features, self._said)

    def _said(self, rows: Array) -> Prediction:
        said = np.stack([one.model.predict(rows) for one in self._made])
        return Prediction(said.mean(0), np.maximum(said.std(0), self._made[0].floor))

    def _one(self, k: int) -> GradientBoostingRegressor:
        return GradientBoostingRegressor(
            n_estimators=self._trees,
            learning_rate=0.07,
            max_depth=self._depth,
            subsample=0.5,
            max_features=1 / 3,
            min_samples_leaf=2,
            random_state=self._seed * self._members + k,
        )

    _made: list[_Trees]


@final
class _Trees:
    """An ensemble of trees, fitted, with the columns that it reads."""

    def __init__(
        self, model: object, code: Code | None, archs: Sequence[Architecture], values: Array, features: Array | None
    ) -> None:
        self._hot, self._code = OneHot.of(archs), code
        self._places = None if features is None else Places(features)
        self.floor = max(float(np.std(values)) / 100, 1e-9)
        order = np.argsort([a.key for a in archs], kind="stable")  # each tree draws rows by their place
        self.model = model.fit(self.rows(archs, features)[order], values[order])  # type: ignore[attr-defined]

    def rows(self, archs: Sequence[Architecture], features: Array | None) -> Array:
        """What the trees read: the code of the choices, further columns, and the places of the features."""
        parts = [self._hot(archs)]
        if self._code is not None:
            parts.append(self._code(archs))
        if features is not None and self._places is not None:
            parts.append(np.nan_to_num(self._places(features), nan=MISSING))
        made: Array = np.hstack(parts).astype(np.float32)
        return made

    def __call__(self, archs: Sequence[Architecture], features: Array | None) -> Prediction:
        """The mean and the standard deviation over the trees."""
        return self.said(self.rows(archs, features))

    def coded(
        self, codes: Codes, rows: Rows, features: Array | None, said: Callable[[Array], Prediction] | None = None
    ) -> Prediction:
        """The same of the architectures of rows; what `said` makes of them, in blocks of the columns that trees read.

        Without features equal rows are read once, and alike ones side by side: branches are then foreseen. With further
        columns, the architectures are made of the rows.
        """
        said = said or self.said
        if self._code is not None:
            return said(self.rows(codes.archs(rows), features))
        firsts, place = np.arange(len(rows)), np.arange(len(rows))
        if features is None:
            firsts, place = codes.unique(rows, self._telling(codes))
        made = np.empty((2, len(firsts)))
        for start, block in blocks(rows.T.take(firsts, 1).T, BLOCK):
            part = slice(start, start + len(block))
            hot = np.empty((len(self._hot.columns), len(block)), dtype=np.float32)
            read = np.ascontiguousarray(codes.hot(block, self._hot.columns, hot).T)
            if features is not None and self._places is not None:
                places = np.nan_to_num(self._places(features[part]), nan=MISSING)
                read = np.hstack([read, places.astype(np.float32)])
            one = said(read)
            made[:, part] = one.mean, one.std
        return Prediction(*made[:, place])

    def _telling(self, codes: Codes) -> list[str]:
        """The choices by how much the trees' first questions ask for them, the most first."""
        worth = dict.fromkeys(codes.names, 0.0)
        for (name, _), much in zip(self._hot.columns, self.model.feature_importances_, strict=False):
            worth[name] = worth.get(name, 0.0) + float(much)
        return sorted(codes.names, key=lambda name: -worth[name])

    def said(self, rows: Array) -> Prediction:
        """The mean and the standard deviation over the trees, of what they read."""
        trees = np.empty((len(self.model.estimators_), len(rows)))
        for line, tree in zip(trees, self.model.estimators_, strict=True):
            line[:] = tree.predict(rows, check_input=False)  # once a tree, the check takes as long as the trees
        return Prediction(trees.mean(0), np.maximum(trees.std(0), self.floor))
