"""What is wanted: a metric that is to be large or small, a number made of several; and what many goals come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]
Metrics: TypeAlias = Mapping[str, float]


@final
@dataclass(frozen=True)
class Objective:
    """A metric that is to be large, or small."""

    metric: str
    goal: Literal["max", "min"]

    @property
    def reads(self) -> tuple[str, ...]:
        """The metrics that it needs."""
        return (self.metric,)

    def of(self, metrics: Metrics) -> float:
        """What metrics are worth to it, larger is better; KeyError where its own is missing."""
        return metrics[self.metric] if self.goal == "max" else -metrics[self.metric]


@final
@dataclass(frozen=True)
class Derived:
    """A number made of several metrics that is to be large, or small.

    metric: its name; reads: the metrics that it is made of; make: makes it, and must be picklable: a function at the
    top of a module, or a frozen dataclass that can be called.
    """

    metric: str
    goal: Literal["max", "min"]
    reads: tuple[str, ...]
    make: Callable[[Metrics], float]

    def of(self, metrics: Metrics) -> float:
        """What metrics are worth to it, larger is better; KeyError where one that it reads is missing."""
        return self.make(metrics) if self.goal == "max" else -self.make(metrics)


Goal: TypeAlias = Objective | Derived


@final
@dataclass(frozen=True)
class Constraint:
    """A metric that must not be above a limit."""

    metric: str
    at_most: float


def maximise(metric: str) -> Objective:
    """The objective of a large metric."""
    return Objective(metric, "max")


def minimise(metric: str) -> Objective:
    """The objective of a small metric."""
    return Objective(metric, "min")


def at_most(metric: str, limit: float) -> Constraint:
    """The constraint that a metric is not above a limit."""
    return Constraint(metric, limit)


def weighted(weights: Mapping[str, float]) -> Derived:
    """The objective of a large sum of metrics times their weights; what is to be small has a negative weight.

    The weights must bring the metrics to one unit: {"accuracy": 1, "macs": -1e-9} pays 0.1 of accuracy for 100 M MACs.
    """
    if not weights:
        raise ValueError("a weighted objective needs at least one metric with its weight")
    pairs = tuple((name, float(weight)) for name, weight in weights.items())
    name = " ".join(f"{weight:+g}*{metric}" for metric, weight in pairs)
    return Derived(name, "max", tuple(weights), _Weighted(pairs))


def soft_target(accuracy: str, cost: str, target: float, *, alpha: float = -0.07, beta: float = -0.07) -> Derived:
    """The objective of a large accuracy * (cost / target)^w (Tan et al. 2019, arXiv:1807.11626, equations 2 and 3).

    w is alpha up to the target and beta above it. -0.07 twice, the paper's own choice, trades 5 % of accuracy for twice
    the cost; alpha=0, beta=-1 holds the target hard; MobileNetV3-Small has -0.15 twice (arXiv:1905.02244, section 4.1).
    A cost that is not above 0 was not measured: it is worth 0, the least.
    """
    if not target > 0:
        raise ValueError(f"a soft target must be above 0, got {target} for {cost}")
    if alpha > 0 or beta > 0:
        raise ValueError(f"exponents above 0 would reward a larger {cost}, got alpha={alpha}, beta={beta}")
    name = f"{accuracy}*({cost}/{target:g})^{alpha:g}" + ("" if alpha == beta else f"|{beta:g}")
    return Derived(name, "max", (accuracy, cost), _SoftTarget(accuracy, cost, float(target), alpha, beta))


@final
@dataclass(frozen=True)
class _Weighted:
    weights: tuple[tuple[str, float], ...]

    def __call__(self, metrics: Metrics) -> float:
        return sum(weight * metrics[name] for name, weight in self.weights)


@final
@dataclass(frozen=True)
class _SoftTarget:
    accuracy: str
    cost: str
    target: float
    alpha: float
    beta: float

    def __call__(self, metrics: Metrics) -> float:
        cost = metrics[self.cost]
        if not cost > 0:
            return 0.0
        exponent = self.alpha if cost <= self.target else self.beta
        return float(metrics[self.accuracy] * (cost / self.target) ** exponent)


def mean_of(some: Sequence[Metrics]) -> Metrics:
    """The mean of each metric over those that have it."""
    if len(some) == 1:
        return some[0]
    names = dict.fromkeys(name for metrics in some for name in metrics)
    return {name: float(np.mean([m[name] for m in some if name in m])) for name in names}


def hypervolume(points: ArrayLike, reference: Sequence[float]) -> float:
    """The volume that points dominate above a reference, exact for any number of objectives.

    points: (n, d), larger is better; what is not above the reference in all objectives adds nothing. Slices along the
    last objective (While et al. 2006, doi:10.1109/TEVC.2005.851275): O(n log n) for two, O(n^2 log n) for three.
    """
    low = np.asarray(reference, dtype=float)
    above = np.asarray(points, dtype=float).reshape(-1, len(low)) - low
    return _volume(above[(above > 0).all(1)])


def _volume(points: Array) -> float:
    """points: (n, d), all above the origin."""
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    points = points[np.argsort(-points[:, -1], kind="stable")]
    if points.shape[1] == 2:
        best = np.maximum.accumulate(points[:, 0])
        return float(best @ (points[:, 1] - np.append(points[1:, 1], 0.0)))
    total, floors = 0.0, np.append(points[1:, -1], 0.0)
    for n, (top, floor) in enumerate(zip(points[:, -1], floors, strict=True), 1):
        if top > floor:
            total += float(top - floor) * _volume(points[:n, :-1])
    return total


def knee(front: ArrayLike) -> int:
    """Which member of a front gives up least of every objective at once: its index, the first of equals.

    front: (n, d), larger is better. Each objective is scaled to [0, 1] over the front, and the sum is the largest: of
    two objectives, the member farthest from the line between the ends (Das 1999, Structural Optimization 18).
    """
    values = np.asarray(front, dtype=float)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"a front is an array (n, objectives) with at least one member, got shape {values.shape}")
    low, high = values.min(0), values.max(0)
    span = np.where(high > low, high - low, 1.0)
    return int(((values - low) / span).sum(1).argmax())
