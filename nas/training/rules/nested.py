"""A chain of networks of which each holds the ones before it (Valipour et al. 2023, arXiv:2309.00255, SortedNet)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.errors import INFEASIBLE, UserError
from nas.problem import Problem
from nas.space import Architecture, Rng
from nas.training.rules.extremes import by_size, extremes
from nas.training.rules.rule import Moment, Pass, Step
from nas.tree import Choice, Refused


@final
@dataclass(frozen=True)
class Sorted:
    """Nested sub-models, of which a step draws `passes` different ones, each as likely.

    count: of the chain, from all numbers at their smallest to all at their largest. The mean of the gradients is taken,
    (1/passes) * sum_k grad L(x; theta(b_k)), so that a step is as long whatever `passes` is. The paper draws each
    alone; without repeats the mean is the same, and passes = count is the gradient of the mean loss of all.
    """

    count: int = 8
    passes: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.passes <= self.count:
            raise UserError(
                f"sorted: passes must lie in [1, count], got {self.passes} of {self.count}", fix="the default is 2 of 8"
            )

    def __call__(self, problem: Problem, at: Moment, rng: Rng) -> Step:
        """Some of the chain."""
        models = self.chain(problem)
        drawn = rng.choice(len(models), size=min(self.passes, len(models)), replace=False)
        return Step(tuple(Pass(models[k], 1 / len(drawn)) for k in drawn))

    def chain(self, problem: Problem) -> tuple[Architecture, ...]:
        """The sub-models, smallest first; those that break a limit are left out, equal ones stand once.

        At t in [0, 1] a choice of numbers takes its option number round(t * (options - 1)), counted from the smallest.
        Options of other choices hold one another not, so the largest network's are kept. UserError where none is left.
        """
        space = problem.space
        if not any(len(by_size(choice)) > 1 for choice in space.choices.values()):
            raise UserError(f"the networks of {space.name} are not nested: it has no choice of numbers")
        last = extremes(problem).largest
        found: dict[Architecture, None] = {}
        for k in range(self.count):
            t = k / (self.count - 1) if self.count > 1 else 1.0
            try:
                arch = space.decide(lambda choice, t=t: _pick(choice, t, last))  # type: ignore[misc]  # the default binds the loop's value
            except Refused:
                continue
            if not problem.screen(arch).broken:
                found[arch] = None
        if not found:
            raise UserError(f"no sub-model of the chain through {space.name} keeps the limits", code=INFEASIBLE)
        return tuple(found)


def _pick(choice: Choice, t: float, last: Architecture) -> int:
    if order := by_size(choice):
        return order[round(t * (len(order) - 1))]
    return choice.index(last.labels[choice.name]) if choice.name in last.labels else 0
