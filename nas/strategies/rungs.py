"""A rung: what was rated at one budget, from which the best climb on."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from typing import TypeAlias, final

from nas.problem import Problem, Proposal, State, Trial
from nas.space import Architecture

Key: TypeAlias = tuple[float, float, int, str]
"""What a rung is sorted by: broken limits, the value turned, then the older first."""


@final
class Rung:
    """What was rated at one budget, the best first; each architecture once, however often it was told.

    A repeat does not enter: its network stands here already. Entering and leaving take O(log n) comparisons.

    Raises ValueError for several objectives.
    """

    def __init__(self, problem: Problem) -> None:
        if len(problem.objectives) != 1:
            raise ValueError(f"one objective ranks a rung, got {len(problem.objectives)}; NSGA2 takes several")
        self._problem = problem
        self._keys: list[Key] = []
        self._rated: dict[Architecture, tuple[Key, Trial]] = {}
        self._waiting: list[tuple[Key, Architecture]] = []
        self._gone: set[Architecture] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def enter(self, trial: Trial, *, new: bool = True) -> None:
        """Take in a rated trial; what is told again is mended. new: False mends alone."""
        if trial.state is State.REPEAT or not self._problem.rates(trial.metrics):
            return
        known = self._rated.get(trial.arch)
        if known is None and not new:
            return
        if known is not None:
            if known[1].id != trial.id:
                return
            del self._keys[bisect_left(self._keys, known[0])]
        metrics = trial.metrics
        key = (self._problem.violation(metrics), -self._problem.value(metrics)[0], trial.id, trial.arch.key)
        insort(self._keys, key)
        self._rated[trial.arch] = key, trial
        heapq.heappush(self._waiting, (key, trial.arch))

    def leave(self, arch: Architecture) -> None:
        """An architecture was promoted."""
        self._gone.add(arch)

    def promote(self, places: int) -> Trial | None:
        """The best that was not promoted yet, if it is among the best `places`."""
        while self._waiting:
            key, arch = self._waiting[0]
            if arch not in self._gone and self._rated[arch][0] == key:
                if bisect_left(self._keys, key) >= places:
                    return None
                self._gone.add(arch)
                return self._rated[arch][1]
            heapq.heappop(self._waiting)
        return None


def promoted(trial: Trial, budget: int) -> Proposal:
    """The proposal that goes on with a trial's training."""
    return Proposal(trial.arch, budget, trial.id, {"by": "promoted"})
