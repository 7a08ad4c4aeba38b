"""Spaces in blocks, small enough for a trial, and what a block-wise search is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean

from experiments._oneshot import RATED, Alone
from nas.data import Data
from nas.evaluators.summed import Summed
from nas.experiment import Experiment
from nas.problem import Problem, State
from nas.ranking import LEAST, trust
from nas.space import Architecture, Json, Space
from nas.training.blocks import Scores

SMALL: Mapping[str, Mapping[str, Json]] = {
    "dna": {
        "channels": (8, 12, 16),
        "layers": (2, 2, 2),
        "strides": (2, 2, 1),
        "expands": (4, 1),
        "stem": 8,
        "first": 8,
        "last": 32,
        "head": 64,
    },
    "hytra": {"channels": (16, 24, 32, 48), "layers": 2, "stem": 16, "head_dim": 8},
    "nats_size": {"channels": (2, 4, 8), "project": True},
}
"""Settings at trial scale."""
PAPER: Mapping[str, Mapping[str, Json]] = {"dna": {}, "hytra": {}, "nats_size": {"project": True}}
"""The published settings are the defaults of the spaces; nats_size shares weights with `project` alone."""


def ends(space: str, settings: Mapping[str, Json]) -> tuple[str, ...]:
    """The last item of each block: a stage of dna, `layers` of hytra, and 2, 2 and 1 layers of nats_size."""
    if space == "dna":
        return tuple(f"stage{k}" for k in range(1, len(settings.get("layers", (2, 4, 4, 4, 4))) + 1))
    if space == "hytra":
        each, blocks = settings.get("layers", 4), len(settings.get("scales", (4, 3, 2, 2)))
        return tuple(f"layer{each * k}" for k in range(1, blocks + 1))
    return ("layer2", "layer4", "layer5")


def alone(
    run: Experiment, data: Data, space: Space, best: Architecture, rate: Summed, config: Alone
) -> dict[str, Json]:
    """What the chosen network and random ones reach, trained alone for as long, and how the scores rank these."""
    epochs, images = config.alone, config.images
    check = run.check(
        Problem(space), data, rate, count=config.check, epochs=epochs, images=images, rated=RATED, score="score"
    )
    evaluate = run.scratch(space, data, epochs=epochs, images=images, rated=RATED)
    real = run.rate(Problem(space), [best], evaluate, study="best", epochs=epochs)
    reached = [t.metrics["accuracy"] for t in run.run.trials("check") if t.state in (State.DONE, State.REPEAT)]
    random = {"mean": round(mean(reached), 4), "best": round(max(reached), 4)} if reached else {}
    chosen = round(real[best]["accuracy"], 4) if best in real else None
    return {"chosen": chosen, "random": {"networks": len(reached), **random}, "check": check}


def against(run: Experiment, ours: Scores, other: Scores) -> dict[str, Json]:
    """Whether one set of scores ranks the networks of the check better than another, by one bootstrap of both."""
    both = [t for t in run.run.trials("check") if t.state in (State.DONE, State.REPEAT)]
    if len(both) < LEAST:
        return {"networks": len(both), "verdict": "too few networks to tell"}
    truth = [t.metrics["accuracy"] for t in both]
    found = trust([-ours(t.arch) for t in both], truth, {"single": [-other(t.arch) for t in both]}, seed=run.seed)
    told = "beats" if found.ahead.low > 0 else "is beaten by" if found.ahead.high < 0 else "is not told apart from"
    said = found.json()
    return {
        "tau_single": found.beside["single"].tau,
        "ahead": said["ahead"],
        "verdict": f"the ensemble {told} single-path",
    }
