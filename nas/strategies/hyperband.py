"""Hyperband (Li et al. 2018, arXiv:1603.06560, algorithm 1): brackets that begin at every budget in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import final

from nas.budgets import Ladder
from nas.problem import Problem, Proposal, Trial
from nas.roles import Strategy
from nas.space import Rng
from nas.strategies.halving import Bracket, Brackets
from nas.strategies.random import Random


def starts(ladder: Ladder) -> list[tuple[int, int]]:
    """The brackets of a round: how many candidates, and at which budget they begin; the most and shortest first.

    Bracket s has n = ceil((s_max + 1) / (s + 1) * eta^s) candidates, and s promotions (algorithm 1, line 3).
    """
    count = len(ladder)
    return [(-(-count * ladder.above(k).whole // (count - k)), budget) for k, budget in enumerate(ladder.budgets)]


def bracket(problem: Problem, ladder: Ladder, number: int) -> Bracket:
    """The bracket of a number, from 0; round after round."""
    k = number % len(ladder)
    return Bracket(problem, ladder.above(k), starts(ladder)[k][0])


@final
class Hyperband:
    """Successive halving from every budget in turn, so that those who are slow at first have their chance as well.

    make: the strategy inside; there is one for each budget, which gives the candidates of the brackets that begin there
    and is told of every result of that budget and of no others, so that what it is told compares (as DEHB keeps a
    population a budget: Awad et al. 2021, arXiv:2105.09821). Raises ValueError for several objectives.
    """

    def __init__(
        self,
        make: Callable[[], Strategy],
        problem: Problem,
        *,
        least: int = 1,
        most: int = 81,
        eta: int = 3,
        budgets: Sequence[int] = (),
    ) -> None:
        self._ladder = Ladder.of(least, most, eta, budgets)
        self._inside = {budget: make() for budget in self._ladder.budgets}
        self._brackets = Brackets(partial(bracket, problem, self._ladder))

    @staticmethod
    def random(problem: Problem, *, most: int = 81, budgets: Sequence[int] = ()) -> Hyperband:
        """The published one, whose candidates are random."""
        return Hyperband(partial(Random, problem), problem, most=most, budgets=budgets)

    def ask(self, rng: Rng) -> Proposal | None:
        """A promotion from a whole rung, or a new candidate; None where the strategy inside has none."""
        return self._brackets.ask(lambda budget: self._inside[budget].ask(rng))

    def tell(self, trial: Trial) -> None:
        """A rated trial enters its rung; the strategy of its budget learns of it."""
        self._brackets.tell(trial)
        place = self._ladder.rung(trial)
        if place is not None:
            self._inside[self._ladder.budgets[place]].tell(trial)
