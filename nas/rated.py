"""What a predictor may learn from a run: its trials that can be compared, a value for each architecture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from nas.best import averaged
from nas.budgets import length
from nas.errors import INFEASIBLE, UserError
from nas.finding import Finding
from nas.problem import State, Trial
from nas.roles import Array
from nas.space import Architecture

FEWEST = 3
"""Trained networks that a predictor needs."""
ENOUGH = 10
"""So many of one length, and shorter trials are left alone."""


@final
@dataclass(frozen=True, eq=False)
class Rated:
    """Architectures and what each is worth, (n,), larger is better; notes: which trials were left out, and why."""

    archs: list[Architecture]
    y: Array
    notes: tuple[str, ...] = ()


def rated(finding: Finding, study: str = "search") -> Rated:
    """The done trials of a study that a predictor learns from, evaluations of one architecture averaged.

    Of trials of several lengths those of the longest that ENOUGH had, else of the one that most had, for short and long
    trainings are not compared. UserError where there are too few, or they say nothing of which is better.
    """
    problem, trials = finding.settings.problem, finding.run.trials(study)
    done = [t for t in trials if t.state is State.DONE]
    finite = [t for t in done if problem.rates(t.metrics) and math.isfinite(problem.value(t.metrics)[0])]
    more = f"nas resume {finding.folder} --trials {max(20, 2 * len(trials))}"
    if not done:
        raise UserError(finding.nothing(study), fix=f"see nas show {finding.folder}, then {more}", code=INFEASIBLE)
    same, notes = _length(finite)
    kept = averaged(same)
    if len(kept) < FEWEST:
        lost = f", {len(done) - len(finite)} of them without a finite rating" if len(finite) < len(done) else ""
        trained = "1 done trial" if len(done) == 1 else f"{len(done)} done trials"
        differ = f", {len(kept)} different networks" if len(kept) < len(finite) else ""
        what = f"the run {finding.folder} has {trained}{lost}{differ}; a predictor needs {FEWEST}"
        raise UserError(what, fix=more, code=INFEASIBLE)
    y = np.array([problem.value(t.metrics)[0] for t in kept])
    if np.ptp(y) == 0:
        what = f"all {len(kept)} trained networks of {finding.folder} reached {abs(y[0]):.4f}: no order can be learnt"
        raise UserError(what, fix=f"train others, or longer: {more}", code=INFEASIBLE)
    if len(finite) < len(done):
        notes.append(f"{len(done) - len(finite)} done trials without a finite rating are left out")
    return Rated([t.arch for t in kept], y, tuple(notes))


def _length(trials: list[Trial]) -> tuple[list[Trial], list[str]]:
    """The trials of one length, and what is said of it where there are several."""
    found: dict[float, list[Trial]] = {}
    for trial in trials:
        found.setdefault(length(trial), []).append(trial)
    if len(found) < 2:
        return trials, []
    enough = [epochs for epochs, some in found.items() if len(averaged(some)) >= ENOUGH]
    taken = max(enough) if enough else max(found, key=lambda epochs: (len(averaged(found[epochs])), epochs))
    said = "all epochs" if math.isinf(taken) else f"{taken:g} epochs"
    count = len(averaged(found[taken]))
    return found[taken], [f"of trainings of {len(found)} lengths, those of {said} count: {count} networks"]
