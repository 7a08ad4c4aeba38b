"""A search by many workers in simulated time: who waits, how busy they are, and when what was found."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nas.problem import Metrics, Problem, Screening, State, Trial
from nas.roles import Array, Failed, Infeasible, Strategy
from nas.space import Architecture

STALLED = 1000
"""Proposals in a row that need no worker, at one moment, after which a strategy is asked again only when time moves."""


@final
@dataclass(frozen=True, eq=False)
class Timeline:
    """What became of a search by virtual workers.

    trials: those that were told, in that order; at: (n,) seconds when each was. spans: (m, 2) seconds from when to when
    each evaluation held a worker, in the order of beginning; one that the end cut short ends there.
    wall: the last second; ended: why.
    """

    problem: Problem
    workers: int
    trials: tuple[Trial, ...]
    at: Array
    spans: Array
    wall: float
    ended: str

    def utilisation(self, start: float = 0.0, stop: float | None = None) -> float:
        """The share of the workers' time, between two moments, in which they evaluate; 0 where no time passes."""
        end = self.wall if stop is None else stop
        inside = np.clip(self.spans, start, end)
        return float((inside[:, 1] - inside[:, 0]).sum() / (self.workers * (end - start))) if end > start else 0.0

    @property
    def full(self) -> float:
        """The utilisation until the last evaluation began: without the tail, in which workers run out of work."""
        return self.utilisation(0.0, float(self.spans[:, 0].max())) if len(self.spans) else 0.0

    @property
    def unique(self) -> int:
        """How many different architectures were told."""
        return len({trial.arch for trial in self.trials})

    def rewards(self) -> tuple[Array, Array]:
        """The first objective of each rated trial, larger is better, and when it was told: (r,), (r,)."""
        told = [(t, s) for t, s in zip(self.trials, self.at, strict=True) if t.state in (State.DONE, State.REPEAT)]
        rated = [(self.problem.value(t.metrics)[0], s) for t, s in told if self.problem.rates(t.metrics)]
        both = np.array(rated, float).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def reached(self, threshold: float, window: int = 1) -> float | None:
        """The first second at which the mean of the last `window` rewards is a threshold or more; None for never."""
        values, at = self.rewards()
        if window < 1 or len(values) < window:
            return None
        sums = np.concatenate(([0.0], np.cumsum(values)))
        means = (sums[window:] - sums[:-window]) / window
        found = np.flatnonzero(means >= threshold - 1e-12)
        return float(at[found[0] + window - 1]) if len(found) else None


def busy(
    strategy: Strategy,
    problem: Problem,
    value: Callable[[Architecture], Metrics],
    seconds: Callable[[Architecture], float],
    workers: int,
    *,
    trials: int | None = None,
    until: float = math.inf,
    seed: int = 0,
) -> Timeline:
    """A search as a study runs it, with the seconds of evaluations added up instead of waited for.

    value: an architecture's metrics; may raise Failed or Infeasible, as an evaluator. seconds: of its evaluation.
    Ends when `trials` of them are done or failed, or after `until` seconds, or when nothing new is proposed. What costs
    no device costs no time: a repeat, and what breaks a limit; a repeat of one that runs waits for it. A free worker
    is given work at once, and of several evaluations that end together the older one is told first.

    Raises ValueError where neither `trials` nor `until` ends it.
    """
    if workers < 1 or (trials is None and not math.isfinite(until)) or (trials is not None and trials < 1):
        raise ValueError(f"give at least one worker, and trials or seconds to end with: {workers}, {trials}, {until}")
    return _Events(strategy, problem, value, seconds, workers, trials, until, seed).run()


@final
class _Events:
    def __init__(
        self,
        strategy: Strategy,
        problem: Problem,
        value: Callable[[Architecture], Metrics],
        seconds: Callable[[Architecture], float],
        workers: int,
        trials: int | None,
        until: float,
        seed: int,
    ) -> None:
        self.strategy, self.problem, self.value, self.seconds = strategy, problem, value, seconds
        self.workers, self.wanted, self.until, self.seed = workers, trials, until, seed
        self.now, self.asked, self.finished, self.free = 0.0, 0, 0, 0
        self.running: dict[int, tuple[Trial, int]] = {}
        self.heap: list[tuple[float, int]] = []
        self.known: dict[tuple[str, int | None, int], Trial] = {}
        self.repeats: dict[int, list[Trial]] = {}
        self.told: list[Trial] = []
        self.at: list[float] = []
        self.spans: list[list[float]] = []

    def run(self) -> Timeline:
        why = ""
        while True:
            why = self.fill()
            if not self.running:
                break
            if self.heap[0][0] > self.until:
                why = "its time is over"
                break
            self.now, number = heapq.heappop(self.heap)
            self.free = 0
            self.end(number)
        if math.isfinite(self.until) and why != "its trials are done":
            self.now = self.until  # nobody works any more, but time goes on
        spans = np.minimum(np.array(self.spans, float).reshape(-1, 2), self.now)
        at = np.array(self.at, float)
        return Timeline(self.problem, self.workers, tuple(self.told), at, spans, self.now, why)

    def fill(self) -> str:
        """Give work to free workers; why no more is given, where some stay free."""
        while len(self.running) < self.workers:
            if self.wanted is not None and self.finished + len(self.running) >= self.wanted:
                return "its trials are done"
            if self.free >= STALLED:
                return f"proposed nothing new {STALLED} times in a row"
            proposal = self.strategy.ask(np.random.default_rng((self.seed, self.asked + 1)))
            if proposal is None:
                return "proposes nothing more"
            self.asked += 1
            self.begin(Trial(self.asked, proposal))
        return ""

    def begin(self, trial: Trial) -> None:
        screening = self.problem.screen(trial.arch)
        first = self.known.get(_name(trial, screening.same))
        self.free += 1
        if screening.broken:
            self.tell(replace(trial, state=State.INFEASIBLE, metrics=screening.metrics, reason=screening.broken))
        elif first is None:
            self.submit(trial, screening)
        elif first.id in self.running:
            self.repeats.setdefault(first.id, []).append(trial)
        else:
            self.repeat(trial, first)

    def submit(self, trial: Trial, screening: Screening) -> None:
        self.free = 0
        took = self.seconds(trial.arch)
        if not 0 < took < math.inf:
            raise ValueError(f"an evaluation takes more than 0 seconds, got {took} for {trial.arch.to_json()}")
        self.known[_name(trial, screening.same)] = trial
        self.running[trial.id] = trial, len(self.spans)
        self.spans.append([self.now, self.now + took])
        heapq.heappush(self.heap, (self.now + took, trial.id))

    def end(self, number: int) -> None:
        trial, place = self.running.pop(number)
        screening = self.problem.screen(trial.arch)
        took = self.spans[place][1] - self.spans[place][0]
        try:
            metrics: Metrics = {**screening.metrics, **self.value(trial.arch)}
            trial = replace(trial, state=State.DONE, metrics=metrics, seconds=took)
        except Infeasible as limit:
            metrics = {**screening.metrics, **limit.metrics}
            trial = replace(trial, state=State.INFEASIBLE, metrics=metrics, reason=limit.reason, seconds=took)
        except Failed as failed:
            metrics = screening.metrics
            trial = replace(trial, state=State.FAILED, metrics=metrics, reason=failed.reason, seconds=took)
        self.known[_name(trial, screening.same)] = trial
        self.finished += trial.state in (State.DONE, State.FAILED)
        self.tell(trial)
        for repeat in self.repeats.pop(trial.id, []):
            self.repeat(repeat, trial)

    def repeat(self, trial: Trial, first: Trial) -> None:
        own = self.problem.screen(trial.arch).metrics
        metrics = {**first.metrics, **own} if first.state is State.DONE else own
        self.tell(replace(trial, state=State.REPEAT, metrics=metrics, reason=f"the network of trial {first.id}"))

    def tell(self, trial: Trial) -> None:
        self.strategy.tell(trial)
        self.told.append(trial)
        self.at.append(self.now)


def _name(trial: Trial, same: str) -> tuple[str, int | None, int]:
    """What two trials have in common of which the second is a repeat."""
    return same, trial.proposal.budget, trial.proposal.again
