"""An ensemble of small neural networks, the predictor of BANANAS (White et al. 2021, arXiv:1910.11858)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import final

import numpy as np
import torch
from torch import Tensor

from nas.roles import Array, Prediction
from nas.space import Architecture
from predictors.paths import Coded, Paths


@final
class Networks:
    """Networks of equal layers that differ in their first weights and in the order of their batches.

    The mean and the standard deviation over them, never below a hundredth of the data's. Defaults are those of the
    released code, trained with Adam on the absolute error; but values are standardised first, and the learning rate
    falls to 0 by half a cosine, as what is learnt on 50 samples else depends on the last batch.
    paths: the paths that are columns, by default none: one-hot. Raises ValueError for fewer than 3 samples, or values
    that are not finite.
    """

    def __init__(
        self,
        paths: Paths | None = None,
        *,
        members: int = 5,
        layers: int = 10,
        width: int = 20,
        epochs: int = 150,
        batch: int = 32,
        lr: float = 0.01,
        seed: int = 0,
    ) -> None:
        self._paths, self._members, self._layers, self._width = paths, members, layers, width
        self._epochs, self._batch, self._lr, self._seed = epochs, batch, lr, seed

    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> Networks:
        """Learn from rated architectures."""
        if len(archs) < 3 or len(archs) != len(y):
            raise ValueError(f"networks need at least 3 rated architectures, got {len(archs)} with {len(y)} values")
        if not np.isfinite(y).all():
            raise ValueError("the values to learn from must be finite")
        made = Networks(
            self._paths,
            members=self._members,
            layers=self._layers,
            width=self._width,
            epochs=self._epochs,
            batch=self._batch,
            lr=self._lr,
            seed=self._seed,
        )
        order = np.argsort([a.key for a in archs], kind="stable")  # batches are drawn by place
        made._code = Coded(archs, self._paths)
        made._scales = None if features is None else (features.mean(0), features.std(0) + 1e-9)
        rows = torch.from_numpy(made._rows(archs, features)[order]).float()
        made._centre, made._spread = float(np.mean(y)), float(np.std(y)) or 1e-7
        targets = (torch.from_numpy(np.array(y, dtype=np.float64)[order]) - made._centre) / made._spread
        made._weights = made._learn(rows, targets.float())
        return made

    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """The mean of the members, and their standard deviation."""
        with torch.no_grad():
            rows = torch.from_numpy(self._rows(archs, features)).float()
            said = _forward(rows.expand(self._members, -1, -1), self._weights).double().numpy()
        mean, std = said.mean(0), np.maximum(said.std(0), 0.01)
        return Prediction(self._centre + self._spread * mean, self._spread * std)

    def _rows(self, archs: Sequence[Architecture], features: Array | None) -> Array:
        if features is not None and self._scales is not None:
            features = (features - self._scales[0]) / self._scales[1]
        return self._code(archs, features)

    def _learn(self, rows: Tensor, targets: Tensor) -> list[Tensor]:
        """Weights of each layer, biases last: (members, inputs + 1, outputs)."""
        generator = torch.Generator().manual_seed(self._seed)
        count, sizes = len(rows), [rows.shape[1], *[self._width] * self._layers, 1]
        weights = [self._first(*pair, generator) for pair in pairwise(sizes)]
        steps = math.ceil(count / self._batch)
        adam = torch.optim.Adam(weights, lr=self._lr, betas=(0.9, 0.99), fused=True)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, self._epochs)
        for _ in range(self._epochs):
            turns = torch.rand(self._members, count, generator=generator).argsort(1)
            for step in range(steps):
                at = turns[:, step * self._batch : (step + 1) * self._batch]
                loss = (_forward(rows[at], weights) - targets[at]).abs().mean(1).sum()
                for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                    weight.grad = slope
                adam.step()
            falling.step()
        return [weight.detach() for weight in weights]

    def _first(self, inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
        """Uniform as Glorot and Bengio 2010, biases 0: the first weights of the released code's library."""
        bound = math.sqrt(6 / (inputs + outputs))
        weight = (2 * torch.rand(self._members, inputs + 1, outputs, generator=generator) - 1) * bound
        weight[:, -1] = 0.0
        return weight.requires_grad_()

    _code: Coded
    _scales: tuple[Array, Array] | None
    _centre: float
    _spread: float
    _weights: list[Tensor]


def _forward(rows: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """What each member says: (members, n, inputs) to (members, n)."""
    for weight in weights[:-1]:
        rows = torch.baddbmm(weight[:, -1:], rows, weight[:, :-1]).relu()
    return torch.baddbmm(weights[-1][:, -1:], rows, weights[-1][:, :-1])[..., 0]
