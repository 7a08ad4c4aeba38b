"""What a policy and others draw at one budget: the best of each, and whether draws became better and more alike."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

from experiments._beats import beats
from nas.experiment import Experiment
from nas.problem import Problem, Trial
from nas.roles import Evaluator, Strategy
from nas.space import Architecture, Json

MARK = 2**31
"""What parts the seeds of the searches, so that no two begin with the same draws."""


def drawn(
    run: Experiment,
    problem: Problem,
    evaluate: Evaluator,
    strategies: Mapping[str, Strategy],
    *,
    trials: int,
    epochs: int,
) -> tuple[dict[str, Architecture], dict[str, Json]]:
    """The best architecture of each strategy after so many networks were trained, and how its search went."""
    best, told, late = dict[str, Architecture](), dict[str, Json](), dict[str, list[float]]()
    for k, (name, strategy) in enumerate(strategies.items()):
        asked: dict[str, Any] = {"trials": trials, "study": name, "epochs": epochs, "seed": run.seed + k * MARK}
        found = run.search(problem, strategy=strategy, evaluate=evaluate, **asked)
        every = sorted(run.run.trials(name), key=lambda trial: trial.id)
        reached = [problem.value(trial.metrics)[0] for trial in every if problem.rates(trial.metrics)]
        late[name] = reached[len(reached) // 2 :]
        if found:
            best[name] = found[0].arch
            halves = [round(mean(some), 4) for some in (reached[: len(reached) // 2], late[name]) if some]
            told[name] = {"best": round(problem.value(found[0].metrics)[0], 4), "mean": halves, **alike(every)}
    taught, chance = (late.get(name, []) for name in list(strategies)[:2])
    return best, {**told, "late draws": beats(taught, chance, run.seed)}


def alike(trials: list[Trial]) -> dict[str, Json]:
    """How many were asked for, how many of them differ, and what a policy left open at first and at last, in nats."""
    left = [float(trial.proposal.note["entropy"]) for trial in trials if "entropy" in trial.proposal.note]
    entropy = {"entropy": [round(left[0], 2), round(left[-1], 2)]} if left else {}
    return {"asked": len(trials), "distinct": len({trial.arch for trial in trials}), **entropy}
