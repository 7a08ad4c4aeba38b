"""Local search (White et al. 2021, arXiv:2005.02960, algorithm 1), asynchronous."""

from __future__ import annotations

from typing import final

from nas.problem import Problem, Proposal, Trial
from nas.space import Architecture, Rng, Space
from nas.strategies.generations import ATTEMPTS
from nas.tree import Label, Refused


@final
class LocalSearch:
    """Climbs from a random member to better neighbours until there is none, then begins anew elsewhere.

    Neighbours differ in one choice, as `Space.neighbours` has them; they come in random order and are made one at a
    time, and what was told of is not asked for again. While the last results of a neighbourhood are out, free workers
    rate random members, of which the next climb may begin.

    first: whether it moves to the first better neighbour, as the authors' released code does, or looks at all and moves
    to the best, as algorithm 1 does. starts: a climb begins at the best of so many random members, 10 in that code.
    """

    def __init__(self, problem: Problem, *, first: bool = True, starts: int = 10) -> None:
        if starts < 1:
            raise ValueError(f"a climb begins at the best of at least one member, got starts={starts}")
        self._problem, self._first, self._starts = problem, first, starts
        self._known: dict[Architecture, Trial | None] = {}
        self._begun: list[Trial] = []
        self._starting: set[Architecture] = set()
        self._waiting: set[Architecture] = set()
        self._top: Trial | None = None
        self._better: Trial | None = None
        self._left: list[tuple[str, Label]] = []

    def ask(self, rng: Rng) -> Proposal | None:
        """The next neighbour of where the climb is, or a random member to begin at."""
        while True:
            if self._top is None:
                if len(self._begun) < self._starts:
                    return self._start(rng)
                self._move(self._best())
            if (found := self._neighbour(rng)) is not None:
                return found
            if self._waiting:
                return self._start(rng)
            if self._better is not None:
                self._move(self._better)
            else:
                self._top = None

    def tell(self, trial: Trial) -> None:
        """A better one moves the climb, whoever asked for it; one to begin at waits for the next climb."""
        start = trial.arch in self._starting
        self._starting.discard(trial.arch)
        self._waiting.discard(trial.arch)
        rated = self._problem.rates(trial.metrics)
        self._known[trial.arch] = trial if rated else self._known.get(trial.arch)
        if not rated:
            return
        if self._top is not None and trial.arch == self._top.arch:
            self._top = trial
        elif start or self._top is None:
            self._begun.append(trial)
        else:
            self._weigh(trial)

    def _start(self, rng: Rng) -> Proposal:
        """A random member, one that is not known where a few draws find such."""
        arch = self._problem.sample(rng)
        for _ in range(ATTEMPTS - 1):
            if arch not in self._known:
                break
            arch = self._problem.sample(rng)
        self._known.setdefault(arch, None)
        self._starting.add(arch)
        return Proposal(arch, note={"by": "start"})

    def _neighbour(self, rng: Rng) -> Proposal | None:
        """A neighbour that is not known and keeps the limits; None where none is left. A known better one is taken."""
        while self._left and self._top is not None:
            k = int(rng.random() * len(self._left))
            self._left[k], self._left[-1] = self._left[-1], self._left[k]
            arch = near(self._problem.space, self._top.arch, *self._left.pop())
            if arch is None or self._problem.screen(arch).broken:
                continue
            if arch not in self._known:
                self._known[arch] = None
                self._waiting.add(arch)
                return Proposal(arch, note={"of": self._top.id})
            if (known := self._known[arch]) is not None:
                self._weigh(known)
        return None

    def _weigh(self, trial: Trial) -> None:
        """Move to what is better, at once or when all neighbours are known."""
        over = self._better or self._top
        if over is not None and self._problem.better(trial.metrics, over.metrics):
            if self._first:
                self._move(trial)
            else:
                self._better = trial

    def _move(self, trial: Trial) -> None:
        choices = self._problem.space.choices
        self._top, self._better = trial, None
        self._left = [
            (name, other) for name, label in trial.arch.choices for other in choices[name].labels if other != label
        ]

    def _best(self) -> Trial:
        best, *others = self._begun
        for trial in others:
            best = trial if self._problem.better(trial.metrics, best.metrics) else best
        self._begun = []
        return best


def near(space: Space, arch: Architecture, name: str, label: Label) -> Architecture | None:
    """The neighbour in which one choice has another label, holes that open anew their first option; None for none."""
    new = {**arch.labels, name: label}
    try:
        made = space.decide(lambda c: c.index(new[c.name]) if c.name in new else 0)
    except Refused:
        return None
    return None if made == arch else made
