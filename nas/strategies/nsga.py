"""NSGA-II: the whole front of several objectives (Deb et al. 2002, doi:10.1109/4235.996017)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.problem import Problem, Proposal, State, Trial
from nas.space import Architecture, Rng
from nas.strategies.generations import ATTEMPTS, fresh, redrawn
from nas.tree import Refused

Array: TypeAlias = NDArray[np.float64]


@final
class NSGA2:
    """Keeps `population` members, those of the best fronts and of a crowded front the loneliest; limits come first.

    Each generation has as many children: binary tournaments by front, then by crowding distance, choose their parents;
    with probability `crossing` a uniform crossover of two, else a copy; then each choice is drawn anew with
    `probability`, by default one in a child. The front of all trials is `problem.front`.
    """

    def __init__(
        self, problem: Problem, *, population: int = 20, crossing: float = 0.9, probability: float | None = None
    ) -> None:
        if population < 2:
            raise ValueError(f"a tournament needs a population of at least 2, got {population}")
        if not 0 <= crossing <= 1 or not (probability is None or 0 < probability <= 1):
            raise ValueError(f"probabilities lie between 0 and 1, got {crossing} and {probability}")
        self._problem, self._size = problem, population
        self._crossing, self._probability = crossing, probability
        self._alive: list[Trial] = []
        self._ranks, self._crowds = np.zeros(0, dtype=np.int64), np.zeros(0)
        self._young: dict[Architecture, Trial] = {}
        self._known: set[Architecture] = set()
        self._waiting: Counter[Architecture] = Counter()
        self._left = population

    def ask(self, rng: Rng) -> Proposal | None:
        """The next child, random ones in the first generation; None while a whole generation waits for its results."""
        if not self._left:
            if self._waiting.total():
                return None
            self._survive()
            self._left = self._size
        made = (self._child(rng) if len(self._alive) > 1 else None) or Proposal(fresh(self._problem, self._known, rng))
        self._left -= 1
        self._known.add(made.arch)
        self._waiting[made.arch] += 1
        return made

    def tell(self, trial: Trial) -> None:
        """A rated trial competes for the next generation, once for each network."""
        self._known.add(trial.arch)
        if self._waiting[trial.arch]:
            self._waiting[trial.arch] -= 1
        known = trial.arch in self._young or any(t.arch == trial.arch for t in self._alive)
        if trial.state is not State.REPEAT and self._problem.rates(trial.metrics) and not known:
            self._young[trial.arch] = trial

    def _survive(self) -> None:
        """The best of parents and children together, oldest first where they are equal (section III-C)."""
        every = sorted([*self._alive, *self._young.values()], key=lambda t: t.id)
        self._young = {}
        values = np.array([self._problem.value(t.metrics) for t in every]).reshape(len(every), -1)
        broken = np.array([self._problem.violation(t.metrics) for t in every])
        kept: list[int] = []
        ranks, crowds = list[int](), list[float]()
        for rank, front in enumerate(fronts(values, broken)):
            apart = crowding(values[front])
            order = np.argsort(-apart, kind="stable")[: self._size - len(kept)]
            kept += front[order].tolist()
            ranks += [rank] * len(order)
            crowds += apart[order].tolist()
        self._alive = [every[k] for k in kept]
        self._ranks, self._crowds = np.array(ranks, dtype=np.int64), np.array(crowds)

    def _child(self, rng: Rng) -> Proposal | None:
        """A child that was not asked for and keeps the limits; None where none is found."""
        space = self._problem.space
        for _ in range(ATTEMPTS):
            one, other = self._winner(rng), self._winner(rng)
            try:
                arch = space.cross(one.arch, other.arch, rng) if rng.random() < self._crossing else one.arch
                arch = redrawn(space, arch, self._probability or 1 / len(arch.choices), rng)
            except Refused:
                continue
            if arch not in self._known and not self._problem.screen(arch).broken:
                return Proposal(arch, note={"of": [one.id, other.id]})
        return None

    def _winner(self, rng: Rng) -> Trial:
        """The better of two random members: of the better front, or of one front the lonelier (section III-B)."""
        a, b = (int(k) for k in rng.choice(len(self._alive), 2, replace=False))
        mine, its = (self._ranks[a], -self._crowds[a]), (self._ranks[b], -self._crowds[b])
        return self._alive[a if mine <= its else b]


def fronts(values: Array, broken: Sequence[float] | Array | None = None) -> list[NDArray[np.int64]]:
    """The indices of each front, the best first: no member of a front is dominated by one of it or of a later one.

    values: (n, objectives), larger is better; broken: (n,), by how much limits are broken: less of it dominates
    whatever the values are (section VI).
    """
    over = np.zeros(len(values)) if broken is None else np.asarray(broken, dtype=float)
    no_worse = (values[:, None] >= values[None]).all(2)
    equal = over[:, None] == over[None]
    dominates = (over[:, None] < over[None]) | (equal & no_worse & (values[:, None] > values[None]).any(2))
    above, left, made = dominates.sum(0), np.ones(len(values), dtype=bool), list[NDArray[np.int64]]()
    while left.any():
        front = np.flatnonzero(left & (above == 0))
        made.append(front)
        left[front] = False
        above = above - dominates[front].sum(0)
    return made


def crowding(values: Array) -> Array:
    """How far the neighbours of each member of a front lie apart, (n,): the gap over the range, summed over objectives.

    values: (n, objectives). The ends of each objective are infinitely far (section III-B).
    """
    made = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        made[order[[0, -1]]] = np.inf
        span = column[order[-1]] - column[order[0]]
        if span > 0:
            made[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return made
