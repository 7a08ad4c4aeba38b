"""Which trials are the best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nas.budgets import lengths
from nas.objectives import mean_of
from nas.problem import Problem, State, Trial
from nas.space import Architecture


def averaged(trials: Iterable[Trial]) -> list[Trial]:
    """One done trial for each architecture and budget: the first, with the mean of what its evaluations said."""
    same: dict[tuple[Architecture, int | None], list[Trial]] = {}
    for trial in trials:
        if trial.state is State.DONE:
            same.setdefault((trial.arch, trial.proposal.budget), []).append(trial)
    return [replace(some[0], metrics=mean_of([t.metrics for t in some])) for some in same.values()]


def best_of(problem: Problem, trials: list[Trial], count: int = 1) -> list[Trial]:
    """The best done trials, best first; for several objectives the front first, then what it dominates.

    Of trials of several budgets those of the largest come first, whatever the others reached. An architecture that was
    rated several times stands there once: the first trial of its largest budget, with the means.
    """
    rated = [t for t in averaged(trials) if problem.rates(t.metrics)]
    ranked: list[Trial] = []
    for left in lengths(rated):
        while left and len(ranked) < count:
            front = problem.front(left)
            ranked += front
            chosen = {t.id for t in front}
            left = [t for t in left if t.id not in chosen]  # noqa: PLW2901  # what is left of it
    return ranked[:count]
