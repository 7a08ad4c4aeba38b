"""The number that a strategy of one objective learns from."""

from __future__ import annotations

import math
from collections.abc import Callable

from nas.problem import Metrics, Problem, State, Trial


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
