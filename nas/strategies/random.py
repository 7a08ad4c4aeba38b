"""Random search: the measure of every other strategy."""

from __future__ import annotations

from typing import final

from nas.problem import Problem, Proposal, Trial
from nas.space import Rng


@final
class Random:
    """Draws members that keep the limits, independently of what it is told."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def ask(self, rng: Rng) -> Proposal | None:
        """A random member."""
        return Proposal(self._problem.sample(rng))

    def tell(self, trial: Trial) -> None:
        """Nothing is learnt."""
