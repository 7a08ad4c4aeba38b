"""Hyperband whose candidates come from a model of the best so far: BOHB (Falkner et al. 2018, arXiv:1807.01774)."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import TypeAlias, final

from nas.budgets import Ladder
from nas.problem import Problem, Proposal, State, Trial
from nas.space import Architecture, Rng
from nas.strategies.halving import Brackets
from nas.strategies.hyperband import bracket
from nas.tree import Choice, Refused

Key: TypeAlias = tuple[float, float, int, str]
Counts: TypeAlias = dict[str, list[int]]


@final
class Density:
    """How often each option of each hole stands among the best of some architectures, and among the others.

    least: how many are the best at the least; share: how many of all, else. Taking one in costs a step a hole.
    """

    def __init__(self, choices: Mapping[str, Choice], least: int, share: float) -> None:
        self._choices, self._least, self._share = choices, least, share
        self._keys: list[Key] = []
        self._known: dict[str, tuple[Key, Architecture]] = {}
        self._good = 0
        self.best: Counts = {name: [0] * len(c.options) for name, c in choices.items()}
        self.all: Counts = {name: [0] * len(c.options) for name, c in choices.items()}

    def __len__(self) -> int:
        return len(self._keys)

    def take(self, key: Key, arch: Architecture) -> None:
        """Take in an architecture; key: what it is ranked by, the best first. One that is known is mended."""
        if arch.key in self._known:
            self._drop(*self._known[arch.key])
        place = bisect_left(self._keys, key)
        insort(self._keys, key)
        self._known[arch.key] = key, arch
        self._count(self.all, arch, 1)
        if place < self._good:
            self._count(self.best, arch, 1)
            self._good += 1
        self._settle()

    def _drop(self, key: Key, arch: Architecture) -> None:
        place = bisect_left(self._keys, key)
        del self._keys[place]
        self._count(self.all, arch, -1)
        if place < self._good:
            self._count(self.best, arch, -1)
            self._good -= 1

    def _settle(self) -> None:
        """The best are max(least, share * n) of them (equation 3)."""
        wanted = min(len(self._keys), max(self._least, math.floor(self._share * len(self._keys))))
        while self._good != wanted:
            more = self._good < wanted
            arch = self._known[self._keys[self._good - (not more)][3]][1]
            self._count(self.best, arch, 1 if more else -1)
            self._good += 1 if more else -1

    def _count(self, counts: Counts, arch: Architecture, by: int) -> None:
        for name, label in arch.choices:
            counts[name][self._choices[name].index(label)] += by

    def shares(self, name: str, *, best: bool) -> list[float]:
        """How likely each option of a hole is among the best, or the others; each option is seen once beforehand."""
        seen = self.best[name]
        if not best:
            seen = [whole - mine for whole, mine in zip(self.all[name], seen, strict=True)]
        whole = sum(seen) + len(seen)
        return [(n + 1) / whole for n in seen]


@final
class BOHB:
    """Hyperband's brackets; of the candidates a part is random, the others are the most promising of some draws.

    Draws come from the density of the best, l, and the one with the largest l / g is proposed, g being that of the
    others; both of the longest budget that rated at least d + 3 architectures, d being the holes: N_min + 2 with
    N_min = d + 1 (algorithm 2). What was asked for before is passed over.

    It departs from the paper: the holes are independent, as in TPE (Bergstra et al. 2011), each a table of counts in
    place of a kernel density, so that no bandwidth is widened for draws, and g is of all that are not in l.

    random: rho of the paper; share: its q; draws: its N_s.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        least: int = 1,
        most: int = 81,
        eta: int = 3,
        budgets: Sequence[int] = (),
        random: float = 1 / 3,
        share: float = 0.15,
        draws: int = 64,
    ) -> None:
        if not (0 <= random <= 1 and 0 < share < 1 and draws >= 1):
            raise ValueError(f"shares lie between 0 and 1 and draws are at least 1, got {random}, {share}, {draws}")
        self._problem, self._random, self._draws = problem, random, draws
        self._ladder = Ladder.of(least, most, eta, budgets)
        choices = problem.space.choices
        self._enough = len(choices) + 3
        self._rated = [Density(choices, len(choices) + 1, share) for _ in self._ladder.budgets]
        self._known: set[Architecture] = set()
        self._brackets = Brackets(partial(bracket, problem, self._ladder))

    def ask(self, rng: Rng) -> Proposal | None:
        """A promotion from a whole rung, or a new candidate."""
        made = self._brackets.ask(lambda budget: self._candidate(rng))
        if made is not None:
            self._known.add(made.arch)
        return made

    def tell(self, trial: Trial) -> None:
        """A rated trial enters its rung, and the density of its budget."""
        self._brackets.tell(trial)
        self._known.add(trial.arch)
        place, metrics = self._ladder.rung(trial), trial.metrics
        if place is None or trial.state is State.REPEAT or not self._problem.rates(metrics):
            return
        value = self._problem.value(metrics)[0]
        self._rated[place].take((self._problem.violation(metrics), -value, trial.id, trial.arch.key), trial.arch)

    def _candidate(self, rng: Rng) -> Proposal:
        density = next((d for d in reversed(self._rated) if len(d) >= self._enough), None)
        if density is None or rng.random() < self._random:
            return Proposal(self._problem.sample(rng), note={"by": "random"})
        for arch in self._promising(density, rng):
            if not self._problem.screen(arch).broken:
                return Proposal(arch, note={"by": "model"})
        return Proposal(self._problem.sample(rng), note={"by": "random"})

    def _promising(self, density: Density, rng: Rng) -> list[Architecture]:
        """New draws from the density of the best, the largest l / g first."""
        space, tables = self._problem.space, dict[str, tuple[list[float], list[float]]]()

        def table(name: str) -> tuple[list[float], list[float]]:
            if name not in tables:
                good, bad = (density.shares(name, best=best) for best in (True, False))
                tables[name] = list(accumulate(good)), [math.log(a / b) for a, b in zip(good, bad, strict=True)]
            return tables[name]

        def pick(choice: Choice) -> int:
            ends, _ = table(choice.name)
            return min(bisect_right(ends, rng.random()), len(ends) - 1)

        found: dict[Architecture, float] = {}
        for _ in range(self._draws):
            try:
                arch = space.decide(pick)
            except Refused:
                continue
            if arch not in self._known and arch not in found:
                found[arch] = sum(table(name)[1][space.choices[name].index(label)] for name, label in arch.choices)
        return sorted(found, key=lambda arch: -found[arch])
