"""DeepMAD (Shen et al. 2023, arXiv:2303.02165): a design by the program, beside ResNet-20 and random networks."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal, final

import numpy as np

from experiments._given import Given, residual
from nas import plugins
from nas.experiment import Experiment
from nas.profile import profile
from nas.programs.deepmad.evolution import wander
from nas.programs.deepmad.measure import Batch, measure
from nas.programs.deepmad.presets import SPACES, labels, mobile, resnet, settings
from nas.programs.deepmad.problem import Budgets, Score, Template
from nas.programs.deepmad.solve import solve
from nas.space import Json


@final
@dataclass(frozen=True)
class Config:
    """DeepMAD beside a ResNet-20 of equal MACs and random networks of the same budget.

    Example: nas run deepmad --width 8 --seeds 3
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    width: int = 4
    """Channels of ResNet-20's first stage, which set the MACs: 16 in its paper, for sixteen times the MACs of 4."""
    params: float = 0.0
    """The parameters at most, as a multiple of ResNet-20's; 0 for no limit but that of the MACs."""
    family: Literal["resnet", "mobile"] = "resnet"
    """Of the design and the random networks."""
    rho: float = 0.3
    """The effectiveness at most."""
    seconds: float = 20.0
    """For the solver."""
    random: int = 2
    """Random networks of the same budget."""
    epochs: int = 10
    """Epochs of each network."""
    images: int = 12_000
    """Images that train each, 0 for all."""
    seeds: int = 1
    """Trainings of each network."""
    seed: int = 0
    """Of the split, the solver, the random networks and the first training."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Maximise entropy under the MACs of ResNet-20, looking at no image; then train what came out."""
    data = run.data(config.data)
    reference = residual(data.info.input, data.info.classes, config.width, depth=3, shortcuts="padded")
    total = profile(reference, data.info.input).total
    template = (resnet if config.family == "resnet" else mobile)(data.info.input, data.info.classes)
    score, budgets = Score(), Budgets(total.macs, total.params * config.params or inf, config.rho)
    made = run.once("designs", lambda: _designs(template, score, budgets, config))
    space = plugins.space(SPACES[template.family], **settings(template))
    networks = {name: space.network(space.read(of)) for name, of in made["labels"].items()}
    given = Given({"resnet20": reference, **networks}, data.info.input)
    rated = given.rate(run, data, epochs=config.epochs, images=config.images, seeds=config.seeds)
    values = {name: {"value": round(value, 2)} for name, value in made["values"].items()}
    each = {name: {**values.get(name, {}), **row} for name, row in rated.items()}
    return {"gap": made["gap"], "status": made["status"], **each}


def _designs(template: Template, score: Score, budgets: Budgets, config: Config) -> dict[str, Json]:
    """The program's design, and those of random walks inside the budgets."""
    answer = solve(template, score, budgets, seconds=config.seconds, seed=config.seed)
    walk = wander(template, score, budgets, np.random.default_rng(config.seed), least=0.8)  # none loses by being small
    random = {f"random{k + 1}": walk.design(k, template.head) for k in range(min(config.random, len(walk)))}
    found = {"deepmad": answer.design, **random}
    values = measure(template, score, Batch.of(list(found.values()))).value.tolist()
    made = {name: labels(design) for name, design in found.items()}
    return {"labels": made, "values": dict(zip(made, values, strict=True)), "gap": answer.gap, "status": answer.status}
