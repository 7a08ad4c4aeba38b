"""Pairwise ranking: which of two is better, learnt by a graph network (Dudziak et al. 2020, arXiv:2007.08668)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nas.roles import Array, Prediction
from nas.space import Architecture, Space
from predictors.graphs import Graphs
from predictors.network import Inputs, Net, Rows, Size, asked, learnt, sized
from predictors.scales import Scores, checked

FOLDS = 3
"""Into how many parts what is learnt from is cut, to see how well the order of left-out ones is told."""
LEAST_TRUST = 0.05
"""The smallest share of the order learnt that is told as values, so that those told differ."""


@final
class Pairwise:
    """Graph networks that learn of every ordered pair of a batch which one is better (section 3.3).

    The released relation is one linear layer on both readouts, whose two answers are compared: the log odds that a is
    better than b are therefore a score of a less one of b. Here that layer is odd in a and b from the start, with a
    hidden layer in each score, and a score stands for the comparisons with all that was learnt from. Pairs of equal
    values are learnt as even.

    mean: the scores by their quantiles among those of the architectures learnt from, as values of these, drawn to the
    mean of the values as far as networks that did not learn from them order some wrongly (three folds, half as long
    trained). The order is that of the scores. std: the deviation over the members, each told so.
    size: the released one is 600 wide, of 4 layers and one member; by default it is scaled down to seconds.
    Raises ValueError for fewer than 3 samples, or values that are not finite.
    """

    def __init__(self, space: Space, size: Size | None = None, *, graphs: Graphs | None = None, seed: int = 0) -> None:
        self._space, self._size, self._seed = space, size, seed
        self._graphs = graphs or Graphs(space)

    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> Pairwise:
        """Learn from rated architectures."""
        values = checked(archs, y, "pairwise ranking")
        made = Pairwise(self._space, self._size, graphs=self._graphs, seed=self._seed)
        order = np.argsort([a.key for a in archs], kind="stable")  # batches are drawn by place
        made._rows = Rows(self._graphs, archs, features)
        made._sorted = np.sort(values)
        made._floor = Scores(values).floor
        given, targets = made._rows(archs, features, order), torch.from_numpy(values[order])
        size = self._size or sized(made._rows.most)
        made._net = learnt(given, targets, size, self._seed, compared)
        made._known = np.sort(made._said(archs, features), axis=1)
        made._trust = made._trusted(given, targets, size)
        return made

    def _trusted(self, given: Inputs, targets: Tensor, size: Size) -> float:
        """The share of the spread that is told: the slope of the values over what is told of left-out ones."""
        fold = torch.arange(len(targets)) % FOLDS
        left = fold[None, :] == torch.arange(FOLDS)[:, None]
        size = replace(size, members=FOLDS, steps=max(size.steps // 2, 1))
        net = learnt(given, targets, size, self._seed, compared, left)
        with torch.no_grad():
            said = net(given).double().numpy()
        told = np.zeros(len(targets))
        for k in range(FOLDS):
            out = left[k].numpy()
            places = np.searchsorted(np.sort(said[k]), said[k][out]) / max(len(targets) - 1, 1)
            told[out] = np.interp(places, np.linspace(0, 1, len(targets)), self._sorted)
        apart = told - told.mean()
        slope = float(apart @ targets.numpy()) / max(float(apart @ apart), 1e-12)
        return min(max(slope, LEAST_TRUST), 1.0)

    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """The values that the scores stand for, and their deviation over the members."""
        said = self._said(archs, features)
        told = np.stack([self._told(one, known) for one, known in zip(said, self._known, strict=True)])
        mean = self._told(said.mean(0), np.sort(self._known.mean(0)))
        return Prediction(mean, np.maximum(told.std(0), self._floor))

    def _said(self, archs: Sequence[Architecture], features: Array | None) -> Array:
        """The scores of each member, each standardised by those that it learnt from."""
        return asked(self._net, self._rows, archs, features)

    def _told(self, scores: Array, known: Array) -> Array:
        at = np.linspace(0, 1, len(known))
        found: Array = np.interp(np.interp(scores, known, at), at, self._sorted)
        centre = float(self._sorted.mean())
        spread = max(float(known.std()), 1e-9)
        told: Array = centre + self._trust * (found - centre) + 1e-3 * self._floor * (scores - known.mean()) / spread
        return told

    _rows: Rows
    _net: Net
    _sorted: Array
    _known: Array
    _floor: float
    _trust: float


def compared(said: Tensor, targets: Tensor) -> Tensor:
    """The cross-entropy of each ordered pair's comparison, summed over the members: (members, n) and (members, n)."""
    odds = said[:, :, None] - said[:, None, :]
    truth = (torch.sign(targets[:, :, None] - targets[:, None, :]) + 1) / 2
    pairs = F.binary_cross_entropy_with_logits(odds, truth.float(), reduction="none")
    return pairs.mean((1, 2)).sum()
