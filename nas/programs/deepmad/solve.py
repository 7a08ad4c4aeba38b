"""The program solved: a design by annealing, a bound for every depth vector by the dual, worst vector first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from time import monotonic
from typing import Any, Literal, TypeAlias, final

import numpy as np

from nas.programs.deepmad.anneal import Found, anneal
from nas.programs.deepmad.branch import Tree
from nas.programs.deepmad.bundle import Lowest, first, lowest
from nas.programs.deepmad.certificate import written
from nas.programs.deepmad.costs import Array
from nas.programs.deepmad.dual import Dual, Multipliers
from nas.programs.deepmad.grid import Grid
from nas.programs.deepmad.measure import Batch, over
from nas.programs.deepmad.problem import Budgets, Design, Score, Template
from nas.programs.deepmad.proof import BRANCHED, Proof, vectors

Report: TypeAlias = Callable[[str, float, float], None]
Status: TypeAlias = Literal["optimal", "gap", "infeasible"]
ROUNDING = 1e-9
"""Two values that differ by this part are one."""
SEARCH = 0.2
"""The part of the time that goes into the first annealing."""
STEPS = 12_000
"""Moves of the first annealing at most."""
POLISH = 0.3
"""The part of the time for all annealing, as long as bounds are worked on."""


@final
@dataclass(frozen=True)
class Answer:
    """What the program has for an answer.

    status: optimal, proved; gap, where `bound` is above `value`; infeasible, proved. design: the best one; where none
    keeps the budgets, the one that breaks them least. value, bound, gap: gap = (bound - value) / |value|.
    marginals: what one unit more of a budget is worth at the bound of the design's depths. binding: the budgets with a
    price. shortfall: by budget, what the design uses over what it may, where that is above 1.
    """

    status: Status
    design: Design
    value: float
    bound: float
    gap: float
    marginals: Mapping[str, float]
    binding: tuple[str, ...]
    shortfall: Mapping[str, float]
    certificate: Mapping[str, Any]
    seconds: float


def solve(
    template: Template,
    score: Score,
    budgets: Budgets,
    *,
    seconds: float = 60.0,
    seed: int = 0,
    report: Report | None = None,
    stopped: Callable[[], bool] = bool,
    close: float = 0.0,
) -> Answer:
    """The best design of a template under budgets, and a bound on all of them, in about so many seconds.

    close: stop at this gap. report: called with what is done, the value and the bound. stopped: asked now and then
    whether to end with what there is.
    """
    begun = monotonic()
    run = _Run(Dual(template, score, budgets), np.random.default_rng(seed), begun + seconds, report or _silent, stopped)
    run.search(begun + SEARCH * seconds)
    prices = run.bound(close) if run.found.feasible else run.refute(close)
    return run.answer(prices, monotonic() - begun)


@final
class _Run:
    """One call of `solve`: the best design so far and the proof so far."""

    def __init__(
        self, dual: Dual, rng: np.random.Generator, end: float, report: Report, stopped: Callable[[], bool]
    ) -> None:
        self.dual, self.rng, self.report, self.end, self.stopped = dual, rng, report, end, stopped
        self.problem = (dual.template, dual.score, dual.budgets)
        self.proof = Proof(dual, vectors(dual.template))
        self.found = Found(Grid(dual.template).smallest, -inf, False)
        self.begun, self.polished = monotonic(), 0.0

    @property
    def value(self) -> float:
        return self.found.value if self.found.feasible else -inf

    @property
    def stop(self) -> float:
        """When to end: now, if it was told to."""
        return -inf if self.stopped() else self.end

    def search(self, stop: float) -> None:
        """The first annealing."""
        size = min(STEPS, 40 * sum(map(len, (*self.dual.template.depths, *self.dual.template.widths))))
        self._keep(anneal(*self.problem, steps=size, rng=self.rng, stop=stop, stopped=self.stopped))
        if not self.found.feasible:
            self._keep(
                anneal(*self.problem, steps=size // 4, rng=self.rng, stop=self.stop, stopped=self.stopped, nearest=True)
            )
        self.report("annealed", self.value, inf)

    def bound(self, close: float) -> Multipliers:
        """Bounds for all depth vectors, the worst first, until the gap is closed, nothing is left, or time is up."""
        prices = self._own(first(self.dual, self.value))
        at = self.value
        while monotonic() < self.stop:
            goal, bounds = self._goal(close), self.proof.bounds
            worst = int(np.argmax(bounds))
            tree = self.proof.trees.get(worst)
            if bounds[worst] <= goal or (tree is not None and tree.done):
                break
            if tree is None:
                made = self._lower(worst, self._near(worst, prices), target=goal)
                self.proof.add(made.multipliers, np.flatnonzero((bounds > goal) & (self.proof.by != BRANCHED)))
                designs: Sequence[Design] = made.designs
                if bounds[worst] > goal:  # its own spans are narrower than a group's
                    self.proof.add(made.multipliers, np.array([worst]))
                if bounds[worst] > goal:
                    self.proof.branch(worst, Tree(self.dual, self._depths(worst), made))
            else:
                designs = self._split(worst, tree, goal)
            if designs and self.polished < POLISH * (monotonic() - self.begun):
                self._polish(designs)
            if self.value > at:
                at, prices = self.value, self._own(prices)
            self.report("bounded", self.value, float(self.proof.bounds.max()))
        return prices

    def refute(self, close: float) -> Multipliers:
        """Rays for all depth vectors: where each has one, nothing is feasible; else a design may turn up on the way."""
        ray = first(self.dual, 0.0, objective=0.0)
        worst, stuck = self.proof.index(self.found.batch.depths[0].tolist()), set[int]()
        while monotonic() < self.stop:
            made = lowest(self.dual, self._depths(worst), ray, target=-1e-3, stop=self.stop)
            left = np.flatnonzero(np.isinf(self.proof.bounds) & (self.proof.bounds > 0))
            self.proof.add(made.multipliers, left)
            left = np.flatnonzero(np.isinf(self.proof.bounds) & (self.proof.bounds > 0))
            if not len(left):
                return made.multipliers
            if made.bound >= 0:
                self._polish(made.designs)
                if self.found.feasible:
                    return self.bound(close)
                stuck.add(worst)
            rest = left[[n not in stuck for n in left.tolist()]]
            if not len(rest):
                return made.multipliers
            worst = int(rest[self.rng.integers(len(rest))])
        return ray

    def answer(self, prices: Multipliers, seconds: float) -> Answer:
        """What is known at the end."""
        value, bound = self.value, max(self.value, float(self.proof.bounds.max()))
        design = self.found.batch.design(0, self.dual.template.head)
        gap = (bound - value) / max(abs(value), 1e-12) if isfinite(value) else inf
        status: Status = "infeasible" if bound == -inf else "optimal" if gap <= ROUNDING else "gap"
        used = self._used()
        marginals = self._marginals(prices)
        share = {"macs": prices.macs, "params": prices.params, "rho": sum(prices.rho)}
        binding = tuple(k for k, v in share.items() if v > 1e-9 * max(1.0, abs(value)) and used[k] > 0.98)
        short = {} if self.found.feasible else {k: v for k, v in used.items() if v > 1}
        certificate = written(self.proof, design, value if isfinite(value) else None, status)
        return Answer(
            status,
            design,
            value if isfinite(value) else nan,
            bound if isfinite(bound) else nan,
            gap if isfinite(gap) else nan,
            marginals,
            binding,
            short,
            certificate,
            seconds,
        )

    def _goal(self, close: float) -> float:
        return self.value + max(close, ROUNDING) * max(abs(self.value), 1e-12)

    def _lower(self, n: int, start: Multipliers, target: float = -inf) -> Lowest:
        return lowest(self.dual, self._depths(n), start, target=target, stop=self.stop)

    def _near(self, n: int, prices: Multipliers) -> Multipliers:
        """The point that bounds a vector now: a good one to begin with."""
        by = int(self.proof.by[n])
        return self.proof.points[by] if by >= 0 and self.proof.points[by].objective else prices

    def _depths(self, n: int) -> tuple[int, ...]:
        return tuple(map(int, self.proof.depths[n]))

    def _own(self, start: Multipliers) -> Multipliers:
        """Multipliers for the depths of the best design, which bound all other vectors too."""
        own = self.proof.index(self.found.batch.depths[0].tolist())
        prices = self._lower(own, start).multipliers
        left = (self.proof.bounds > self.value) & (self.proof.by != BRANCHED)
        self.proof.add(prices, np.flatnonzero(left))
        return prices

    def _split(self, n: int, tree: Tree, goal: float) -> Sequence[Design]:
        """Cut the highest box of a vector's tree: the designs that this met."""
        designs, best, design = tree.split(self.value, goal, self.stop)
        if design is not None:
            self._keep(Found(Batch.of([design]), best, True))
        self.proof.branch(n, tree)
        return designs

    def _polish(self, designs: Sequence[Design]) -> None:
        """A short, cool annealing from the best design and those that inner problems chose."""
        begun, again = monotonic(), [self.found.batch.design(0)] if self.found.feasible else []
        start = Batch.of([*again, *designs[-12:]])
        heat = 10.0 ** self.rng.uniform(-4, -2)
        self._keep(anneal(*self.problem, steps=1000, rng=self.rng, start=start, hot=heat, stop=self.stop, chains=96))
        self.polished += monotonic() - begun

    def _keep(self, found: Found) -> None:
        better = found.value > self.found.value or found.feasible > self.found.feasible
        if better and found.feasible >= self.found.feasible:
            self.found = found

    def _used(self) -> dict[str, float]:
        return {name: float(used[0]) for name, used in over(*self.problem, self.found.batch).items()}

    def _marginals(self, y: Multipliers) -> dict[str, float]:
        """The prices of single units; none where there is no design to improve.

        D log(D / rho) falls by D / rho for each unit of rho.
        """
        if not self.found.feasible:
            return {"macs": 0.0, "params": 0.0, "rho": 0.0}
        layers: Array = self.dual.layers(self.found.batch.depths)[0]
        rho = float(np.array(y.rho) @ layers) / self.dual.budgets.rho
        return {"macs": y.macs / self.dual.budgets.macs, "params": y.params / self.dual.budgets.params, "rho": rho}


def _silent(what: str, value: float, bound: float) -> None:
    """Say nothing."""
