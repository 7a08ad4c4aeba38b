"""Fast and accurate model scaling (Dollar et al. 2021, arXiv:2103.06877): one base made larger in five ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from scipy.stats import spearmanr

from experiments._given import Given, residual
from nas.experiment import Experiment
from nas.space import Json
from nas.tree import Chain, Node
from search_spaces.ops.resize import Resize
from search_spaces.scaling import factors, scaled

RULES = ("d", "w", "r", "dwr", "dWr")
"""Depth, width, resolution, all three alike, and mostly width."""


@final
@dataclass(frozen=True)
class Config:
    """Accuracy and time of one network scaled in five ways to as many MACs, against its MACs and activations.

    Example: nas run fast_scaling --factor 4 --images 12000 --epochs 20
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    width: int = 8
    """Channels of the base's first stage."""
    side: int = 16
    """The side that images are brought to for the base."""
    factor: float = 4.0
    """How many times the base's MACs."""
    epochs: int = 4
    """Epochs of each network."""
    images: int = 6000
    """Images that train each, 0 for all."""
    seeds: int = 1
    """Trainings of each network."""
    seed: int = 0
    """Of the split and the first training."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Scale by depth, width, resolution, all alike and mostly width; train; what goes with the time of a step?"""
    data = run.data(config.data)
    channels, *_ = data.info.input
    shape = (channels, config.side, config.side)
    base = residual(shape, data.info.classes, config.width, depth=2)
    networks = {"base": _resized(base, shape)}
    for rule in RULES:
        networks[rule] = _resized(*scaled(base, shape, factors(rule, config.factor)))
    given = Given(networks, data.info.input)
    rated = given.rate(run, data, epochs=config.epochs, images=config.images, seeds=config.seeds)
    return {
        **rated,
        "rank_correlation_with_time": {cost: _correlation(rated, cost) for cost in ("activations", "macs")},
    }


def _resized(network: Node, shape: tuple[int, ...]) -> Node:
    return Chain.of(resize=Resize(shape[1]), network=network)


def _correlation(rated: dict[str, dict[str, Json]], cost: str) -> float | None:
    """Spearman's, over the networks of equal MACs that were trained."""
    pairs = [
        (rated[rule][cost], rated[rule]["seconds_per_1000"]) for rule in RULES if rated[rule].get("seconds_per_1000")
    ]
    if len(pairs) < 3:
        return None
    return round(float(spearmanr(*zip(*pairs, strict=True)).statistic), 3)
