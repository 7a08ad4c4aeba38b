"""What a predictor says of networks that it did not learn from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.ranking import LEAST
from nas.roles import Array, Prediction, Predictor
from nas.space import Architecture

Groups: TypeAlias = Sequence[Hashable]
FOLDS = 10
"""How often a predictor is fitted, at most, to hold each network out once."""


def held_out(
    make: Callable[[], Predictor],
    archs: Sequence[Architecture],
    y: Array,
    features: Array | None = None,
    groups: Groups | None = None,
    *,
    seed: int = 0,
) -> Prediction:
    """The predictions of a predictor that learnt from the others: (n,), each network held out once.

    groups: networks of one group are held out together, by default equal architectures. At most FOLDS fits; one at a
    time is held out of FOLDS networks or fewer. The folds are alike in y: else a fold of good networks is predicted
    from poor ones, and tau is below 0 where there is nothing to learn. All is NaN for fewer than LEAST groups.
    """
    fold = folds(y, groups or [arch.key for arch in archs], seed=seed)
    mean, std, count = np.full(len(y), np.nan), np.full(len(y), np.nan), int(fold.max()) + 1
    for k in range(count if count >= LEAST else 0):
        learnt, asked = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        own, its = (None, None) if features is None else (features[learnt], features[asked])
        said = make().fit([archs[i] for i in learnt.tolist()], y[learnt], own)
        there = said.predict([archs[i] for i in asked.tolist()], its)
        mean[asked], std[asked] = there.mean, there.std
    return Prediction(mean, std)


def folds(y: Array, groups: Groups, *, seed: int = 0) -> NDArray[np.intp]:
    """The fold of each network, (n,): of each FOLDS groups that follow each other in y every fold has one."""
    names = list(dict.fromkeys(groups))
    place = {name: k for k, name in enumerate(names)}
    of = np.array([place[name] for name in groups], dtype=np.intp)
    means = np.bincount(of, np.asarray(y, float)) / np.bincount(of)
    rng, count = np.random.default_rng(seed), min(FOLDS, len(names))
    order = np.lexsort((rng.random(len(names)), means))
    fold = np.empty(len(names), dtype=np.intp)
    for start in range(0, len(names), count):
        some = order[start : start + count]
        fold[some] = rng.permutation(count)[: len(some)]
    found: NDArray[np.intp] = fold[of]
    return found
