"""Noise: the best are rated again now and then, and an architecture is worth the mean of its evaluations."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import TypeAlias, final

from nas.objectives import Metrics, mean_of
from nas.problem import Problem, Proposal, State, Trial
from nas.roles import Strategy
from nas.space import Architecture, Rng

Name: TypeAlias = tuple[Architecture, int | None]
"""An architecture and the budget it was rated with: what evaluations of are averaged."""
Place: TypeAlias = tuple[float, float, int]
"""Where an architecture stands: by its violation, then its value, then its age; smaller is better."""


@final
class Again:
    """Every so often has one of the best rated anew, from nothing, else asks as the strategy inside does.

    every: one proposal in so many is a further evaluation; best: how many of the best by their means share them, the
    least rated first. The strategy inside is told the mean under the first trial's number; of ours, evolution and local
    search then mend what they know, to others it is one more trial. In a study `best_of` ranks by the means as well.

    Where each of n candidates is rated once, with noise, the best seen is the luckiest of the good ones; what a further
    evaluation costs is one candidate less. Raises ValueError for several objectives.
    """

    def __init__(self, strategy: Strategy, problem: Problem, *, every: int = 5, best: int = 3) -> None:
        if every < 2 or best < 1:
            raise ValueError(f"every must be at least 2 and best at least 1, got {every} and {best}")
        if len(problem.objectives) != 1:
            raise ValueError(f"one objective says which are the best, got {len(problem.objectives)}")
        self._strategy, self._problem, self._every, self._best = strategy, problem, every, best
        self._asked = 0
        self._rated: dict[Name, _Rated] = {}
        self._order: list[tuple[Place, int, Name]] = []
        self._pushed = 0

    def ask(self, rng: Rng) -> Proposal | None:
        """A further evaluation of one of the best, or what the strategy inside asks for."""
        if self._asked % self._every == self._every - 1 and self._rated:
            name = min(self._leading(), key=lambda n: self._rated[n].asked)
            known = self._rated[name]
            known.asked += 1
            self._asked += 1
            return Proposal(*name, note={"by": "again", "again": known.asked - 1})
        made = self._strategy.ask(rng)
        self._asked += made is not None
        return made

    def tell(self, trial: Trial) -> None:
        """A further evaluation mends the mean; a repeat is none, but is worth what its architecture is."""
        name, again = (trial.arch, trial.proposal.budget), trial.proposal.again
        known, rated = self._rated.get(name), self._problem.rates(trial.metrics)
        fresh = rated and (again or trial.state is not State.REPEAT)
        if known is None:
            if fresh:
                self._rated[name] = _Rated(trial, [trial.metrics])
                self._placed(name)
            self._strategy.tell(trial)
            return
        if fresh:
            known.metrics.append(trial.metrics)
            self._placed(name)
        if rated:
            self._strategy.tell(replace(known.first if again else trial, metrics=known.mean))
        elif not again:
            self._strategy.tell(trial)

    @property
    def slow(self) -> bool:
        """Whether an ask of the strategy inside takes long."""
        return bool(getattr(self._strategy, "slow", False))

    def chosen(self) -> Architecture | None:
        """The best by its mean; None before anything was rated."""
        return self._rated[self._leading()[0]].first.arch if self._rated else None

    def _leading(self) -> list[Name]:
        """The best by their means, best first. A place that is not an architecture's last is dropped on the way."""
        found: dict[Name, tuple[Place, int, Name]] = {}
        while self._order and len(found) < self._best:
            entry = heapq.heappop(self._order)
            if entry[0] == self._place(entry[2]):
                found.setdefault(entry[2], entry)
        for entry in found.values():
            heapq.heappush(self._order, entry)
        return list(found)

    def _placed(self, name: Name) -> None:
        """Give an architecture its place, by the mean of its evaluations."""
        known = self._rated[name]
        known.mean, self._pushed = mean_of(known.metrics), self._pushed + 1
        heapq.heappush(self._order, (self._place(name), self._pushed, name))

    def _place(self, name: Name) -> Place:
        known = self._rated[name]
        return self._problem.violation(known.mean), -self._problem.value(known.mean)[0], known.first.id


@final
@dataclass
class _Rated:
    """What was said of an architecture; asked: how many evaluations of it were asked for."""

    first: Trial
    metrics: list[Metrics]
    asked: int = 1
    mean: Metrics = field(default_factory=dict)
