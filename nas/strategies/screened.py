"""Any strategy, of whose proposals a predictor lets the best pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np

from nas.problem import Problem, Proposal, State, Trial
from nas.roles import Predictor, Strategy
from nas.space import Architecture, Rng
from nas.strategies.rated import Told


@final
class Screened:
    """Asks the strategy inside for several candidates and proposes the one that a predictor rates best.

    What is dropped is told to the strategy inside as infeasible, under numbers below 0: one that waits for all that it
    asked for goes on, and one that learns from ratings alone takes no notice. A proposal that continues a trial passes.
    first: how many architectures must be rated before; every: how many more before the predictor learns anew;
    candidates: how many are asked for; explore: how many standard deviations are added to what is predicted.
    Raises ValueError for several objectives.
    """

    slow = True

    def __init__(
        self,
        problem: Problem,
        strategy: Strategy,
        predictor: Callable[[], Predictor],
        *,
        first: int = 20,
        every: int = 5,
        candidates: int = 20,
        explore: float = 0.0,
    ) -> None:
        if len(problem.objectives) != 1:
            raise ValueError(f"a predictor rates by one objective, got {len(problem.objectives)}; NSGA2 takes several")
        if first < 3 or every < 1 or candidates < 1:
            raise ValueError(
                f"a predictor learns from 3 or more, of 1 or more it takes the best; got first {first}, every {every}, "
                f"candidates {candidates}"
            )
        self._problem, self._strategy, self._predictor = problem, strategy, predictor
        self._first, self._every, self._candidates, self._explore = first, every, candidates, explore
        self._told = Told(problem)
        self._dropped = 0
        self._model: Predictor | None = None
        self._learnt = 0

    def ask(self, rng: Rng) -> Proposal | None:
        """What the strategy inside proposes, the best by prediction of several once enough is known."""
        if len(self._told.rated) < self._first:
            early = self._strategy.ask(rng)
            return None if early is None else self._noted(early)
        drawn: list[Proposal] = []
        while len(drawn) < self._candidates:
            proposal = self._strategy.ask(rng)
            if proposal is None:
                break
            drawn.append(proposal)
            if proposal.parent is not None:
                return self._passed(drawn, len(drawn) - 1)
        if not drawn:
            return None
        return self._passed(drawn, self._best([p.arch for p in drawn]))

    def tell(self, trial: Trial) -> None:
        """The strategy inside learns, and so does the predictor, of each network once."""
        self._strategy.tell(trial)
        self._told.tell(trial)

    def _best(self, archs: list[Architecture]) -> int:
        """The candidate with the largest prediction among those that were not asked for, or among all."""
        new = [k for k, arch in enumerate(archs) if arch not in self._told] or list(range(len(archs)))
        said = self._fitted().predict([archs[k] for k in new])
        return new[int(np.argmax(said.mean + self._explore * said.std))]

    def _fitted(self) -> Predictor:
        """The predictor, which has learnt from a number of trials that depends on what was told alone."""
        count = self._first + (len(self._told.rated) - self._first) // self._every * self._every
        if self._model is None or count != self._learnt:
            archs = list(self._told.rated)[:count]
            self._model = self._predictor().fit(archs, self._told.values(archs))
            self._learnt = count
        return self._model

    def _passed(self, drawn: list[Proposal], best: int) -> Proposal:
        for k, proposal in enumerate(drawn):
            if k != best:
                self._dropped += 1
                self._strategy.tell(Trial(-self._dropped, proposal, State.INFEASIBLE, reason="a predictor dropped it"))
        return self._noted(drawn[best])

    def _noted(self, proposal: Proposal) -> Proposal:
        self._told.add(proposal.arch)
        return proposal
