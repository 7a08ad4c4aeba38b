"""SortedNet (Valipour et al. 2023, arXiv:2309.00255): nested sub-models trained together, and none is searched for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from experiments._oneshot import checked, named
from nas.experiment import Experiment
from nas.problem import Problem
from nas.space import Json
from nas.training import Recipe
from nas.training.rules import Sandwich, Sorted
from nas.training.sharing import ByRule


@final
@dataclass(frozen=True)
class Config:
    """Nested residual networks trained at once, with one or more a step, beside the sandwich and each alone.

    Example: nas run sortednet --count 16 --passes 1 2 4 --epochs 20
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    images: int = 3000
    """Images that train, 0 for all."""
    widths: tuple[int, ...] = (4, 8, 12, 16)
    """Channels of the first stage, doubled in the next two; 16 in ResNet-32, whose sub-models the paper trains."""
    depths: tuple[int, ...] = (1, 2)
    """Blocks of each stage: 5 in ResNet-32."""
    count: int = 6
    """Sub-models in the chain: 160 in the paper."""
    passes: tuple[int, ...] = (1, 2)
    """Sub-models a step, one training for each number; their gradients are averaged."""
    epochs: int = 6
    """Of each training."""
    alone: int = 6
    """Epochs of a sub-model trained alone."""
    check: int = 8
    """Members, most of which are in no chain, trained alone, to see whether the ratings rank them too."""
    seed: int = 0
    """Of the split and the trainings."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Find min over theta of E[L(x; theta(b))], b of the chain; the sandwich with distillation beside it."""
    data = run.data(config.data)
    stages = {"widths": [[k * w for w in config.widths] for k in (1, 2, 4)], "depths": [list(config.depths)] * 3}
    space = run.space("resnet", data, stem="cifar", **stages)
    problem, recipe = Problem(space), Recipe(epochs=config.epochs, ema=0.0)
    chain = Sorted(config.count, 1).chain(problem)
    names = {f"{n + 1} of {len(chain)}": arch for n, arch in enumerate(chain)}
    rules = {f"sorted-{n}": Sorted(config.count, n) for n in config.passes} | {"sandwich-4": Sandwich(4)}
    made: dict[str, Json] = {}
    for name, rule in rules.items():
        folder = run.shared(problem, data, ByRule(rule, {}), recipe=recipe, images=config.images, study=name)
        rate = run.inherited(space, data, folder, images=2000)
        reached = named(run, problem, rate, names, f"{name}-ratings")
        full = reached[f"{len(chain)} of {len(chain)}"]
        made[name] = {**reached, "least share of the full model": round(min(reached.values()) / full, 3)}
        if name == f"sorted-{config.passes[-1]}":
            made["check"] = checked(run, problem, data, rate, config)
    evaluate = run.scratch(space, data, epochs=config.alone, images=config.images, rated=2000)
    return {"alone": named(run, problem, evaluate, names, "alone"), **made}
