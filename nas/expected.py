"""What is expected of sub-networks that nobody looked at: their accuracy and latency, and which are the best by it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.errors import UserError
from nas.problem import COSTS, Constraint, Problem, State, Trial
from nas.programs.additive import Additive, Column
from nas.programs.choose import Chooser
from nas.programs.tables import Tables
from nas.space import Architecture, Rng, Space
from nas.strategies import Generations

Array: TypeAlias = NDArray[np.float64]
SPREAD = 500
"""Random architectures on which the model of latencies is turned into a sum over choices."""
MANY = 128
"""Of so many that the nearest sum lets pass, with what it errs by, the first that the ridge itself lets pass."""
EVOLVED = 600
"""Networks that evolution looks at by predictions, where no program can be made."""


@final
class Timing:
    """A ridge on choices and costs, learnt from measured latencies; and the sum over choices that is nearest to it.

    Costs are sums of products of choices, which a program can hold only slowly: so it is given the nearest sum.
    error: how much that differs, as a part of the latency, at the 90th percentile.
    """

    def __init__(
        self, problem: Problem, archs: Sequence[Architecture], seconds: Array, columns: Sequence[Column]
    ) -> None:
        self._problem, rows = problem, _costs(problem, archs)
        self._mean, self._std = rows.mean(0), np.maximum(rows.std(0), 1e-12) / 3  # weighs more than one choice does
        self._fitted = Additive.fit(archs, seconds, columns, (rows - self._mean) / self._std)
        rng = np.random.default_rng(0)
        spread = [problem.sample(rng) for _ in range(SPREAD)]
        expected = self(spread)
        self.nearest = Additive.fit(spread, expected, columns)
        off = np.abs(self.nearest.predict(spread)[0] - expected) / np.maximum(np.abs(expected), 1e-12)
        self.error = float(np.quantile(off, 0.9))

    def __call__(self, archs: Sequence[Architecture]) -> Array:
        """The latencies to be expected, (n,), in seconds."""
        return self._fitted.predict(archs, (_costs(self._problem, archs) - self._mean) / self._std)[0]


def _costs(problem: Problem, archs: Sequence[Architecture]) -> Array:
    found = [problem.screen(a).metrics for a in archs]
    return np.array([[m.get(name, 0.0) for name in COSTS] for m in found])


@final
class Predictions:
    """What is expected of sub-networks, and which are the best by it."""

    def __init__(
        self,
        space: Space,
        accuracy: Additive,
        seconds: Timing,
        chooser: Chooser | None,
        tables: Callable[[], Mapping[str, Tables]],
    ) -> None:
        self.space, self.accuracy, self.seconds = space, accuracy, seconds
        self._chooser, self._tables = chooser, tables

    def best(
        self, limits: Sequence[Constraint], roof: float, rng: Rng, *, count: int, without: Collection[Architecture] = ()
    ) -> list[Architecture]:
        """Those of the largest accuracy expected within a latency and limits on costs, not among `without`.

        The first by the fitted ridge; then by ridges that the ratings leave possible as well (Thompson 1933).
        By evolution on the predictions where the space has no such program.
        """
        if self._chooser is not None:
            try:
                return self._programmed(self._chooser, limits, roof, rng, count, without)
            except UserError:
                pass
        return self._evolved(limits, roof, rng, count, without)

    def _programmed(
        self,
        chooser: Chooser,
        limits: Sequence[Constraint],
        roof: float,
        rng: Rng,
        count: int,
        without: Collection[Architecture],
    ) -> list[Architecture]:
        near = self.seconds.nearest.tables(chooser.openings)
        costs = [(self._tables()[c.metric], c.at_most) for c in limits]
        found: dict[Architecture, None] = {}

        def ranked(value: Tables, slack: float, many: int) -> list[Architecture]:
            held = [(near, slack * roof), *costs] if np.isfinite(roof) else costs
            return [one.arch for one in chooser.ranked(value, held, count=many, without=[*without, *found])]

        for n in range(count):
            value = (self.accuracy if n == 0 else self.accuracy.drawn(rng, 0.5)).tables(chooser.openings)
            some = [] if costs or not np.isfinite(roof) else ranked(value, 1 + self.seconds.error, MANY)
            fast = [a for a, t in zip(some, self.seconds(some), strict=True) if t <= roof] if some else []
            found |= dict.fromkeys((fast or ranked(value, 1.0, 1))[:1])
        return list(found)

    def fastest(self, limits: Sequence[Constraint], rng: Rng, *, count: int) -> list[Architecture]:
        """Those of the least latency expected within limits on costs."""
        if self._chooser is not None:
            try:
                slow = self.seconds.nearest.tables(self._chooser.openings).scaled(-1.0)
                held = [(self._tables()[c.metric], c.at_most) for c in limits]
                return [one.arch for one in self._chooser.ranked(slow, held, count=count)]
            except UserError:
                pass
        return self._evolved(limits, 0.0, rng, count, ())

    def _evolved(
        self, limits: Sequence[Constraint], roof: float, rng: Rng, count: int, without: Collection[Architecture]
    ) -> list[Architecture]:
        bounds = (*limits, *([Constraint("latency_s", roof)] if np.isfinite(roof) else []))
        problem = Problem(self.space, constraints=bounds)
        strategy, trials = Generations(problem), list[Trial]()
        while len(trials) < EVOLVED and (proposal := strategy.ask(rng)) is not None:
            said = {"accuracy": float(self.accuracy.predict([proposal.arch])[0][0])}
            said["latency_s"] = float(self.seconds([proposal.arch])[0])
            trials.append(Trial(len(trials) + 1, proposal, State.DONE, said))
            strategy.tell(trials[-1])
        there = {t.arch: t for t in trials if t.arch not in without and not problem.screen(t.arch).broken}
        kept = [t for t in there.values() if not roof or not problem.violation(t.metrics)]
        key = (lambda t: -t.metrics["accuracy"]) if roof else (lambda t: t.metrics["latency_s"])
        return [t.arch for t in sorted(kept, key=key)[:count]]
