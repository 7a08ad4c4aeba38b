"""BANANAS: Bayesian optimisation with a predictor and mutations (White et al. 2021, arXiv:1910.11858, algorithm 1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import final

import numpy as np

from nas.problem import Problem, Proposal, Trial
from nas.roles import Predictor
from nas.space import Architecture, Rng
from nas.strategies.generations import fresh
from nas.strategies.rated import Told


@final
class Bananas:
    """Random members at first; then mutations of the best, those that a predictor rates best in a random draw.

    The draw is independent Thompson sampling: each candidate's value from the normal of its mean and deviation. first:
    random members; step: how many are taken from one list of candidates, after which the predictor learns anew;
    parents: how many of the best are mutated in turn, the best first, until there are `candidates`. Defaults are those
    of the released code, whose mutations change a choice with a probability, while these change one.
    predictor: makes one; in the paper an ensemble of networks on paths. Raises ValueError for several objectives.
    """

    slow = True

    def __init__(
        self,
        problem: Problem,
        predictor: Callable[[], Predictor],
        *,
        first: int = 10,
        step: int = 10,
        parents: int = 5,
        candidates: int = 100,
    ) -> None:
        if len(problem.objectives) != 1:
            raise ValueError(f"a predictor rates by one objective, got {len(problem.objectives)}; NSGA2 takes several")
        if first < 3 or min(step, parents) < 1 or candidates < step:
            raise ValueError(
                f"a predictor learns from 3 members and each of its {candidates} candidates may be one of the {step} "
                f"taken, got {first} first ones and {parents} parents"
            )
        self._problem, self._predictor, self._first, self._step = problem, predictor, first, step
        self._parents, self._candidates = parents, candidates
        self._told = Told(problem)
        self._queue: deque[Architecture] = deque()

    def ask(self, rng: Rng) -> Proposal | None:
        """A random member at first, then the next of the candidates that were drawn best."""
        if not self._queue and len(self._told.rated) >= self._first:
            self._queue.extend(self._drawn(rng))
        while self._queue and self._queue[0] in self._told:
            self._queue.popleft()
        note = {"by": "predictor" if self._queue else "random"}
        arch = self._queue.popleft() if self._queue else fresh(self._problem, self._told, rng)
        self._told.add(arch)
        return Proposal(arch, note=note)

    def tell(self, trial: Trial) -> None:
        """A rated trial is learnt from, the first time that its network is told; no other is."""
        self._told.tell(trial)

    def _drawn(self, rng: Rng) -> list[Architecture]:
        """The candidates with the largest values in one draw (section 5.1 of the paper, equation of ITS)."""
        candidates = self._mutated(rng)
        if not candidates:
            return []
        archs = list(self._told.rated)
        said = self._predictor().fit(archs, self._told.values(archs)).predict(candidates)
        order = np.argsort(-rng.normal(said.mean, said.std), kind="stable")
        return [candidates[k] for k in order[: self._step]]

    def _mutated(self, rng: Rng) -> list[Architecture]:
        """New mutations of the best, all those of the best one first."""
        found: dict[Architecture, None] = {}
        for parent in self._told.best(self._parents):
            for _ in range(self._candidates):
                if len(found) >= self._candidates:
                    break
                child = self._problem.mutate(parent, rng)
                if child not in self._told and not self._problem.screen(child).broken:
                    found[child] = None
        return list(found)
