"""Trainings that are measured once, what they reach and how long they take, to be replayed in simulated time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import mean, stdev
from typing import final

from nas.bench.events import Timeline, busy
from nas.build import build
from nas.data import Data
from nas.evaluators.scratch import device_of
from nas.experiment import Experiment
from nas.problem import Metrics, Problem
from nas.roles import Failed, Strategy
from nas.space import Architecture, Json, Space
from nas.training import Diverged, Recipe, fit, seeded

CHUNK = 100
"""Trainings after which they are put by; a run that is stopped goes on from there."""


@final
class Measured:
    """Accuracies and seconds by architecture; one that diverged raises Failed, after its seconds."""

    def __init__(self, rows: Mapping[Architecture, tuple[float | None, float]]) -> None:
        self.rows = dict(rows)

    def value(self, arch: Architecture) -> Metrics:
        """What a training reached."""
        accuracy = self.rows[arch][0]
        if accuracy is None:
            raise Failed("nan", "the training diverged")
        return {"accuracy": accuracy}

    def seconds(self, arch: Architecture) -> float:
        """How long it took, in seconds of one core."""
        return self.rows[arch][1]

    def replayed(
        self, make: Callable[[], Strategy], problem: Problem, workers: int, trials: int, seeds: int
    ) -> list[Timeline]:
        """A search by simulated workers, for each of the first seeds."""
        return [
            busy(make(), problem, self.value, self.seconds, workers, trials=trials, seed=seed) for seed in range(seeds)
        ]


def measured(run: Experiment, data: Data, space: Space, archs: Sequence[Architecture], recipe: Recipe) -> Measured:
    """The trainings of architectures in this process, one after another."""
    rows: dict[Architecture, tuple[float | None, float]] = {}
    for start in range(0, len(archs), CHUNK):
        some = archs[start : start + CHUNK]
        made: Json = run.once(f"measured-{start}", partial(_trained, data, space, some, recipe, run.seed))
        rows.update({arch: (row[0], row[1]) for arch, row in zip(some, made, strict=True)})
    return Measured(rows)


def summary(lines: Sequence[Timeline], good: float) -> dict[str, Json]:
    """The means over searches; reward: of the last 100 told, with their spread; quality: the mean of 50 is good."""
    last = [float(line.rewards()[0][-100:].mean()) for line in lines]
    times = [line.reached(good, 50) for line in lines]
    return {
        "reward": round(mean(last), 4),
        "spread": round(stdev(last), 4) if len(last) > 1 else 0.0,
        "best": round(mean(float(line.rewards()[0].max()) for line in lines), 4),
        "seconds_to_quality": [None if t is None else round(t, 2) for t in times],
        "seconds": round(mean(line.wall for line in lines), 2),
        "utilisation": round(mean(line.full for line in lines), 4),
        "unique": round(mean(line.unique for line in lines)),
        "ended": sorted({line.ended for line in lines}),
    }


def _trained(data: Data, space: Space, archs: Sequence[Architecture], recipe: Recipe, seed: int) -> list[Json]:
    """For each architecture its accuracy, None where it diverged, and its seconds of one core.

    The first one is trained twice: its first time is that of a cold start.
    """
    made: list[Json] = []
    device = device_of()
    for arch in (archs[0], *archs):
        start = time.process_time()
        with seeded(seed):
            module = build(space.network(arch), space.input).to(device)
        try:
            rest: Json = {"seed": seed, "device": device, "folder": None, "report": lambda *_: None}
            reached = fit(module, data.train, data.validation, data.info, recipe, **rest).metrics["accuracy"]
        except Diverged:
            reached = None
        made.append([reached, time.process_time() - start])
    return made[1:]
