"""Regularised evolution (Real et al. 2019, arXiv:1802.01548, algorithm 1), asynchronous."""

from __future__ import annotations

from collections import deque
from typing import final

from nas.problem import Problem, Proposal, Trial
from nas.space import Architecture, Rng


@final
class Evolution:
    """Mutates the winner of a tournament; the oldest member of the population dies, however good it is.

    population: P of the paper; tournament: S of the paper, drawn without replacement from the population.
    """

    def __init__(self, problem: Problem, population: int = 10, tournament: int = 3) -> None:
        if not 1 <= tournament <= population:
            raise ValueError(f"a tournament of {tournament} needs a population of at least as many, got {population}")
        self._problem, self._population, self._tournament = problem, population, tournament
        self._alive: deque[Trial] = deque(maxlen=population)
        self._told: dict[int, Architecture] = {}

    def ask(self, rng: Rng) -> Proposal | None:
        """A random member until the population is full, then a mutation."""
        if len(self._alive) < self._population:
            return Proposal(self._problem.sample(rng))
        drawn = list(range(self._population))
        for n in range(self._tournament):  # a shuffle's first steps: numpy's draw takes longer
            k = n + int(rng.random() * (self._population - n))
            drawn[n], drawn[k] = drawn[k], drawn[n]
        winner = self._alive[drawn[0]]
        for k in drawn[1 : self._tournament]:
            if self._problem.better(self._alive[k].metrics, winner.metrics):
                winner = self._alive[k]
        return Proposal(self._problem.mutate(winner.arch, rng), note={"mutated": winner.id})

    def tell(self, trial: Trial) -> None:
        """A rated trial joins the population, a failed or infeasible one does not; one told again is only mended."""
        if not self._problem.rates(trial.metrics):
            return
        if self._told.get(trial.id) != trial.arch:
            self._told[trial.id] = trial.arch
            self._alive.append(trial)
            return
        for k, member in enumerate(self._alive):
            if member.id == trial.id and member.arch == trial.arch:
                self._alive[k] = trial
