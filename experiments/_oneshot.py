"""What the one-shot experiments share: searches on inherited weights at one budget, and what they found, alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from nas.data import Data
from nas.experiment import Experiment
from nas.problem import Problem
from nas.roles import Evaluator, Strategy
from nas.space import Architecture, Json
from nas.training.rules.extremes import by_size, extremes
from nas.tree import Choice

RATED = 2000
"""Validation images that rate a network."""


class Alone(Protocol):
    """What a one-shot experiment's Config says of the networks that are trained alone."""

    @property
    def alone(self) -> int: ...
    @property
    def images(self) -> int: ...
    @property
    def check(self) -> int: ...


class Budget(Alone, Protocol):
    """The same, and how many networks each strategy rates."""

    @property
    def trials(self) -> int: ...


def searched(
    run: Experiment, problem: Problem, data: Data, rate: Evaluator, config: Budget, strategies: Mapping[str, Strategy]
) -> dict[str, Json]:
    """The best of each strategy, by the same number of ratings: what it inherits, and what it reaches trained alone."""
    best = {}
    for k, (name, strategy) in enumerate(strategies.items()):  # other seeds, so that no two begin with the same draws
        seed, trials = run.seed + k * 2**31, config.trials
        done = run.search(problem, strategy=strategy, evaluate=rate, trials=trials, study=name, seed=seed)
        if done:
            best[name] = done[0]
    archs = list(dict.fromkeys(trial.arch for trial in best.values()))
    evaluate = run.scratch(problem.space, data, epochs=config.alone, images=config.images, rated=RATED)
    real = run.rate(problem, archs, evaluate, study="alone", epochs=config.alone)
    return {
        name: {
            "inherits": round(trial.metrics["accuracy"], 4),
            "alone": round(real[trial.arch]["accuracy"], 4) if trial.arch in real else None,
            "macs": int(problem.screen(trial.arch).metrics["macs"]),
            "architecture": dict(trial.arch.labels),
        }
        for name, trial in best.items()
    }


def checked(run: Experiment, problem: Problem, data: Data, rate: Evaluator, config: Alone) -> Json:
    """How far the ratings can be trusted: some networks trained alone, and Kendall's tau."""
    images, count = config.images, config.check
    return run.check(problem, data, rate, count=count, epochs=config.alone, images=images, rated=RATED)


def named(
    run: Experiment, problem: Problem, rate: Evaluator, archs: Mapping[str, Architecture], study: str
) -> dict[str, float]:
    """What given sub-networks reach with the weights that they inherit, by name."""
    rated = run.rate(problem, list(dict.fromkeys(archs.values())), rate, study=study)
    return {name: round(rated[arch]["accuracy"], 4) for name, arch in archs.items() if arch in rated}


def between(problem: Problem) -> dict[str, Architecture]:
    """The smallest network, two that go a third and two thirds of the way, and the largest, by name."""
    ends, space = extremes(problem), problem.space
    low, high = ends.smallest.labels, ends.largest.labels

    def middle(share: float) -> Architecture:
        def pick(choice: Choice) -> int:
            if order := by_size(choice):
                return order[round(share * (len(order) - 1))]
            of = high if share > 1 / 2 else low
            return choice.index(of[choice.name]) if choice.name in of else 0

        return space.decide(pick)

    return {"smallest": ends.smallest, "third": middle(1 / 3), "two thirds": middle(2 / 3), "largest": ends.largest}
