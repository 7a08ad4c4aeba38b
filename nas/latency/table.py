"""The latency of any architecture of a space as the sum of its layers, corrected on a few whole networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from nas.errors import UserError
from nas.graph import Graph
from nas.latency.devices import DeviceFile, Known
from nas.latency.layers import Layer, layers, of_graph
from nas.space import Architecture, Space
from nas.tree import Refused

Array: TypeAlias = NDArray[np.float64]
FEWEST, LATENCY = 3, "latency_s"
"""Known layers of a kind, or whole networks, from which something is fitted, at least; and the metric."""


@final
@dataclass(frozen=True)
class Correction:
    """Latency = offset + slope * sum of layers, from so many whole networks.

    error: the mean of |predicted / measured - 1|, each network left out of the fit in turn; nan where nothing was
    fitted. raw: the same of the sum itself.
    """

    slope: float = 1.0
    offset: float = 0.0
    networks: int = 0
    error: float = float("nan")
    raw: float = float("nan")

    def __call__(self, total: Array) -> Array:
        """The corrected sums, (n,)."""
        return self.offset + self.slope * total

    @staticmethod
    def fit(total: Array, seconds: Array) -> Correction:
        """The line of Theil (1950) and Sen (1968) through sums and measured latencies, (n,) each; none for too few.

        The median of the slopes between any two points: a disturbed measurement moves it little. A line that falls, or
        starts below 0, gives way to the median ratio.
        """
        if len(total) < FEWEST:
            return Correction(networks=len(total))
        errors = []
        for k in range(len(total)):
            rest = np.arange(len(total)) != k
            slope, offset = _line(total[rest], seconds[rest])
            errors.append(abs((offset + slope * total[k]) / seconds[k] - 1))
        raw = float(np.mean(np.abs(total / seconds - 1)))
        return Correction(*_line(total, seconds), len(total), float(np.mean(errors)), raw)


def _line(x: Array, y: Array) -> tuple[float, float]:
    i, j = np.triu_indices(len(x), 1)
    apart = x[i] != x[j]
    slope = float(np.median((y[i] - y[j])[apart] / (x[i] - x[j])[apart])) if apart.any() else 0.0
    offset = float(np.median(y - slope * x))
    if slope <= 0 or offset < 0:
        return float(np.median(y / x)), 0.0
    return slope, offset


@final
class Table:
    """Predicts the latency of architectures of a space from a device file.

    A layer that the file lacks is estimated from those of its kind; `unknown` collects them by key. Raises UserError
    where the file was measured for another input, and from a call where it knows no layer of an architecture.
    """

    def __init__(self, space: Space, file: DeviceFile) -> None:
        if tuple(space.input) != file.input:
            mine, theirs = (",".join(map(str, shape)) for shape in (space.input, file.input))
            what = f"{file.name} was measured for an input of {theirs}, the space {space.name} has {mine}"
            fix = f"give --input {theirs}, or measure this one: nas latency {space.name} --build"
            raise UserError(what, fix=fix)
        self.space, self.file = space, file
        self.unknown: dict[str, Layer] = {}
        self._kinds: dict[str, list[Known]] = {}
        for known in file.layers.values():
            self._kinds.setdefault(known.kind, []).append(known)
        self.correction = self._corrected()

    def __call__(self, arch: Architecture) -> float:
        """The corrected sum, in seconds."""
        return float(self.correction(np.array([self.total(arch)]))[0])

    def predict(self, archs: Sequence[Architecture]) -> Array:
        """The corrected sums, (n,), in seconds."""
        return self.correction(np.array([self.total(arch) for arch in archs]))

    def metrics(self, flat: Graph) -> Mapping[str, float]:
        """The latency of a network's graph, in seconds, as a metric."""
        return {LATENCY: float(self.correction(np.array([self._sum(of_graph(flat))]))[0])}

    def total(self, arch: Architecture) -> float:
        """The sum of the layers as it is, in seconds."""
        return self._sum(layers(self.space, arch))

    def _sum(self, found: Counter[Layer]) -> float:
        known, total = 0, 0.0
        for layer, times in found.items():
            held = self.file.layers.get(layer.key)
            known += held is not None
            total += times * (held.seconds if held is not None else self._guess(layer))
        if not known:
            what = f"{self.file.name} knows none of the {len(found)} layers of a network ({next(iter(found)).key}, ...)"
            raise UserError(what, fix=f"measure this space: nas latency {self.space.name} --build")
        return total

    def notes(self) -> tuple[str, ...]:
        """What was left out or estimated, a line each."""
        if not self.unknown:
            return self.file.notes
        first = next(iter(self.unknown))
        said = f"{self.file.name} lacks {len(self.unknown)} layers ({first}): estimated from others of their kind"
        return (*self.file.notes, said)

    def _guess(self, layer: Layer) -> float:
        self.unknown[layer.key] = layer
        like = self._kinds.get(layer.kind, [])
        return estimate(like if len(like) >= FEWEST else list(self.file.layers.values()), layer)

    def _corrected(self) -> Correction:
        pairs = []
        for choices, seconds in self.file.networks if self.file.space in ("", self.space.name) else ():
            try:
                pairs.append((self.total(self.space.read(choices)), seconds))
            except (KeyError, ValueError, Refused):  # of other settings of the space
                continue
        both = np.array(pairs).reshape(-1, 2)
        return Correction.fit(both[:, 0], both[:, 1])


def estimate(like: Sequence[Known], layer: Layer) -> float:
    """The seconds of a layer from measured ones: a constant, and a share for each multiply-accumulate and element.

    None of the three is below 0; relative errors are what is kept small.
    """
    rows = np.array([[1.0, one.macs, one.elements] for one in like])
    seconds = np.array([one.seconds for one in like])
    size = np.maximum(rows.max(0), 1.0)
    weights, _ = nnls(rows / size / seconds[:, None], np.ones(len(like)))
    return float(np.array([1.0, layer.macs, layer.elements]) / size @ weights)
