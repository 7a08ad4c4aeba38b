"""The largest, the smallest and some between (Yu and Huang 2019, arXiv:1903.05134, US-Nets)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.errors import UserError
from nas.problem import Problem
from nas.space import Rng
from nas.training.rules.extremes import extremes
from nas.training.rules.rule import Moment, Pass, Step


@final
@dataclass(frozen=True)
class Sandwich:
    """The sandwich rule with in-place distillation (algorithm 1).

    The largest network learns from the labels; the smallest one and count - 2 random ones, within the problem's limits,
    from its softened outputs of the same step alone. Their gradients are added, with no division by count, and the
    optimiser takes one step.
    """

    count: int = 4

    def __post_init__(self) -> None:
        refuse_few(self.count)

    def __call__(self, problem: Problem, at: Moment, rng: Rng) -> Step:
        """The passes, the largest first."""
        return Step(layers(problem, rng, self.count))


def layers(problem: Problem, rng: Rng, count: int, weight: float = 1.0) -> tuple[Pass, ...]:
    """The largest network on the labels, then the smallest and random ones on what it says, at this weight each."""
    ends = extremes(problem)
    others = [ends.smallest, *(problem.sample(rng) for _ in range(count - 2))]
    return Pass(ends.largest, teaches=True), *(Pass(arch, weight, labels=0.0, soft=1.0) for arch in others)


def refuse_few(count: int) -> None:
    """Raise UserError where a sandwich has no two ends."""
    if count < 2:
        raise UserError(f"a sandwich has at least 2 networks, got {count}", fix="US-Nets and BigNAS have 4")
