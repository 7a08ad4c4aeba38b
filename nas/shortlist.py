"""The best few of a large population by prediction: only these become architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.codes import Codes, Flags, Rows, blocks
from nas.roles import Array, Prediction, Predictor, Quick
from nas.space import Architecture

READ = 8192
"""How many architectures are made at a time for a predictor that reads no rows."""


@final
@dataclass(frozen=True, eq=False)
class Shortlist:
    """The best of a population, best first, with what is predicted of each; of: their places among the rows given."""

    archs: list[Architecture]
    prediction: Prediction
    of: NDArray[np.intp]


def top(
    predictor: Predictor,
    codes: Codes,
    rows: Rows,
    count: int,
    *,
    features: Array | None = None,
    keeps: Callable[[Rows], Flags] | None = None,
    accepts: Callable[[Architecture], bool] | None = None,
) -> Shortlist:
    """The different rows of the largest mean, at most `count`; of equal rows the one of the best features.

    keeps: which rows keep the limits, for costs that are sums of tables (`nas.programs.tables.Tables.coded`); accepts:
    the same of one architecture, asked best first until enough are found, for all other limits.
    """
    places = np.arange(len(rows))
    if features is None and codes.most <= len(rows):  # equal rows abound: predict each once
        places = np.sort(codes.unique(rows)[0])
    if keeps is not None:
        places = places[keeps(_some(rows, places))]
    means = mean(predictor, codes, _some(rows, places), None if features is None else features[places])
    order = places[np.argsort(-means, kind="stable")]
    best: dict[Architecture, int] = {}
    refused: set[Architecture] = set()
    step = max(count, 1)
    for start in range(0, len(order), step):
        if len(best) == count:
            break
        part = order[start : start + step]
        for arch, k in zip(codes.archs(rows[part]), part.tolist(), strict=True):
            if len(best) == count or arch in best or arch in refused:
                continue
            if accepts is None or accepts(arch):
                best[arch] = k
            else:
                refused.add(arch)
    found, of = list(best), list(best.values())
    if not found:
        return Shortlist([], Prediction(np.zeros(0), np.zeros(0)), np.zeros(0, dtype=np.intp))
    said = predictor.predict(found, None if features is None else features[of])
    by = np.argsort(-said.mean, kind="stable")
    ordered = Prediction(said.mean[by], said.std[by])
    return Shortlist([found[k] for k in by], ordered, np.array(of, dtype=np.intp)[by])


def mean(predictor: Predictor, codes: Codes, rows: Rows, features: Array | None = None) -> Array:
    """The predicted means of rows, (n,): by columns where the predictor reads rows, else of architectures."""
    if not len(rows):
        return np.zeros(0)
    if isinstance(predictor, Quick):
        return predictor.coded(codes, rows, features, std=False).mean
    parts = [
        predictor.predict(codes.archs(block), None if features is None else features[start : start + len(block)]).mean
        for start, block in blocks(rows, READ)
    ]
    return np.concatenate(parts)


def _some(rows: Rows, places: NDArray[np.intp]) -> Rows:
    """Some of the rows, column by column in memory."""
    return rows if len(places) == len(rows) else rows.T.take(places, 1).T
