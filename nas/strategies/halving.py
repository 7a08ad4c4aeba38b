"""Successive halving: many candidates for a few epochs, the best of them for more, and so on.

Candidates are ranked by one number, among those that were trained equally long. The strategy inside is told of the
results at the shortest budget and of no others: each of its candidates has one, and they compare. (Values of several
budgets do not, for which DEHB keeps a population a budget: Awad et al. 2021, arXiv:2105.09821.) So it learns what is
good early; what is good in the end, the rungs decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from operator import floordiv
from typing import final

from nas.budgets import Ladder
from nas.problem import Problem, Proposal, Trial
from nas.roles import Strategy
from nas.space import Architecture, Rng
from nas.strategies.random import Random
from nas.strategies.rungs import Rung, promoted


@final
class ASHA:
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934, algorithm 2), over another strategy.

    Whoever asks gets a promotion where a rung has one among its best 1/eta, the highest rung first, else a candidate of
    the strategy inside for the shortest budget: nobody waits. least, most, eta, budgets: of the `Ladder`.

    The rungs end at `most` and not at a power of eta, so that the best is trained as long as any other network.
    """

    def __init__(
        self,
        strategy: Strategy,
        problem: Problem,
        *,
        least: int = 1,
        most: int = 81,
        eta: int = 3,
        budgets: Sequence[int] = (),
    ) -> None:
        self._strategy, self._ladder = strategy, Ladder.of(least, most, eta, budgets)
        self._rungs = [Rung(problem) for _ in self._ladder.budgets]

    @staticmethod
    def random(problem: Problem, *, most: int = 81, budgets: Sequence[int] = ()) -> ASHA:
        """The published one, whose candidates are random."""
        return ASHA(Random(problem), problem, most=most, budgets=budgets)

    def ask(self, rng: Rng) -> Proposal | None:
        """A promotion, or a new candidate; None where the strategy inside has none."""
        for k, part in reversed(list(enumerate(self._ladder.parts))):
            best = self._rungs[k].promote(len(self._rungs[k]) // part)
            if best is not None:
                return promoted(best, self._ladder.budgets[k + 1])
        made = self._strategy.ask(rng)
        return None if made is None else replace(made, budget=self._ladder.budgets[0])

    def tell(self, trial: Trial) -> None:
        """A rated trial enters the rung of its budget; the strategy inside learns of those of the lowest."""
        place = self._ladder.rung(trial)
        if place is None:
            return
        self._rungs[place].enter(trial)
        for lower in self._rungs[:place]:
            lower.leave(trial.arch)
        if place == 0:
            self._strategy.tell(trial)


@final
class Bracket:
    """One run of successive halving: a rung is promoted from once all of it is told (Jamieson and Talwalkar 2016,
    arXiv:1502.07943).

    count: its candidates. What failed, or repeats another, is none of the best, and is not made up for.

    Raises ValueError where a rung would hold none.
    """

    def __init__(self, problem: Problem, ladder: Ladder, count: int) -> None:
        if count < ladder.whole:
            raise ValueError(f"{count} candidates leave none for the last rung, which takes {ladder.whole}")
        self._ladder, self._budgets = ladder, ladder.budgets
        self._sizes = self._halved(count)
        self._rungs = [Rung(problem) for _ in ladder.budgets]
        self._rung, self._left = 0, count
        self._out: Counter[Architecture] = Counter()
        self.running = 0

    @property
    def budget(self) -> int:
        """The budget of its candidates."""
        return self._budgets[0]

    @property
    def wants(self) -> bool:
        """Whether candidates are missing."""
        return self._rung == 0 and self._left > 0

    @property
    def over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self._rung == len(self._budgets)

    def start(self, proposal: Proposal) -> Proposal:
        """The proposal as a candidate, or as one promoted, of the present rung."""
        self._left -= 1
        self.running += 1
        self._out[proposal.arch] += 1
        return replace(proposal, budget=self._budgets[self._rung])

    def promotion(self) -> Proposal | None:
        """The next promotion; None where the rung below is not whole, or has no more."""
        while 0 < self._rung < len(self._budgets) and self._left:
            best = self._rungs[self._rung - 1].promote(self._sizes[self._rung])
            if best is not None:
                return self.start(promoted(best, self._budgets[self._rung]))
            self._left = 0
            self._climb()
        return None

    def take(self, trial: Trial) -> bool:
        """Take in a trial that is waited for; whether it was. What is told again is mended."""
        if self._out[trial.arch] and trial.proposal.budget == self._budgets[self._rung]:
            self._out[trial.arch] -= 1
            self.running -= 1
            self._rungs[self._rung].enter(trial)
            self._climb()
            return True
        place = self._ladder.rung(trial)
        if place is not None:
            self._rungs[place].enter(trial, new=False)
        return False

    def cut(self) -> None:
        """No more candidates will come: halve those there are."""
        self._left, self._sizes = 0, self._halved(len(self._rungs[0]))
        self._climb()

    def _halved(self, count: int) -> list[int]:
        return [max(1, size) for size in accumulate(self._ladder.parts, floordiv, initial=count)]

    def _climb(self) -> None:
        if not self._left and not self.running and not self.over:
            self._rung += 1
            self._left = 0 if self.over else self._sizes[self._rung]


@final
class Brackets:
    """Brackets one after another; where all of a bracket runs and a worker is free, it begins the next one.

    That is how BOHB keeps workers busy (Falkner et al. 2018, arXiv:1807.01774); with one worker it is the synchronous
    algorithm. make: the bracket of a number, from 0.
    """

    def __init__(self, make: Callable[[int], Bracket]) -> None:
        self._make, self._begun = make, 0
        self._open: list[Bracket] = []
        make(0)

    def ask(self, fresh: Callable[[int], Proposal | None]) -> Proposal | None:
        """A promotion, or what `fresh` gives for a budget; None where it has nothing now."""
        for bracket in self._open:
            made = bracket.promotion() or self._started(bracket, fresh)
            if made is not None:
                return made
        following = self._make(self._begun)
        made = self._started(following, fresh)
        if made is not None:
            self._open.append(following)
            self._begun += 1
        elif not any(bracket.running for bracket in self._open):
            made = self._last()
        return made

    def tell(self, trial: Trial) -> None:
        """The oldest bracket that waits for the trial takes it."""
        any(bracket.take(trial) for bracket in self._open)
        self._open = [bracket for bracket in self._open if not bracket.over]

    def _started(self, bracket: Bracket, fresh: Callable[[int], Proposal | None]) -> Proposal | None:
        made = fresh(bracket.budget) if bracket.wants else None
        return None if made is None else bracket.start(made)

    def _last(self) -> Proposal | None:
        """Nothing runs and nothing comes: the strategy inside is at its end, and what it gave is halved."""
        for bracket in self._open:
            if bracket.wants:
                bracket.cut()
            made = bracket.promotion()
            if made is not None:
                return made
        return None


@final
class Halving:
    """Successive halving in brackets of `count` candidates, by default as many as leave one at the end.

    least, most, eta, budgets: of the `Ladder`.
    """

    def __init__(
        self,
        strategy: Strategy,
        problem: Problem,
        *,
        least: int = 1,
        most: int = 81,
        eta: int = 3,
        budgets: Sequence[int] = (),
        count: int = 0,
    ) -> None:
        self._strategy, self._ladder = strategy, Ladder.of(least, most, eta, budgets)
        count = count or self._ladder.whole
        self._brackets = Brackets(lambda number: Bracket(problem, self._ladder, count))

    @staticmethod
    def random(problem: Problem, *, most: int = 81, budgets: Sequence[int] = ()) -> Halving:
        """The published one, whose candidates are random."""
        return Halving(Random(problem), problem, most=most, budgets=budgets)

    def ask(self, rng: Rng) -> Proposal | None:
        """A promotion from a whole rung, or a new candidate; None where the strategy inside has none."""
        return self._brackets.ask(lambda budget: self._strategy.ask(rng))

    def tell(self, trial: Trial) -> None:
        """A rated trial enters its rung; the strategy inside learns of those of the lowest."""
        self._brackets.tell(trial)
        if self._ladder.rung(trial) == 0:
            self._strategy.tell(trial)
