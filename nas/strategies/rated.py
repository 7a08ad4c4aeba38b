"""What a strategy of one objective learns from: a number for each network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import final

import numpy as np

from nas.problem import Metrics, Problem, State, Trial
from nas.roles import Array
from nas.space import Architecture


def rating(problem: Problem, trial: Trial, reward: Callable[[Metrics], float] | None = None) -> float | None:
    """What a trial is worth, larger is better; None where it has no rating, breaks a limit, or is not finite.

    reward: what counts instead of the first objective.
    """
    if trial.state not in (State.DONE, State.REPEAT) or not problem.rates(trial.metrics):
        return None
    if problem.violation(trial.metrics) > 0:
        return None
    value = reward(trial.metrics) if reward else problem.value(trial.metrics)[0]
    return value if math.isfinite(value) else None


@final
class Told:
    """What was asked for and what was told, each network once: two architectures may be one network.

    It holds the architectures whose network was asked for, or told. rated: of each network the first rating, under the
    architecture that had it, in the order of telling.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.rated: dict[Architecture, float] = {}
        self._met: set[str] = set()
        self._learnt: set[str] = set()

    def __contains__(self, arch: object) -> bool:
        return isinstance(arch, Architecture) and self._problem.screen(arch).same in self._met

    def add(self, arch: Architecture) -> None:
        """It was asked for."""
        self._met.add(self._problem.screen(arch).same)

    def tell(self, trial: Trial) -> None:
        """It is known now; where it is rated, and the first of its network, it can be learnt from."""
        network, value = self._problem.screen(trial.arch).same, rating(self._problem, trial)
        self._met.add(network)
        if value is not None and network not in self._learnt:
            self._learnt.add(network)
            self.rated[trial.arch] = value

    def best(self, count: int) -> list[Architecture]:
        """The best that were rated, at equal rating the earlier one first."""
        return sorted(self.rated, key=self.rated.__getitem__, reverse=True)[:count]

    def values(self, archs: list[Architecture]) -> Array:
        """Their ratings."""
        return np.array([self.rated[arch] for arch in archs])
