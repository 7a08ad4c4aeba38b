"""The default: chooses how to search by what is known of the problem, and learns what is worth trying."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
from scipy.stats import norm

from nas.problem import Problem, Proposal, Trial
from nas.roles import Array, Predictor, Strategy
from nas.space import Architecture, Rng
from nas.strategies.generations import fresh
from nas.strategies.halving import ASHA
from nas.strategies.nsga import NSGA2
from nas.strategies.rated import Told

LONG = 27
"""Epochs of a whole training from which short ones come first."""
MOST = 400
"""Architectures that the predictor learns from; its cost grows with their cube."""


@final
class Auto:
    """Several objectives: NSGA-II. Whole trainings of LONG epochs or more: ASHA over what follows. Else that alone.

    most: epochs of a whole training, where trials may have a budget; None where all are alike.
    predictor, judge: make those of `Guided`.
    """

    def __init__(
        self,
        problem: Problem,
        predictor: Callable[[], Predictor],
        judge: Callable[[], Predictor] | None = None,
        most: int | None = None,
    ) -> None:
        self.inside: Strategy
        if len(problem.objectives) != 1:
            self.inside = NSGA2(problem)
        elif most is not None and most >= LONG:
            self.inside = ASHA(Guided(problem, predictor, judge), problem, most=most)
        else:
            self.inside = Guided(problem, predictor, judge)

    def ask(self, rng: Rng) -> Proposal | None:
        """What the strategy inside asks for."""
        return self.inside.ask(rng)

    def tell(self, trial: Trial) -> None:
        """The strategy inside learns."""
        self.inside.tell(trial)

    @property
    def slow(self) -> bool:
        """Whether an ask fits and predicts."""
        return not isinstance(self.inside, NSGA2)

    def chosen(self) -> Architecture | None:
        """The best by what was learnt of all together; None where that is no better than the best that was told."""
        return self.inside.chosen() if isinstance(self.inside, Guided) else None


@final
class Guided:
    """Of random members and mutations of the best ones, the one that may improve most (Jones et al. 1998).

    The expected improvement of a candidate on the best so far, by a predictor that learns the choices together with
    what is known of costs; what is asked for already, and not told yet, is no candidate. judge: makes the predictor
    that chooses in the end, by default such a one; one that learns ranks, and knows how noisy a rating is, is not moved
    far by a lucky one, and takes the best that was told where the choices explain little. first: random members before
    it begins; every: told trials after which it learns anew; draws, mutations: candidates of either kind; parents: how
    many of the best are mutated in turn, by one choice and by two.
    """

    slow = True

    def __init__(
        self,
        problem: Problem,
        predictor: Callable[[], Predictor],
        judge: Callable[[], Predictor] | None = None,
        *,
        first: int = 10,
        every: int = 5,
        draws: int = 50,
        mutations: int = 50,
        parents: int = 10,
    ) -> None:
        if first < 3 or min(every, draws, mutations, parents) < 1:
            raise ValueError(f"a predictor learns from 3 or more, got first {first}; every other number is 1 or more")
        self._problem, self._predictor, self._first, self._every = problem, predictor, first, every
        self._judge = judge or predictor
        self._draws, self._mutations, self._parents = draws, mutations, parents
        self._told = Told(problem)
        self._model: Predictor | None = None
        self._learnt = 0

    def ask(self, rng: Rng) -> Proposal | None:
        """A random member at first, then the most promising candidate."""
        by = "random" if len(self._told.rated) < self._first else "predictor"
        arch = fresh(self._problem, self._told, rng) if by == "random" else self._promising(rng)
        self._told.add(arch)
        return Proposal(arch, note={"by": by})

    def tell(self, trial: Trial) -> None:
        """A rated trial is learnt from, each network once; what failed is not asked for again."""
        self._told.tell(trial)

    def chosen(self) -> Architecture | None:
        """Of those that were rated the best by prediction: a rating is noisy, what its neighbours say of it less so."""
        count = len(self._told.rated)
        if count < 2 * self._first:
            return None
        archs = self._kept(count)
        model = self._judge().fit(archs, self._told.values(archs), self._costs(archs))
        return archs[int(np.argmax(model.predict(archs, self._costs(archs)).mean))]

    def _promising(self, rng: Rng) -> Architecture:
        problem, found = self._problem, dict.fromkeys(self._problem.sample(rng) for _ in range(self._draws))
        best = self._told.best(self._parents)
        for k in range(self._mutations):
            turn, n = divmod(k, len(best))
            arch = problem.mutate(best[n], rng)
            found[problem.mutate(arch, rng) if turn % 2 else arch] = None
        new = [arch for arch in found if arch not in self._told]
        if not new:
            return fresh(problem, self._told, rng)
        count = len(self._told.rated)
        count -= (count - self._first) % self._every
        said = self._fitted(count).predict(new, self._costs(new))
        gain = (said.mean - self._told.rated[best[0]]) / said.std
        return new[int(np.argmax(said.std * (gain * norm.cdf(gain) + norm.pdf(gain))))]

    def _fitted(self, count: int) -> Predictor:
        """The predictor, which has learnt from a number of trials that depends on what was told alone."""
        if self._model is None or count != self._learnt:
            archs = self._kept(count)
            self._model = self._predictor().fit(archs, self._told.values(archs), self._costs(archs))
            self._learnt = count
        return self._model

    def _kept(self, count: int) -> list[Architecture]:
        """What is learnt from of the first so many: of very many the best half of MOST and the latest half."""
        archs = list(self._told.rated)[:count]
        if count <= MOST:
            return archs
        late = archs[-(MOST // 2) :]
        early = sorted(archs[: -(MOST // 2)], key=self._told.rated.__getitem__, reverse=True)
        return [*early[: MOST // 2], *late]

    def _costs(self, archs: list[Architecture]) -> Array | None:
        """What is known of architectures without a device, (n, costs); None where nothing is."""
        found = [self._problem.screen(arch).metrics for arch in archs]
        names = sorted(set.intersection(*(set(metrics) for metrics in found)))
        return np.array([[metrics[name] for name in names] for metrics in found]) if names else None
