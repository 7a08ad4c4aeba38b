"""What a search looks like from outside, while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from nas.best import best_of
from nas.budgets import cost, length
from nas.problem import Problem, State, Trial


@final
@dataclass
class Progress:
    """What a search looks like after each event.

    waiting: for a worker. full: epochs of a whole training, 0 where unknown; spent: epochs of the trials that count
    (trials, where unknown).
    """

    trials: int
    problem: Problem
    done: list[Trial] = field(default_factory=list)
    running: dict[int, Trial] = field(default_factory=dict)
    waiting: deque[Trial] = field(default_factory=deque)
    epochs: dict[int, int] = field(default_factory=dict)
    states: dict[State, int] = field(default_factory=dict)
    best: Trial | None = None
    full: int = 0
    spent: int = 0
    told: dict[int, Trial] = field(default_factory=dict)

    @property
    def finished(self) -> int:
        """How many whole trainings the trials that count, done or failed, are worth: their number, if all are whole."""
        return self.spent // (self.full or 1)

    @property
    def wants(self) -> bool:
        """Whether trials are wanted beside those that run and those that wait for a worker."""
        ahead = sum(cost(t, self.told, self.full) for t in (*self.running.values(), *self.waiting))
        return self.spent + ahead < self.trials * (self.full or 1)

    @property
    def proposals(self) -> int:
        """How many trials were proposed and told of."""
        return sum(self.states.values())

    def add(self, trial: Trial) -> None:
        """Count a trial that ended."""
        self.states[trial.state] = self.states.get(trial.state, 0) + 1
        self.told[trial.id] = trial
        if trial.state in (State.DONE, State.FAILED):
            self.spent += cost(trial, self.told, self.full)
        self.epochs.pop(trial.id, None)
        if trial.state is State.DONE:
            self.done.append(trial)
            if trial.proposal.again:
                self.best = next(iter(best_of(self.problem, self.done)), None)
            elif self.problem.rates(trial.metrics) and (self.best is None or self._beats(trial, self.best)):
                self.best = trial

    def _beats(self, one: Trial, other: Trial) -> bool:
        """Whether one was trained longer, or as long and is better."""
        if length(one) != length(other):
            return length(one) > length(other)
        return self.problem.better(one.metrics, other.metrics)


Watch = Callable[[Progress], None]
