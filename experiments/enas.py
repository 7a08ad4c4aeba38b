"""Efficient Neural Architecture Search via Parameter Sharing (Pham et al. 2018, arXiv:1802.03268), micro space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from experiments._beats import beats
from experiments._oneshot import RATED, checked
from nas.experiment import Experiment
from nas.problem import Problem
from nas.space import Json
from nas.training import Recipe
from nas.training.enas import Enas, found


@final
@dataclass(frozen=True)
class Config:
    """Shared weights and a policy learn in turn; what the policy draws is held against as many random draws.

    Example: nas run enas --data fashion-mnist --epochs 4 --proposals 10 --check 8
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    images: int = 2600
    """Images that train, a tenth of them the policy, 0 for all: 50,000 in the paper."""
    cells: int = 1
    """Normal cells in each third of the network: 2 in the paper's search."""
    filters: int = 4
    """Channels of the first third: 20 in the paper's search."""
    blocks: int = 2
    """Blocks in a cell: 5 in the paper."""
    epochs: int = 4
    """Turns of the shared weights: 150 in the paper."""
    batch: int = 32
    """Images in a step: 160 in the released code."""
    steps: int = 10
    """Updates of the policy after each epoch: 30 in the paper's search."""
    samples: int = 5
    """Architectures in each of them: 10 in the paper's search."""
    reward: int = 128
    """Held images of each reward: a batch of 160 in the released code."""
    proposals: int = 10
    """Architectures drawn at the end, of the policy and at random."""
    check: int = 8
    """Networks trained alone, to see how far the ratings can be trusted."""
    alone: int = 2
    """Epochs of each: 630 in the paper, for the one it proposes."""
    seed: int = 0
    """Of the split, the supernet, the policy and the search."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Weights and policy in turn; then what the policy draws beside chance, by inherited weights and trained alone."""
    data = run.data(config.data)
    space = run.space("enas", data, cells=config.cells, filters=config.filters, blocks=config.blocks, output="all")
    problem, recipe = Problem(space), Recipe(epochs=config.epochs, batch_size=config.batch, label_smoothing=0.0)
    method = Enas(steps=config.steps, samples=config.samples, images=config.reward, proposals=config.proposals)
    supernet = run.shared(problem, data, method, recipe=recipe, images=config.images)
    rate = run.inherited(space, data, supernet, calibration=512, images=500)
    drawn = {by: found(supernet, space, by) for by in ("policy", "random")}
    rated = {by: run.rate(problem, [arch for arch, _ in some], rate, study=by) for by, some in drawn.items()}
    reached = {by: [metrics["accuracy"] for metrics in some.values()] for by, some in rated.items()}
    train = run.scratch(space, data, epochs=config.alone, images=config.images, rated=RATED)
    best = {by: some[0][0] for by, some in drawn.items()}
    alone = run.rate(problem, list(best.values()), train, study="alone", epochs=config.alone)
    return {
        "best": space.spell(best["policy"]),
        "seconds": run.timed(),
        "entropy": {"policy": run.run.store.fact("supernet").get("entropy"), "uniform": math.log(space.size)},
        "inherited": beats(reached["policy"], reached["random"], config.seed),
        "alone": {by: alone[arch]["accuracy"] for by, arch in best.items()},
        "check": checked(run, problem, data, rate, config),
    }
