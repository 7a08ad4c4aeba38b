"""Exact choice by an integer program, for every space whose costs are sums over layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np

from nas.objectives import Derived
from nas.problem import COSTS, Metrics, Problem, Proposal, Trial
from nas.programs.additive import Additive, columns_of
from nas.programs.choose import Chooser, Chosen, Limit
from nas.programs.tables import PerLayer, Tables, costs, tables
from nas.space import Architecture, Rng

SKIPS = 100
"""So many designs that cannot be built or break a limit are passed over in one ask."""


@final
class Program:
    """Asks for the best design under the limits, proved so, then for the next best ones, never for one twice.

    An objective that is a sum over layers is known beforehand: params, macs, activations, and what `known` gives layer
    by layer (a table of latencies, say). Any other, accuracy above all, is learnt: random designs until `warm` of them
    are rated, then a ridge on the choices, fitted anew with every result. Each ask draws the ridge's weights from their
    posterior (Thompson 1933), widened by `explore`, and takes the design that is exactly the best for them under the
    limits: so it tries what may be best, and several asks at a time differ. explore=0 takes the fitted weights.
    A limit on what only a device can measure is learnt likewise, and held where some design can.

    Of several objectives the first is optimised, and each of the others is held below a limit that every ask draws
    between its least and what the best design takes: the epsilon-constraint method.

    Raises UserError, naming the layer, where a limit or a known objective is no sum over small tables.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        known: Mapping[str, PerLayer] | None = None,
        warm: int = 10,
        explore: float = 0.5,
    ) -> None:
        if warm < 3:
            raise ValueError(f"a ridge needs at least 3 rated designs, got warm={warm}")
        self._problem, self._warm, self._explore = problem, warm, explore
        self._chooser, self._columns = Chooser(problem.space), columns_of(problem.space)
        wanted = {o.metric for o in problem.objectives} | {c.metric for c in problem.constraints}
        given = known or {}
        read = [m for m in COSTS if m in wanted and m not in given]
        self._known: dict[str, Tables] = dict(costs(problem.space, read)) if read else {}
        self._known |= {m: tables(problem.space, f, what=m) for m, f in given.items() if m in wanted}
        self._asked: dict[Architecture, None] = {}
        self._told: list[tuple[Architecture, Metrics]] = []

    def ask(self, rng: Rng) -> Proposal | None:
        """A random design until enough are rated, then the best that was not asked for; None where none is left."""
        learnt = {o.metric for o in self._problem.objectives} - set(self._known)
        if any(len(self._rated(m)) < self._warm for m in learnt):
            return self._proposed(self._problem.sample(rng), "random")
        numbers = {**self._known, **{m: self._fitted(m, rng) for m in sorted(learnt)}}
        first, *others = self._problem.objectives
        objective = numbers[first.metric].scaled(1.0 if first.goal == "max" else -1.0)
        sure = [(self._known[c.metric], c.at_most) for c in self._problem.constraints if c.metric in self._known]
        hoped = self._measured(rng)
        for other in others:
            cost = numbers[other.metric].scaled(1.0 if other.goal == "min" else -1.0)
            hoped += self._between(objective, cost, sure, float(rng.random()))
        found = self._next(objective, [*sure, *hoped]) or (self._next(objective, sure) if hoped else None)
        return self._proposed(found.arch, "program", found.value) if found else None

    def tell(self, trial: Trial) -> None:
        """Whatever was measured is learnt from."""
        if trial.metrics:
            made = [
                o for o in self._problem.objectives if isinstance(o, Derived) and trial.metrics.keys() >= {*o.reads}
            ]
            self._told.append((trial.arch, {**trial.metrics, **{o.metric: o.make(trial.metrics) for o in made}}))

    def _proposed(self, arch: Architecture, by: str, value: float | None = None) -> Proposal:
        self._asked[arch] = None
        return Proposal(arch, note={"by": by} if value is None else {"by": by, "value": value})

    def _rated(self, metric: str) -> list[tuple[Architecture, float]]:
        return [(a, m[metric]) for a, m in self._told if metric in m and np.isfinite(m[metric])]

    def _fitted(self, metric: str, rng: Rng) -> Tables:
        archs, y = zip(*self._rated(metric), strict=True)
        model = Additive.fit(archs, np.array(y), self._columns)
        return model.drawn(rng, self._explore).tables(self._chooser.openings)

    def _measured(self, rng: Rng) -> list[Limit]:
        """The limits on what a device measured, as far as there are enough measurements."""
        limits = [c for c in self._problem.constraints if c.metric not in self._known]
        return [(self._fitted(c.metric, rng), c.at_most) for c in limits if len(self._rated(c.metric)) >= self._warm]

    def _between(self, objective: Tables, cost: Tables, limits: list[Limit], share: float) -> list[Limit]:
        """A limit on a further objective, this share of the way from its least to what the best design takes."""
        least, top = (self._chooser.ranked(o, limits) for o in (cost.scaled(-1.0), objective))
        if not least or not top:
            return []
        low, high = -least[0].value, cost(top[0].arch)
        return [(cost, low + share * (high - low))]

    def _next(self, objective: Tables, limits: list[Limit]) -> Chosen | None:
        """The best design that was not asked for, of those whose network can be built and keeps the limits."""
        without = list(self._asked)
        for _ in range(SKIPS):
            found = self._chooser.ranked(objective, limits, without=without)
            if not found or not self._problem.screen(found[0].arch).broken:
                return found[0] if found else None
            without.append(found[0].arch)
        return None
