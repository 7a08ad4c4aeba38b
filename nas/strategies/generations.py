"""Evolution in generations, as one-shot searches use it (Guo et al. 2020, arXiv:1904.00420, algorithm 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from typing import final

from nas.problem import Problem, Proposal, State, Trial
from nas.space import Architecture, Rng, Space
from nas.tree import Choice, Refused

ATTEMPTS = 10
"""Draws an operator may spend for each child, as released: one that breaks a limit or is known costs one."""


@final
class Generations:
    """Mutates and crosses the best of all that was rated, a generation at a time; a limit is checked before a proposal.

    first: random members at the start; size: of each later generation, mutations first, then crossovers, filled up with
    random members; parents: how many of the best of all generations breed; probability: of a choice to be drawn anew in
    a mutation; rounds: generations, the first included, 0 for no end. Nothing is proposed twice while there are others.
    The defaults are the published ones of SPOS, but for its 20 rounds: `Generations.spos` has them.

    Raises ValueError for several objectives.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        first: int = 50,
        size: int = 50,
        parents: int = 10,
        mutations: int = 25,
        crossovers: int = 25,
        probability: float = 0.1,
        rounds: int = 0,
    ) -> None:
        if len(problem.objectives) != 1:
            raise ValueError(f"one objective ranks the parents, got {len(problem.objectives)}; NSGA2 takes several")
        if min(first, size, parents) < 1 or min(mutations, crossovers, rounds) < 0 or mutations + crossovers > size:
            raise ValueError(f"a generation of {size} cannot hold {mutations} mutations and {crossovers} crossovers")
        if not 0 < probability <= 1:
            raise ValueError(f"the probability of a mutation lies in (0, 1], got {probability}")
        self._problem, self._first, self._size, self._rounds = problem, first, size, rounds
        self._parents, self._quotas = parents, {"mutated": mutations, "crossed": crossovers}
        self._probability = probability
        self._round, self._breeding = 0, list[Trial]()
        self._left, self._draws = {"random": first}, {"mutated": 0, "crossed": 0}
        self._rated: dict[Architecture, Trial] = {}
        self._known: set[Architecture] = set()
        self._waiting: Counter[Architecture] = Counter()

    @staticmethod
    def spos(problem: Problem) -> Generations:
        """Single Path One-Shot: 20 rounds of 50, 1,000 networks (arXiv:1904.00420, algorithm 1)."""
        return Generations(problem, rounds=20)

    @staticmethod
    def vit_resnas(problem: Problem) -> Generations:
        """ViT-ResNAS: 500 random ones, then 19 rounds of 150 from the best 75 (arXiv:2109.00642)."""
        numbers = {"first": 500, "size": 150, "parents": 75, "mutations": 75, "crossovers": 75}
        return Generations(problem, **numbers, probability=0.3, rounds=20)

    @staticmethod
    def ofa(problem: Problem) -> Generations:
        """Once-for-all: a random population of 100, then 500 rounds of 100 from the best quarter (arXiv:1908.09791).

        Its networks are rated by a predictor, so that 50,100 of them take seconds.
        """
        numbers = {"first": 100, "size": 100, "parents": 25, "mutations": 50, "crossovers": 50}
        return Generations(problem, **numbers, rounds=501)

    def ask(self, rng: Rng) -> Proposal | None:
        """The next member of the generation; None while a whole one waits for its results, and after the last."""
        if not any(self._left.values()):
            if self._waiting.total() or (self._rounds and self._round + 1 >= self._rounds):
                return None
            self._begin()
        made = self._bred(rng) or Proposal(fresh(self._problem, self._known, rng))
        by = str(made.note.get("by", "random"))
        self._left[by if self._left.get(by) else "random"] -= 1
        self._known.add(made.arch)
        self._waiting[made.arch] += 1
        return made

    def tell(self, trial: Trial) -> None:
        """A rated trial may breed in the next generation; one that repeats another's network does not count twice."""
        self._known.add(trial.arch)
        if self._waiting[trial.arch]:
            self._waiting[trial.arch] -= 1
        if trial.state is not State.REPEAT and self._problem.rates(trial.metrics):
            self._rated.setdefault(trial.arch, trial)

    def _begin(self) -> None:
        """The next generation, of the best of all there were; at equal value the older one."""
        self._round += 1
        ranked = sorted(self._rated.values(), key=lambda t: (*self._key(t), t.id))
        self._breeding = ranked[: self._parents]
        self._left = {**self._quotas, "random": self._size - sum(self._quotas.values())}
        self._draws = {by: ATTEMPTS * quota for by, quota in self._quotas.items()}

    def _key(self, trial: Trial) -> tuple[float, float]:
        return self._problem.violation(trial.metrics), -self._problem.value(trial.metrics)[0]

    def _bred(self, rng: Rng) -> Proposal | None:
        """A mutation while some are wanted, then a crossover; None where random members are next.

        What an operator cannot find in its draws is filled up with random members.
        """
        for by in self._quotas:
            while self._left.get(by):
                if not self._breeding or not self._draws[by]:
                    self._left["random"] += self._left.pop(by)
                    break
                self._draws[by] -= 1
                made = self._child(by, rng)
                if made is not None and made.arch not in self._known and not self._problem.screen(made.arch).broken:
                    return made
        return None

    def _child(self, by: str, rng: Rng) -> Proposal | None:
        space, one = self._problem.space, self._breeding[int(rng.integers(len(self._breeding)))]
        try:
            if by == "mutated":
                return Proposal(redrawn(space, one.arch, self._probability, rng), note={"by": by, "of": [one.id]})
            other = self._breeding[int(rng.integers(len(self._breeding)))]
            return Proposal(space.cross(one.arch, other.arch, rng), note={"by": by, "of": [one.id, other.id]})
        except Refused:
            return None


def redrawn(space: Space, arch: Architecture, probability: float, rng: Rng) -> Architecture:
    """A copy in which each choice is drawn anew with a probability, all options equally likely; Refused as `decide`.

    Holes that open anew are drawn at random.
    """
    old = arch.labels

    def pick(choice: Choice) -> int:
        if choice.name in old and rng.random() >= probability:
            return choice.index(old[choice.name])
        return int(rng.integers(len(choice.options)))

    return space.decide(pick)


def fresh(problem: Problem, known: Container[Architecture], rng: Rng) -> Architecture:
    """A random member that keeps the limits and is not known; where ATTEMPTS draws give none, a known one."""
    arch = problem.sample(rng)
    for _ in range(ATTEMPTS - 1):
        if arch not in known:
            break
        arch = problem.sample(rng)
    return arch
