"""Balanced Mixture of SuperNets for the places of poolings (Roshtkhari et al. 2023, arXiv:2306.11982)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import final

import numpy as np

from experiments._agreement import agreement
from nas.evaluators.mixed import Mixed
from nas.experiment import Experiment
from nas.oneshot import some
from nas.problem import Problem
from nas.space import Json
from nas.training import Recipe
from nas.training.mixture import GATE, Mixture


@final
@dataclass(frozen=True)
class Config:
    """Where a residual network halves the image, ranked by one supernet and by a balanced mixture of several.

    Example: nas run pooling_mixture --models 1 2 4 8 --epochs 30 --check 16
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`; CIFAR-10 in the paper."""
    images: int = 5000
    """Images of a training, 0 for all; those of a mixture train in half, and the other half moves its gate."""
    widths: tuple[int, ...] = (4, 8, 16)
    """Channels of the groups of three blocks: 16 32 64 in the paper."""
    models: tuple[int, ...] = (1, 4)
    """Supernets of each mixture."""
    balanced: bool = True
    """Whether all supernets of a mixture get as many steps."""
    epochs: int = 6
    """Of a mixture: 100 in the paper."""
    alone: int = 1
    """Epochs of a network that is trained alone."""
    check: int = 8
    """Networks trained alone, to see how far the ratings can be trusted: in the paper all 36."""
    seed: int = 0
    """Of the split, the supernets and the networks trained alone."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Networks trained alone, then each mixture, which rates all networks."""
    data, shape = run.data(config.data), {"widths": config.widths, "depths": [3] * len(config.widths)}
    # Alone, a network's norms learn; in a mixture they know the batch and nothing else. The choices are the same.
    problem, shared = (Problem(run.space("pooling", data, norm=norm, **shape)) for norm in ("batch", "plain"))
    truth = run.scratch(problem.space, data, epochs=config.alone, images=config.images)
    drawn = some(problem, config.check, np.random.default_rng(config.seed))
    real = {arch: m["accuracy"] for arch, m in run.rate(problem, drawn, truth, study="check").items()} if drawn else {}
    recipe = Recipe(config.epochs, lr=0.1, weight_decay=0.0, warmup=0.0, label_smoothing=0.0)
    found: dict[str, Json] = {"networks": problem.space.size}
    for count in config.models:
        method, study = Mixture(count, balanced=config.balanced), f"mixture-{count}"
        folder = run.shared(shared, data, method, recipe=recipe, images=config.images, study=study)
        rate = Mixed(run.inherited(shared.space, data, folder, calibration=0, images=256))
        ratings = run.rate(problem, list(problem.space), rate, study=f"{study}-ratings")
        rated = {arch: m["accuracy"] for arch, m in ratings.items()}
        best = max(rated, key=rated.__getitem__)
        alone = run.rate(problem, [best], truth, study=f"{study}-best")[best]["accuracy"]
        found[study] = {
            "best": problem.space.spell(best),
            "rated": rated[best],
            "alone": alone,
            "seconds": run.timed(study),
            "shares": json.loads((folder / GATE).read_text(encoding="utf-8"))["shares"],
            **agreement(problem, rated, real),
        }
    # What else a mixture's training pays for: it learns from half of the images, and looks at the others.
    tried = [real[arch] for arch in drawn[: max(1, round(config.epochs * 2 / 3 / config.alone))] if arch in real]
    return {**found, "random": max(tried, default=None)}
