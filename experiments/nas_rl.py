"""Neural Architecture Search with Reinforcement Learning (Zoph and Le 2017, arXiv:1611.01578), convolutions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from experiments._drawn import drawn
from nas.experiment import Experiment
from nas.problem import Problem
from nas.roles import Strategy
from nas.space import Json
from nas.strategies import Random
from nas.strategies.controller import Controller
from nas.strategies.reinforce import Reinforce


@final
@dataclass(frozen=True)
class Config:
    """A recurrent controller writes a network token by token and is taught by REINFORCE; random search beside.

    Example: nas run nas_rl --data digits --trials 60
    """

    data: str = "digits"
    """What is classified: see `nas search --help`."""
    images: int = 0
    """Images that train a network, 0 for all: 45,000 in the paper."""
    layers: int = 3
    """Convolutions of a network: 6 in the paper at first, 2 more every 1,600 networks; they stay as many here."""
    filters: tuple[int, ...] = (2, 4, 8, 12)
    """Channels to choose from: 24 36 48 64 in the paper."""
    trials: int = 70
    """Networks trained by each search: 12,800 in the paper."""
    epochs: int = 4
    """Epochs of each: 50 in the paper."""
    batch: int = 4
    """Networks in each step of the controller: 8 in the paper."""
    rate: float = 0.02
    """Of the controller: 0.0006 in the paper."""
    alone: int = 10
    """Epochs of the best network of each search, at the end."""
    seed: int = 0
    """Of the split, the searches and the trainings."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Draw, train, take the accuracy cubed as the reward, step; then the best of each search is trained for longer."""
    data = run.data(config.data)
    space = run.space("conv_chain", data, layers=config.layers, filters=config.filters)
    problem, controller = Problem(space), replace(Controller.nas_rl(), lr=config.rate)
    taught = Reinforce(
        problem, controller=controller, batch=config.batch, reward=lambda metrics: metrics["accuracy"] ** 3
    )
    evaluate = run.scratch(space, data, epochs=config.epochs, images=config.images)
    strategies: dict[str, Strategy] = {"reinforce": taught, "random": Random(problem)}
    best, told = drawn(run, problem, evaluate, strategies, trials=config.trials, epochs=config.epochs)
    longer = run.scratch(space, data, epochs=config.alone, images=config.images)
    alone = run.rate(problem, list(dict.fromkeys(best.values())), longer, study="alone", epochs=config.alone)
    networks = {
        name: {"alone": round(alone[arch]["accuracy"], 4) if arch in alone else None, "architecture": dict(arch.labels)}
        for name, arch in best.items()
    }
    return {"space": space.size, **told, "found": networks}
