"""Trials of several lengths: the ladder of budgets, what trials cost together, and which of them may be compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from nas.problem import State, Trial
from nas.space import Architecture


@final
@dataclass(frozen=True)
class Ladder:
    """The budgets that candidates climb, the shortest first.

    parts: one in so many of a rung climbs to the next, so that one item shorter; each rung then costs about as much.
    """

    budgets: tuple[int, ...]
    parts: tuple[int, ...]

    @staticmethod
    def of(least: int, most: int, eta: int, budgets: Sequence[int] = ()) -> Ladder:
        """`most`, a part of it by eta, and so on down to `least`, in whole epochs; of each rung one in eta climbs.

        The rungs of Hyperband, R * eta^-s (Li et al. 2018, arXiv:1603.06560, algorithm 1). budgets: these instead,
        where no others can be had, as in a table; the parts are then their ratios. ValueError where it has no rung.
        """
        if budgets:
            made = sorted(budgets)
            if made[0] < 1 or len(set(made)) != len(made):
                raise ValueError(f"budgets are different whole numbers of at least 1, got {tuple(budgets)}")
            return Ladder(tuple(made), tuple(max(2, round(b / a)) for a, b in pairwise(made)))
        if eta < 2 or not 1 <= least <= most:
            raise ValueError(f"one in 2 or more climbs, from 1 epoch or more: eta is {eta}, epochs {least} to {most}")
        made, part = [], 1
        while most >= least * part:
            made.append((2 * most + part) // (2 * part))
            part *= eta
        return Ladder(tuple(reversed(made)), (eta,) * (len(made) - 1))

    def __len__(self) -> int:
        return len(self.budgets)

    def rung(self, trial: Trial) -> int | None:
        """Which of the budgets a trial had, from 0; None for another one. A trial without one had the longest."""
        budget = trial.proposal.budget or self.budgets[-1]
        return self.budgets.index(budget) if budget in self.budgets else None

    def above(self, rung: int) -> Ladder:
        """The ladder that begins at a rung."""
        return Ladder(self.budgets[rung:], self.parts[rung:])

    @property
    def whole(self) -> int:
        """How many candidates leave one at the top."""
        return math.prod(self.parts)


def length(trial: Trial) -> float:
    """The budget of a trial, infinite where it had all."""
    return math.inf if trial.proposal.budget is None else trial.proposal.budget


def lengths(trials: Iterable[Trial]) -> list[list[Trial]]:
    """Trials of one budget together, the longest first; an architecture alone where it was trained the longest.

    What was trained for one epoch says little beside what was trained for thirty: only equals are compared.
    """
    found: dict[float, list[Trial]] = {}
    for trial in trials:
        found.setdefault(length(trial), []).append(trial)
    longer: set[Architecture] = set()
    made = []
    for budget in sorted(found, reverse=True):
        some = [t for t in found[budget] if t.arch not in longer]
        longer.update(t.arch for t in some)
        made.append(some)
    return [some for some in made if some]


def before(trial: Trial, known: Mapping[int, Trial]) -> Trial | None:
    """The trial whose training it goes on with: its parent, where that is of the same architecture."""
    parent = known.get(trial.proposal.parent or 0)
    return parent if parent is not None and parent.arch == trial.arch else None


def origin(trial: Trial, known: Mapping[int, Trial]) -> Trial:
    """The trial in which its training began: itself, but for one that goes on with others."""
    while (parent := before(trial, known)) is not None and parent.id < trial.id:
        trial = parent
    return trial


def cost(trial: Trial, known: Mapping[int, Trial], full: int) -> int:
    """Epochs that a trial trains itself: its budget without those of the trial that it goes on with.

    full: epochs of a whole training, which are those of a trial without a budget; 0 where unknown: any costs 1.
    """
    if not full:
        return 1
    parent = before(trial, known)
    done = 0 if parent is None else parent.proposal.budget or full
    return max(1, (trial.proposal.budget or full) - done)


def spent(trials: Iterable[Trial], full: int) -> int:
    """What the trials of a study that count, done or failed, cost together."""
    known = {t.id: t for t in trials}
    return sum(cost(t, known, full) for t in known.values() if t.state in (State.DONE, State.FAILED))
