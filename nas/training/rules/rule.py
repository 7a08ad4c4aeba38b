"""What a path rule is: which sub-networks learn in a step of a supernet's training, and from what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

from nas.problem import Problem
from nas.space import Architecture, Rng
from nas.training.recipe import Recipe, rate


@final
@dataclass(frozen=True)
class Moment:
    """When a step is taken: step (from 0) of so many, of which `each` make an epoch, under this recipe."""

    step: int
    steps: int
    each: int
    recipe: Recipe

    def rate(self, step: int | None = None) -> float:
        """The learning rate that the recipe gives a step, by default this one."""
        now = self.step if step is None else step
        return rate(now, self.steps, peak=self.recipe.peak, warmup=self.recipe.warmup)


@final
@dataclass(frozen=True)
class Pass:
    """One sub-network's share of a step.

    weight: of its gradient in the step's sum. labels, soft: weights of the loss on the labels, and of the one on the
    softened outputs of a teacher: of the last pass before it in this step that `teaches`, else of the kept weights.
    part: (k, n) for the k-th of n equal parts of the batch; (0, 1) for all of it, as one that teaches must have.
    """

    arch: Architecture
    weight: float = 1.0
    labels: float = 1.0
    soft: float = 0.0
    teaches: bool = False
    part: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if self.teaches and self.part != (0, 1):
            raise ValueError(f"a pass over part {self.part} of a batch cannot teach the others, which need all of it")


@final
@dataclass(frozen=True)
class Step:
    """What a rule decides for one step of the optimiser.

    rate: the learning rate, None for the recipe's. keep: first keep the weights as they are as the teacher, with this
    architecture. sort: first order the channels by importance, so that leading ones matter most.
    """

    passes: tuple[Pass, ...]
    rate: float | None = None
    keep: Architecture | None = None
    sort: bool = False


class Rule(Protocol):
    """Says which sub-networks learn in a step. A frozen dataclass of plain values; picklable, with no state."""

    def __call__(self, problem: Problem, at: Moment, rng: Rng) -> Step:
        """The passes of a step; rng: of this step alone.

        Members of the problem's space; what is drawn at random keeps its limits, the ends of the space may not.
        """
