"""Small spaces, what a rule says of a step, and short trainings: for the tests of rules and of what they lead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import nas
from nas.problem import Problem
from nas.training import Recipe
from nas.training.carry import carry
from nas.training.loop import Report
from nas.training.rules import Moment, Pass, Phase, Progressive, Rule, Step
from nas.training.sharing import Sharing
from nas.weights import Supernet
from search_spaces import mobile
from search_spaces.ops import AvgPool, Classifier, Conv, ConvNormAct
from tests.trainings import CPU, INFO, TRAIN, silent

RECIPE = Recipe(epochs=270, lr=0.1)
EACH = 4  # steps an epoch


def over(name: str, *options: int) -> nas.Choice:
    return nas.Choice(name, options)


def space(*items: object, name: str = "test") -> nas.Space:
    return nas.Space(name, nas.Chain.seq(*items, Classifier(3)), (1, 8, 8))


WIRED = space(
    ConvNormAct(over("stem.width", 2, 8, 4), over("stem.kernel", 3, 1)),
    nas.Choice.over("op", pool=AvgPool(3), conv=ConvNormAct(4, over("op.kernel", 1, 3, 5, 7)), skip=nas.Identity()),
    nas.Chain.seq(Conv(4), Conv(4), depth=over("depth", 1, 2)),
)
"""Numbers in no order, an option that opens a further choice, and 3, 2, 3, 4 and 2 options."""
SMALL = mobile((1, 8, 8), 3, widths=(8, 16), multipliers=(0.5, 1.0), depths=(1, 2), kernels=(3, 5), expands=(2, 3))
PROBLEM = Problem(WIRED)


def at(step: int, epochs: int = 270, each: int = EACH) -> Moment:
    return Moment(step, epochs * each, each, replace(RECIPE, epochs=epochs))


def seeded(step: int) -> np.random.Generator:
    return np.random.default_rng((0, step))


def said(rule: Rule, step: int = 0, problem: Problem = PROBLEM, epochs: int = 270, each: int = EACH) -> Step:
    return rule(problem, at(step, epochs, each), seeded(step))


SHORT = Recipe(epochs=4, batch_size=16, lr=0.05)
SHRINK = Progressive((Phase(r"kernel$", share=0.3), Phase("depth|width", share=0.4, passes=2, sort=True)))
SEED = 3


@dataclass(frozen=True)
class Fixed:
    """The same passes each step."""

    passes: tuple[Pass, ...]

    def __call__(self, problem: Problem, at: Moment, rng: np.random.Generator) -> Step:
        return Step(self.passes)


def session(rule: Rule, recipe: Recipe = SHORT, some: nas.Space = WIRED) -> Sharing:
    return Sharing(Supernet(some), rule, Problem(some), TRAIN, INFO, recipe, seed=SEED, device=CPU)


def carried(one: Sharing, folder: Path, report: Report = silent) -> tuple[str, ...]:
    return carry(one, seed=SEED, device=CPU, folder=folder, report=report)[1]


def trained(rule: Rule, folder: Path, recipe: Recipe = SHORT) -> Supernet:
    one = session(rule, recipe)
    carried(one, folder)
    return one.supernet


def same(a: Supernet, b: Supernet) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
