"""Every option learns as often as every other, each step (Chu et al. 2019, arXiv:1907.01845, FairNAS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.problem import DRAWS, Problem
from nas.space import Architecture, Rng
from nas.training.rules.rule import Moment, Pass, Step
from nas.tree import Choice, Refused


@final
@dataclass(frozen=True)
class Fair:
    """Strict fairness (algorithm 1): a step is m passes, m the most options that any choice has.

    Each choice deals its options like cards, in a random order and each once before any comes again: exactly once a
    step where it has m, as equally as possible where it has fewer, or is met in some passes only. The gradients of the
    passes are added, with no division by m, and the optimiser takes one step.

    Limits come first: a pass that breaks one is dealt again from what is left, and where nothing that is left keeps
    them it is a random member.
    """

    def __call__(self, problem: Problem, at: Moment, rng: Rng) -> Step:
        """So many passes as the widest choice has options."""
        most = max((len(choice.options) for choice in problem.space.choices.values()), default=1)
        left: dict[str, set[int]] = {}
        return Step(tuple(Pass(_dealt(problem, left, rng)) for _ in range(most)))


def _dealt(problem: Problem, left: dict[str, set[int]], rng: Rng) -> Architecture:
    """A member of options that are left, which are then no longer there; left: by choice, refilled where empty."""
    for _ in range(DRAWS):
        taken: dict[str, int] = {}

        def pick(choice: Choice, taken: dict[str, int] = taken) -> int:
            there = sorted(left.get(choice.name) or range(len(choice.options)))
            taken[choice.name] = there[int(rng.integers(len(there)))]
            return taken[choice.name]

        try:
            arch = problem.space.decide(pick)
        except Refused:
            continue
        if not problem.screen(arch).broken:
            for name, k in taken.items():
                left[name] = (left.get(name) or set(range(len(problem.space.choices[name].options)))) - {k}
            return arch
    return problem.sample(rng)
