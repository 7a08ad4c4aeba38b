"""A recurrent policy's draws without torch's cost for each small product: the same numbers, from copied weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.space import DRAWS, Rng, Space
from nas.strategies.controller import Controller, Drawn
from nas.tree import Choice, Refused

Held: TypeAlias = list[tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Output and cell of each layer, (units,)."""


@final
class Sampler:
    """Draws as `Policy.sample` does, from the weights of the last `take`, in double precision.

    rows: of each choice's options, as in `Policy.rows`.
    """

    def __init__(self, space: Space, controller: Controller, rows: Sequence[range]) -> None:
        self._space, self._controller = space, controller
        limits = (float(np.float32(controller.limit(name))) for name in space.choices)  # as the network keeps them
        self._rows = dict(zip(space.choices, zip(rows, limits, strict=True), strict=True))
        self._fed = self._scores = self._bias = np.zeros((0, 0))
        self._layers: list[NDArray[np.float64]] = []
        self._biases: list[NDArray[np.float64]] = []
        self._start: dict[int, tuple[NDArray[np.float64], Held]] = {}

    def take(self, weights: Mapping[str, Any]) -> None:
        """Copy the weights of a `Recurrent`, its state dict as arrays."""
        half = np.ones((4, self._controller.units))  # a sigmoid is a tanh of half its argument, so one call does all
        half[[0, 1, 3]] = 0.5
        scale = half.reshape(-1, 1)
        held = {name: np.asarray(value, np.float64) for name, value in weights.items()}
        self._layers, self._biases = [], []
        for k in range(self._controller.layers):
            own, other = held[f"lstm.weight_hh_l{k}"] * scale, held[f"lstm.weight_ih_l{k}"] * scale
            bias = (held[f"lstm.bias_ih_l{k}"] + held[f"lstm.bias_hh_l{k}"]) * scale[:, 0]
            if k == 0:
                self._fed = held["embedding.weight"] @ other.T + bias
            self._layers.append(np.concatenate([other, own], 1) if k else own)
            self._biases.append(bias)
        self._scores, self._bias = held["scores.weight"], held["scores.bias"]
        self._start.clear()

    def sample(self, rng: Rng) -> Drawn:
        """An architecture. Raises Refused where the space refuses 1,000 in a row."""
        for _ in range(DRAWS):
            try:
                return self._drawn(rng)
            except Refused:
                continue
        raise Refused(f"the space {self._space.name!r} refused {DRAWS} draws of a policy in a row")

    def _drawn(self, rng: Rng) -> Drawn:
        row, held, log_prob, entropy = -1, Held(), 0.0, 0.0

        def pick(choice: Choice) -> int:
            nonlocal row, held, log_prob, entropy
            some, limit = self._rows[choice.name]
            out, held = self._next(row, held)
            own = self._log_probs(out, some, limit)
            chances = np.exp(own)
            below = chances.cumsum()
            k = min(int(below.searchsorted(rng.random() * below[-1], "right")), len(own) - 1)
            row, log_prob, entropy = some.start + k, log_prob + float(own[k]), entropy - float(chances @ own)
            return k

        return Drawn(self._space.decide(pick), log_prob, entropy)

    def _next(self, row: int, held: Held) -> tuple[NDArray[np.float64], Held]:
        """The output (units,) after a pick, and what to hold. The first one is the same for every architecture."""
        if row < 0 and 0 in self._start:
            return self._start[0]
        units, made = self._controller.units, Held()
        out = np.zeros(0)
        for k, weight in enumerate(self._layers):
            before, cell = held[k] if held else (np.zeros(units), np.zeros(units))
            if k:
                gates = np.tanh(weight @ np.concatenate([out, before]) + self._biases[k])
            else:
                gates = np.tanh(weight @ before + self._fed[row + 1])
            opened = 0.5 * gates + 0.5
            cell = opened[units : 2 * units] * cell + opened[:units] * gates[2 * units : 3 * units]
            out = opened[3 * units :] * np.tanh(cell)
            made.append((out, cell))
        if row < 0:
            self._start[0] = (out, made)
        return out, made

    def _log_probs(self, out: NDArray[np.float64], some: range, limit: float) -> NDArray[np.float64]:
        """(options of the choice,)."""
        scores = self._scores[some.start : some.stop] @ out + self._bias[some.start : some.stop]
        scores = scores / self._controller.temperature
        if limit < math.inf:
            scores = limit * np.tanh(scores)
        scores = scores - scores.max()
        made: NDArray[np.float64] = scores - math.log(np.exp(scores).sum())
        return made
