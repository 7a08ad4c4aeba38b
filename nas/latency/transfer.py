"""Latencies on a new device from ten measured there, and from what known devices need for the same architectures.

A device's latencies are a Gaussian process over architectures, whose covariance is learnt from the known devices: two
architectures are alike where every known device needs alike for them, and, less so, where their features are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.roles import Prediction
from nas.space import Rng

Array: TypeAlias = NDArray[np.float64]
Index: TypeAlias = NDArray[np.int64]
SAMPLES = 10
FEWEST = 3
CANDIDATES = 300
"""Random architectures among which those that are measured are chosen."""
MIXES = ((1.0, 0.0), (1.0, 0.03), (1.0, 0.1), (1.0, 0.3), (1.0, 1.0), (0.3, 1.0))
NOISES = (0.003, 0.01, 0.03, 0.1, 0.3)
"""How much devices and features count, and the noise of a measurement: what fits the ten counts most."""
USUAL = (1.0, 0.1, 0.03)
"""The mix and the noise by which those that are measured are chosen."""


@final
@dataclass(frozen=True, eq=False)
class Devices:
    """What is known of architectures before the new device measures any.

    latencies: (n, m), in any unit, of n architectures on m devices. features: (n, f), numbers of which a latency may be
    a sum, such as how often a layer occurs; f may be 0.
    """

    latencies: Array
    features: Array

    def __post_init__(self) -> None:
        """Raise ValueError where shapes do not fit, or a latency is no number."""
        n = len(self.latencies)
        if self.latencies.ndim != 2 or self.features.ndim != 2 or len(self.features) != n or not self.latencies.size:
            what = f"got latencies {self.latencies.shape} and features {self.features.shape}"
            raise ValueError(f"latencies are (n, m) and features (n, f) of the same architectures, {what}")
        if not np.isfinite(self.latencies).all() or not np.isfinite(self.features).all():
            raise ValueError("every latency and feature must be a finite number")

    def choose(self, rng: Rng, count: int = SAMPLES) -> Index:
        """The architectures to measure on the new device: (count,) indices, each after which least is left unknown.

        Greedily, of 300 random ones, the one that takes the most variance off all of them (the A-optimal design).
        """
        some = rng.choice(len(self.latencies), min(CANDIDATES, len(self.latencies)), replace=False)
        by, like, noise = USUAL
        devices, features = self.kernels(some, some)
        left = by * devices + like * features
        left = left - left.mean(0) - left.mean(1)[:, None] + left.mean()  # the new device's mean is free
        chosen: list[int] = []
        for _ in range(min(count, len(some))):
            gain = (left * left).sum(0) / (np.diag(left) + noise)
            gain[chosen] = -1.0
            chosen.append(int(gain.argmax()))
            column = left[:, chosen[-1]]
            left = left - np.outer(column, column) / (column[chosen[-1]] + noise)
        return np.asarray(some[chosen], dtype=np.int64)

    def transfer(self, measured: Index, seconds: Array) -> Transferred:
        """What follows from latencies that were measured on the new device, (k,), of these architectures.

        Raises ValueError for fewer than 3, for one that is no finite number above 0, or where all are equal.
        """
        y = np.asarray(seconds, dtype=float)
        if len(y) != len(measured) or len(y) < FEWEST:
            raise ValueError(f"a transfer needs {FEWEST} latencies, one for each index, got {len(y)}")
        if not np.isfinite(y).all() or (y <= 0).any():
            raise ValueError(f"latencies are finite numbers above 0, got {y[~(np.isfinite(y) & (y > 0))][0]}")
        if np.ptp(y) == 0:
            raise ValueError(f"all {len(y)} latencies are {y[0]:g}: measure architectures that differ")
        return Transferred(self, np.asarray(measured), y)

    def kernels(self, i: Index, j: Index) -> tuple[Array, Array]:
        """How alike architectures are, by the known devices and by their features: two of (len(i), len(j))."""
        first, second = (a[i] @ a[j].T / max(1, a.shape[1]) for a in (self.scaled, self.described))
        return first, second

    @cached_property
    def scaled(self) -> Array:
        """The latencies, with each device's mean 0 and deviation 1."""
        return standardised(self.latencies)

    @cached_property
    def described(self) -> Array:
        """The features, likewise."""
        return standardised(self.features)


def standardised(values: Array) -> Array:
    """Columns of mean 0 and deviation 1; 0 where a column is constant."""
    deviation: Array = values.std(0)
    same = deviation <= 1e-12 * np.abs(values).max(0, initial=1.0)
    made: Array = (values - values.mean(0)) / np.where(same, np.inf, deviation)
    return made


@final
class Transferred:
    """Latencies on the new device: an average of processes, each counted by how well it explains what was measured.

    Mean and scale of the device are integrated out, so the weight of a process is a Student evidence (Rasmussen and
    Williams 2006, section 2.7, with the improper prior 1/scale).
    """

    def __init__(self, devices: Devices, measured: Index, seconds: Array) -> None:
        self._devices, self._measured = devices, measured
        kernels, k = devices.kernels(measured, measured), len(seconds)
        self._fits = [
            _Fit(mix, noise, sum(w * a for w, a in zip(mix, kernels, strict=True)) + noise * np.eye(k), seconds)
            for mix in MIXES
            for noise in NOISES
        ]
        evidence = np.array([fit.evidence for fit in self._fits])
        weights = np.exp(evidence - evidence.max())
        self._weights = weights / weights.sum()

    def predict(self, rows: Index | Sequence[int] | None = None) -> Prediction:
        """Latencies of these of the n architectures, of all of them for None, in the unit of what was measured."""
        devices = self._devices
        index = np.arange(len(devices.latencies)) if rows is None else np.asarray(rows, dtype=np.int64)
        cross = devices.kernels(index, self._measured)
        own = [(a[index] ** 2).sum(1) / max(1, a.shape[1]) for a in (devices.scaled, devices.described)]
        mean, square = np.zeros(len(index)), np.zeros(len(index))
        for weight, fit in zip(self._weights, self._fits, strict=True):
            if weight > 1e-4:
                m, v = fit.at([w * a for w, a in zip(fit.mix, cross, strict=True)], own)
                mean, square = mean + weight * m, square + weight * (v + m * m)
        return Prediction(mean, np.sqrt(np.maximum(square - mean * mean, 0.0)))


@final
class _Fit:
    """One process, fitted: `covariance` (k, k), noise included, of what was measured."""

    def __init__(self, mix: tuple[float, float], noise: float, covariance: Array, y: Array) -> None:
        self.mix, self.noise, k = mix, noise, len(y)
        self.factor = np.linalg.cholesky(covariance)
        self.ones = self._solve(np.ones(k))
        self.precision = float(self.ones.sum())
        self.offset = float(self.ones @ y) / self.precision
        self.weights = self._solve(y - self.offset)
        rest = float((y - self.offset) @ self.weights)
        self.scale = rest / (k - 1)
        self.evidence = float(
            -np.log(np.diag(self.factor)).sum() - 0.5 * np.log(self.precision) - 0.5 * (k - 1) * np.log(rest)
        )

    def at(self, cross: Sequence[Array], own: Sequence[Array]) -> tuple[Array, Array]:
        """Mean and variance, noise included, (n,) each; cross: (n, k) parts of the covariance; own: (n,) parts."""
        c = np.sum(cross, axis=0)
        half = np.linalg.solve(self.factor, c.T)
        prior = sum(w * a for w, a in zip(self.mix, own, strict=True))
        free = (1 - c @ self.ones) ** 2 / self.precision
        variance = np.maximum(prior - (half * half).sum(0), 0.0) + free + self.noise
        return self.offset + c @ self.weights, self.scale * variance

    def _solve(self, y: Array) -> Array:
        return np.linalg.solve(self.factor.T, np.linalg.solve(self.factor, y))
