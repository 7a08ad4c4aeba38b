"""Networks of cells that each decide for themselves: what they are searched with, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import mean
from typing import final

import numpy as np

from nas.data import Data
from nas.derive import Mix, Way, derive, thresholded
from nas.experiment import Experiment
from nas.problem import Constraint, Metrics, at_most
from nas.profile import profile
from nas.space import Architecture, Json, Space
from nas.training.relax import Descent, Distributed, Relaxed, Settled
from nas.training.relax.distance import OPERATIONS, hausdorff, tables
from search_spaces.dartopti import start
from search_spaces.darts import thirds

PLAIN = {"affine": False, "norm_after_pool": True}
"""How the norms of the search network differ from those of its networks."""


@final
@dataclass(frozen=True)
class Spaces:
    """Cells for themselves, while they are searched and when they are trained alone, and tied ones as in DARTS."""

    own: Space
    alone: Space
    tied: Space | None


def spaces(
    run: Experiment,
    data: Data,
    baseline: str,
    layers: tuple[int, int],
    channels: tuple[int, int],
    operations: tuple[str, ...],
) -> Spaces:
    """The spaces of D-DARTS, or of DARTOpti where there is a baseline; layers and channels: searched, and alone."""
    if baseline:
        own, alone = (run.space("dartopti", data, baseline=baseline, channels=width) for width in channels)
        return Spaces(own, alone, None)
    cells, rest = layers[0], {"channels": channels[0], "operations": operations}
    own = run.space("ddarts", data, cells=cells, layers=cells, **rest)
    alone = run.space("ddarts", data, cells=cells, layers=layers[1], channels=channels[1], operations=operations)
    return Spaces(own, alone, run.space("darts", data, layers=cells, **rest))


def distributed(
    space: Space, baseline: str, weights: tuple[float, float], warmup: int, rates: tuple[float, float]
) -> Distributed:
    """D-DARTS, or DARTOpti from a baseline."""
    descent = Descent(
        rate=rates[0], alpha_rate=rates[1], alpha_least=rates[1] / 3, alpha_betas=(0.9, 0.999), alpha_decay=1e-3
    )
    if not baseline:
        return Distributed(*weights, descent=descent, parts=PLAIN)
    arch = space.parse(start(baseline))
    return Distributed(*weights, arch, warmup, Settled(arch, start=warmup + 5), descent, PLAIN)


def tied(rates: tuple[float, float]) -> Relaxed:
    """DARTS of first order, with the same rates."""
    return Relaxed(descent=Descent(rate=rates[0], alpha_rate=rates[1], alpha_least=rates[1]), parts=PLAIN)


def untied(space: Space, shared: Space, mix: Mix) -> Architecture:
    """The architecture of a DARTS search with tied cells, as one whose cells are each written for itself."""
    arch, reductions = derive(shared, mix), thirds(int(shared.settings["layers"]))

    def kept(name: str) -> int:
        cell, node, edge, op = name.split(".")
        kind = "reduce" if int(cell.removeprefix("cell")) in reductions else "normal"
        return int(arch.labels.get(f"{kind}.{node}.{edge}") == op)

    return space.read({name: kept(name) for name in space.choices})


def drawn(space: Space, way: Way, count: int, seed: int) -> list[Architecture]:
    """Architectures of random weights, derived in the same way but without a threshold."""
    rng = np.random.default_rng(seed)
    mixes = [{name: [0.0, float(rng.random())] for name in space.choices} for _ in range(count)]
    return [thresholded(space, mix, way=way, threshold=0.0) for mix in mixes]


def shown(space: Space, archs: Mapping[str, Architecture], reached: Mapping[Architecture, Metrics]) -> dict[str, Json]:
    """Each architecture, how many of its cells differ and how far they lie apart, and what it reached."""
    made: dict[str, Json] = {}
    for by, arch in archs.items():
        cells, operations = tables(arch)
        weights = np.array([OPERATIONS[op] for op in operations])
        pairs = [hausdorff(a, b, weights) for a, b in combinations(cells.values(), 2)]
        made[by] = {
            "cells": space.spell(arch),
            "different": len({cell.tobytes() for cell in cells.values()}),
            "apart": round(mean(pairs), 4) if pairs else 0.0,
            "operations": [int(cell.sum()) for cell in cells.values()],
            "accuracy": reached[arch]["accuracy"] if arch in reached else None,
        }
    return made


def heaviest(space: Space, archs: Iterable[Architecture]) -> Constraint:
    """The limit that no network has more MACs than some architectures."""
    return at_most("macs", max(float(profile(space.network(arch), space.input).total.macs) for arch in archs))


def decided(mix: Mix) -> float:
    """The share of the weights outside of [0.2, 0.8]."""
    return round(mean(not 0.2 <= numbers[1] <= 0.8 for numbers in mix.values()), 3)
