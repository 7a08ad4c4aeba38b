"""EfficientNet's compound scaling (Tan and Le 2019, arXiv:1905.11946): a grid on a small base, then phi."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import final

from experiments._given import Given
from nas.experiment import Experiment
from nas.space import Json
from nas.tree import Chain, Node
from search_spaces.ops import Classifier, ConvNormAct, MBConv
from search_spaces.ops.resize import Resize
from search_spaces.scaling import compound, scaled

ALPHA, BETA, GAMMA = (1.0, 1.2, 1.4), (1.0, 1.1, 1.2, 1.3), (1.0, 1.15, 1.3)
"""Depth, width and resolution that the grid tries."""


@final
@dataclass(frozen=True)
class Config:
    """The coefficients of compound scaling for a small base, and the base scaled by them.

    Example: nas run efficientnet --phi 3 --images 12000 --epochs 10
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    width: int = 16
    """Channels of the base's first stage."""
    phi: int = 2
    """Up to which phi the base is scaled."""
    epochs: int = 3
    """Epochs of each network."""
    images: int = 4000
    """Images that train each, 0 for all."""
    seeds: int = 1
    """Trainings of each network."""
    seed: int = 0
    """Of the split and the first training."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Step 1: phi = 1, a grid of alpha, beta, gamma with alpha beta^2 gamma^2 near 2. Step 2: keep them, raise phi."""
    data = run.data(config.data)
    shape, terms = data.info.input, {"epochs": config.epochs, "images": config.images, "seeds": config.seeds}
    base = _base(data.info.classes, config.width)
    grid = {_name(t): _scaled(base, shape, 1, *t) for t in product(ALPHA, BETA, GAMMA) if _twice(*t)}
    tried = Given(grid, shape).rate(run, data, study="grid", **terms)
    best = max((t for t in product(ALPHA, BETA, GAMMA) if _twice(*t)), key=lambda t: tried[_name(t)]["accuracy"] or 0.0)
    sizes = {f"phi{phi}": _scaled(base, shape, phi, *best) for phi in range(config.phi + 1)}
    raised = Given(sizes, shape).rate(run, data, study="phi", **terms)
    named = dict(zip(("alpha", "beta", "gamma"), best, strict=True))
    return {"coefficients": named, "grid": tried, "scaled": raised}


def _base(classes: int, width: int) -> Node:
    """Two inverted bottlenecks on each of three image sizes."""
    body: dict[str, Node] = {"stem": ConvNormAct(width, 3, 2, act="silu")}
    for s, channels in enumerate((width, 2 * width, 4 * width), 1):
        first = MBConv(channels, 3, 4, stride=1 if s == 1 else 2)
        body[f"stage{s}"] = Chain.of(block1=first, block2=MBConv(channels, 3, 4))
    return Chain.of(**body, classifier=Classifier(classes))


def _scaled(base: Node, shape: tuple[int, int, int], phi: int, alpha: float, beta: float, gamma: float) -> Node:
    """The base scaled by its coefficients to the power phi; the images are resized in front of it."""
    network, new = scaled(base, shape, compound(phi, alpha, beta, gamma), rounding="efficientnet")
    return Chain.of(resize=Resize(new[1]), network=network) if new != shape else Chain.of(network=network)


def _twice(alpha: float, beta: float, gamma: float) -> bool:
    return abs(alpha * beta**2 * gamma**2 - 2) <= 0.2


def _name(coefficients: tuple[float, float, float]) -> str:
    return "_".join(f"{word}{100 * value:.0f}" for word, value in zip("dwr", coefficients, strict=True))
