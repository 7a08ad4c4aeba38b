"""ViT-ResNAS (Liao et al. 2021, arXiv:2109.00642): several sub-networks a pass, then evolution under a MACs limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from experiments._oneshot import between, checked, named, searched
from nas.experiment import Experiment
from nas.problem import Problem, at_most
from nas.roles import Strategy
from nas.space import Json
from nas.strategies import Random
from nas.strategies.generations import Generations
from nas.training import Recipe
from nas.training.rules import Multi
from nas.training.sharing import ByRule


@final
@dataclass(frozen=True)
class Config:
    """Multi-architectural sampling beside one sub-network a batch, then the search.

    Example: nas run vit_resnas --epochs 20 --parts 1 4
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    images: int = 3000
    """Images that train, 0 for all."""
    embeds: tuple[int, ...] = (32, 24, 16)
    """Widths of the first stage, doubled in each next one: 256 224 192 176 160 in the paper's Tiny."""
    blocks: int = 2
    """Of each stage, every second of which may be skipped: 6 in the paper's Tiny."""
    patch: int = 4
    """Pixels on the side of a patch: 14 in the paper, for images of 224."""
    epochs: int = 6
    """Of each super-net: 120 in the paper."""
    parts: tuple[int, ...] = (1, 4)
    """Sub-networks a batch, one training for each number: parts of 64 images in the paper."""
    share: float = 0.6
    """The limit on MACs, as a share of the largest network's: 0.51 in the paper's Tiny."""
    trials: int = 30
    """Networks rated by inherited weights, by each strategy: 500 random ones and 20 rounds of 150 in the paper."""
    alone: int = 3
    """Epochs of a network trained alone: 300 in the paper."""
    check: int = 8
    """Networks trained alone, to see how far the ratings can be trusted."""
    seed: int = 0
    """Of the split, the super-nets and the search."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Split each batch, train a random sub-network on each part; evolve the inherited ones below the limit."""
    data = run.data(config.data)
    wide = [[k * e for e in config.embeds] for k in (1, 2, 4)]
    features = {"embeds": wide, "mlps": [[4 * e for e in row] for row in wide], "blocks": [config.blocks] * 3}
    heads = {"heads": [[2, 1], [4, 2], [4, 2]], "head_dims": [16, 16, 32]}
    space = run.space("vit_resnas", data, patch=config.patch, stem=8, **features, **heads)
    free, recipe = Problem(space), Recipe(epochs=config.epochs, optimiser="adamw", lr=2e-3, weight_decay=0.05, ema=0.0)
    made: dict[str, Json] = {}
    for count in config.parts:
        folder = run.shared(
            free, data, ByRule(Multi(count), {}), recipe=recipe, images=config.images, study=f"parts-{count}"
        )
        rate = run.inherited(space, data, folder, images=2000)
        reached = named(run, free, rate, between(free), f"parts-{count}-ratings")
        made[f"{count} a batch"] = {**reached, "spread": round(max(reached.values()) - min(reached.values()), 4)}
    largest = free.screen(between(free)["largest"]).metrics["macs"]
    problem = Problem(space, constraints=(at_most("macs", config.share * largest),))
    evolution = Generations(problem, first=10, size=10, parents=5, mutations=5, crossovers=5, probability=0.3)
    strategies: dict[str, Strategy] = {"evolution": evolution, "random": Random(problem)}
    found = searched(run, problem, data, rate, config, strategies)
    return {**made, **found, "check": checked(run, free, data, rate, config)}
