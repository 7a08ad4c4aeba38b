"""BossNAS: block-wise search by self-supervised ensemble bootstrapping (Li et al. 2021, arXiv:2103.12424)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, final

from experiments._blocks import PAPER, SMALL, against, alone, ends
from nas.evaluators.summed import Summed
from nas.experiment import Experiment
from nas.problem import Problem, at_most
from nas.space import Json
from nas.training import Recipe
from nas.training.blocks import Blockwise


@final
@dataclass(frozen=True)
class Config:
    """Blocks trained in turn without labels, all their paths rated, and the least sum of scores, exactly.

    Example: nas run bossnas --space dna --single --check 16
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    space: Literal["dna", "hytra", "nats_size"] = "dna"
    """Which of the paper's three, at trial scale."""
    paper: bool = False
    """The space as published."""
    images: int = 3000
    """Images that train, 0 for all."""
    epochs: int = 2
    """Of each block: 6 in the paper, 50 for nats_size."""
    batch: int = 64
    """Images a step: 4096 in the paper."""
    rate: float = 0.05
    """Peak learning rate: 4.8 with `lars` in the paper, 0.48 for nats_size."""
    lars: bool = False
    """Layer-wise adaptive rates, as in the paper, for its large batches."""
    pairs: int = 0
    """Random paths a step; 0 for a fair set, and for 4 in hytra, as in the paper."""
    hidden: int = 256
    """Width of projection and predictor: 4096 in the paper."""
    size: int = 64
    """Of a projection: 256 in the paper."""
    population: int = 0
    """Random paths of a block that are trained and rated, 0 for all, as in the paper."""
    single: bool = False
    """Also trains blocks whose paths learn from their own targets alone, and says which ranks better."""
    macs: float = 0.0
    """The chosen network has no more, 0 for no limit."""
    alone: int = 4
    """Epochs of a network trained alone."""
    check: int = 8
    """Networks trained alone, to see how far the scores can be trusted."""
    seed: int = 0
    """Of the split, the blocks and the check."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Train and rate block after block, choose by the sums; then train some networks alone."""
    data, settings = run.data(config.data), (PAPER if config.paper else SMALL)[config.space]
    space, parts = run.space(config.space, data, **settings), ends(config.space, settings)
    pairs = config.pairs or (4 if config.space == "hytra" else 0)
    method = Blockwise(parts, pairs, False, config.population, config.hidden, config.size, lars=config.lars)
    recipe = Recipe(epochs=config.epochs * len(parts), batch_size=config.batch, lr=config.rate, weight_decay=1e-6)
    blocks = run.shared(Problem(space), data, method, recipe=recipe, images=config.images, study="blocks")
    rate = Summed(space, blocks)
    best, score = rate.scores().best((at_most("macs", config.macs),) if config.macs else ())
    found = {"best": space.spell(best), "score": round(score, 4), "seconds": run.timed("blocks")}
    found |= alone(run, data, replace(space, accepts=rate.scores().covers), best, rate, config)
    if config.single:
        study, again = "blocks-single", replace(method, single=True)
        other = run.shared(Problem(space), data, again, recipe=recipe, images=config.images, study=study)
        found["ablation"] = against(run, rate.scores(), Summed(space, other).scores())
    return found
