"""Shared weights in a run: trained once, on one worker; and what the ratings by them are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nas.alone import alone
from nas.evaluators import Source
from nas.evaluators.oneshot import OneShot
from nas.options import Screen
from nas.problem import Metrics, Problem, Proposal
from nas.ranking import LEAST, trust
from nas.roles import Executor, Needs, Task
from nas.run import Run
from nas.space import Architecture, Json, Rng
from nas.training import Recipe
from nas.training.sharing import Method


def trained(
    run: Run,
    screen: Screen,
    worker: Callable[[], Executor],
    problem: Problem,
    source: Source,
    recipe: Recipe,
    method: Method,
    *,
    seed: int,
    study: str = "supernet",
    needs: Needs = Needs(),  # noqa: B008  # a frozen value
) -> Path:
    """The folder of shared weights that a method trains on the training images; once, or it goes on where it stopped.

    worker: makes the executor of one worker, which is closed again. The run's facts say of which space they are.
    """
    folder, space = run.folder.resolve() / study, problem.space
    run.once(f"{study}.of", lambda: {"space": space.name, "settings": dict(space.settings), "data": asdict(source)})
    if run.store.fact(study) is not None:
        return folder
    runs = worker()
    screen.phase(f"training the {study}", 0)
    arch = problem.sample(np.random.default_rng(seed))
    title = f"{run.folder.name} / {study}"
    evaluate = OneShot(problem, source, recipe, method)
    task = Task(0, title, evaluate, Proposal(arch), seed, folder, needs=needs, epochs=recipe.epochs)
    try:
        metrics = alone(
            runs,
            task,
            lambda epoch: screen.epoch(epoch, recipe.epochs),
            what=f"the training of the {study}",
            fix="give the same command again to go on",
        )
    finally:
        runs.close()
    run.store.put(study, dict(metrics))
    return folder


def some(problem: Problem, count: int, rng: Rng) -> list[Architecture]:
    """Different random members, as many as there are up to `count`; two that make the same network count once."""
    found: dict[str, Architecture] = {}
    for _ in range(50 * count):
        arch = problem.sample(rng)
        if not problem.screen(arch).broken:
            found.setdefault(problem.screen(arch).same, arch)
        if len(found) == count:
            break
    return list(found.values())


def judged(
    problem: Problem,
    real: Mapping[Architecture, Metrics],
    said: Mapping[Architecture, Metrics],
    *,
    score: str = "accuracy",
    seed: int,
) -> dict[str, Json]:
    """How ratings rank networks by what they really reach: Kendall's tau with its interval, beside that of counting.

    real: with "accuracy"; said: with `score`, larger is better. Networks that one of them lacks are left out.
    """
    both = [a for a in real if "accuracy" in real[a] and score in said.get(a, {})]
    if len(both) < LEAST:
        return {"networks": len(both), "verdict": f"too few networks to tell: {len(both)} were rated and trained"}
    counts: dict[str, Any] = {m: [problem.screen(a).metrics[m] for a in both] for m in ("macs", "params")}
    found = trust([said[a][score] for a in both], [real[a]["accuracy"] for a in both], counts, seed=seed)
    return dict(found.json())


def told(check: Mapping[str, Any]) -> str:
    """What a check found, in one line."""
    if "tau" not in check:
        return str(check["verdict"])
    taus = {"the supernet": check["tau"], **check["beside"]}
    each = ", ".join(f"{name} {t['tau']:.2f} [{t['low']:.2f}, {t['high']:.2f}]" for name, t in taus.items())
    return f"Kendall's tau over {check['networks']} networks trained alone: {each}: {check['verdict']}"
