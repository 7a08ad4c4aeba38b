"""What is wanted, and what was tried: objectives, limits, proposals, trials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import final

import numpy as np

from nas.graph import Graph, graph, signature
from nas.objectives import Constraint, Goal, Metrics, Objective, at_most, maximise, minimise
from nas.profile import measure
from nas.space import Architecture, Json, Rng, Space
from nas.tree import Choice, Label, Refused

COSTS = ("params", "macs", "activations")
"""The metrics that are read from the tree, without a device."""
DRAWS = 100
"""How many random draws are thrown away for breaking a limit before one is repaired."""


class State(StrEnum):
    """What became of a trial."""

    RUNNING = "running"
    DONE = "done"
    REPEAT = "repeat"
    INFEASIBLE = "infeasible"
    FAILED = "failed"
    LOST = "lost"


@final
@dataclass(frozen=True)
class Proposal:
    """What a strategy asks to be tried.

    budget: epochs, or whatever the evaluator counts; None for all. parent: the trial whose weights to start from.
    note: what the strategy wants to read again when it is told; under "again" a number above 0 asks for a further
    evaluation of a network that was rated, which is then no repeat.
    """

    arch: Architecture
    budget: int | None = None
    parent: int | None = None
    note: Mapping[str, Json] = field(default_factory=dict, hash=False)

    @property
    def again(self) -> int:
        """Which further evaluation of a rated network this is, 0 for the first."""
        return int(self.note.get("again", 0))


@final
@dataclass(frozen=True)
class Trial:
    """A proposal and what became of it.

    reason: error, memory, nan, timeout or died where it failed, the broken limit where it is infeasible.
    """

    id: int
    proposal: Proposal
    state: State = State.RUNNING
    metrics: Metrics = field(default_factory=dict, hash=False)
    reason: str = ""
    error: str = ""
    seconds: float = 0.0

    @property
    def arch(self) -> Architecture:
        """The architecture that was proposed."""
        return self.proposal.arch


@final
@dataclass(frozen=True)
class Screening:
    """What is known of an architecture before any device is asked: its costs, its network's name, what it breaks."""

    metrics: Metrics
    same: str
    broken: str


@final
@dataclass(frozen=True)
class Problem:
    """A space, what is wanted of its members, and the limits that they must keep; `expect` predicts further metrics."""

    space: Space
    objectives: tuple[Goal, ...] = (Objective("accuracy", "max"),)
    constraints: tuple[Constraint, ...] = ()
    expect: Callable[[Graph], Metrics] | None = field(default=None, hash=False)

    def value(self, metrics: Metrics) -> tuple[float, ...]:
        """The objectives, each turned so that larger is better; KeyError where one is missing."""
        return tuple([o.of(metrics) for o in self.objectives])

    def violation(self, metrics: Metrics) -> float:
        """By how much the limits are broken, each as a share of its limit, summed; 0 where all are kept."""
        if not self.constraints:
            return 0.0
        over = (metrics[c.metric] - c.at_most for c in self.constraints if c.metric in metrics)
        limits = (abs(c.at_most) or 1.0 for c in self.constraints if c.metric in metrics)
        return sum(max(0.0, o) / limit for o, limit in zip(over, limits, strict=True))

    def better(self, a: Metrics, b: Metrics) -> bool:
        """Whether `a` dominates `b`: less violation, or as much, no objective worse, one better (Deb et al. 2002)."""
        if self.constraints:
            va, vb = self.violation(a), self.violation(b)
            if va != vb:
                return va < vb
        fa, fb = self.value(a), self.value(b)
        return fa > fb if len(fa) == 1 else fa != fb and all(x >= y for x, y in zip(fa, fb, strict=True))

    def front(self, trials: Iterable[Trial]) -> list[Trial]:
        """The trials with metrics that no other dominates, best first by the first objective, then the oldest first."""
        rated = [t for t in trials if t.state in (State.DONE, State.REPEAT) and self.rates(t.metrics)]
        front = [t for t in rated if not any(self.better(o.metrics, t.metrics) for o in rated)]
        return sorted(front, key=lambda t: (tuple(-v for v in self.value(t.metrics)), t.id))

    def rates(self, metrics: Metrics) -> bool:
        """Whether all that the objectives read is there."""
        return self._reads <= metrics.keys()

    def screen(self, arch: Architecture) -> Screening:
        """The costs of an architecture and the first limit that it breaks, without a device.

        A network with no path from its input to its output is infeasible, and so is one whose tree cannot be read.
        """
        if arch not in self._screened:
            if len(self._screened) >= 4096:
                self._screened.clear()
            self._screened[arch] = self._screen(arch)
        return self._screened[arch]

    def _screen(self, arch: Architecture) -> Screening:
        if self.space.costs is not None:
            return self._looked_up(arch)
        try:
            flat = graph(self.space.network(arch), self.space.input)
        except Exception as error:  # a user's node may raise anything, and one bad candidate ends no search
            line = " ".join(f"{type(error).__name__}: {error}".split())
            return Screening({}, arch.key, f"no network: {line[:300]}")
        name, reaches = signature(flat)
        total = measure(flat).total
        metrics = {"params": float(total.params), "macs": float(total.macs), "activations": float(total.activations)}
        metrics |= self.expect(flat) if self.expect else {}
        same = self.space.same(arch) if self.space.same else name
        return Screening(metrics, same, self._broken(metrics) if reaches else "no path from input to output")

    def _looked_up(self, arch: Architecture) -> Screening:
        try:
            metrics = self.space.costs(arch)  # type: ignore[misc]  # it is there: `_screen` asked
        except KeyError:
            return Screening({}, arch.key, "the table has no such row")
        return Screening(metrics, self.space.same(arch) if self.space.same else arch.key, self._broken(metrics))

    def _broken(self, metrics: Metrics) -> str:
        """The first limit that is broken."""
        for limit in self.constraints:
            if limit.metric in metrics and not metrics[limit.metric] <= limit.at_most:  # NaN keeps none
                have, most = (
                    f"{v:,.0f}" if abs(v) >= 1000 else f"{v:g}" for v in (metrics[limit.metric], limit.at_most)
                )
                return f"{limit.metric} {have} > {most}"
        return ""

    def sample(self, rng: Rng) -> Architecture:
        """A random member that keeps the limits known without a device: redrawn, and then moved towards a small one."""
        arch = self.space.sample(rng)
        for _ in range(DRAWS):
            if not self.screen(arch).broken:
                return arch
            arch = self.space.sample(rng)
        return self._repaired(arch, rng)

    def mutate(self, arch: Architecture, rng: Rng) -> Architecture:
        """A mutation that keeps the limits known without a device, where one is found in 100 draws.

        The architecture itself where it leaves nothing to change.
        """
        if all(name in self.space.fixed for name, _ in arch.choices):
            return arch
        child = self.space.mutate(arch, rng)
        for _ in range(DRAWS):
            if not self.screen(child).broken:
                break
            child = self.space.mutate(arch, rng)
        return child

    def _repaired(self, arch: Architecture, rng: Rng) -> Architecture:
        limits = [c.metric for c in self.constraints if c.metric in COSTS]
        small = self.smallest(limits[0])[0] if limits else arch
        names = [name for name, _ in arch.choices]
        rng.shuffle(names)
        labels = dict(arch.labels)
        for name in names:
            if not self.screen(arch).broken:
                return arch
            if name in small.labels:
                labels[name] = small.labels[name]
            known = {**small.labels, **labels}
            arch = self.space.decide(lambda c, known=known: c.index(known[c.name]) if c.name in known else 0)  # type: ignore[misc]  # the default binds the loop's value
        return arch if not self.screen(arch).broken else small

    def smallest(self, metric: str) -> tuple[Architecture, float]:
        """The architecture with the least of a cost that one change at a time finds, and that cost.

        Starts from the smallest numbers and from two random members, and goes through the choices in turn; exact where
        the cost is a sum over choices, else an upper bound of the least.
        """
        return self._smallest[metric] if metric in self._smallest else self._descend(metric)

    def _descend(self, metric: str) -> tuple[Architecture, float]:
        free, rng = Problem(self.space), np.random.default_rng(0)
        starts = [_least(self.space), *(self.space.sample(rng) for _ in range(2))]
        found = min(_lowered(free, arch, metric) for arch in starts)
        self._smallest[metric] = (found[2], found[0])
        return self._smallest[metric]

    @cached_property
    def _reads(self) -> frozenset[str]:
        return frozenset(name for o in self.objectives for name in o.reads)

    @cached_property
    def _screened(self) -> dict[Architecture, Screening]:
        return {}

    @cached_property
    def _smallest(self) -> dict[str, tuple[Architecture, float]]:
        return {}


def _cost(problem: Problem, arch: Architecture, metric: str) -> float:
    seen = problem.screen(arch)
    return float("inf") if seen.broken else seen.metrics[metric]


def _least(space: Space) -> Architecture:
    """The smallest number in each hole of numbers, the first option of the others; a random one where that is none."""

    def pick(choice: Choice) -> int:
        number = isinstance(choice.options[0], int | float)
        return min(range(len(choice.options)), key=lambda k: choice.options[k] if number else k)

    try:
        return space.decide(pick)
    except Refused:
        return space.sample(np.random.default_rng(0))


def _tried(choice: Choice) -> tuple[Label, ...]:
    """Every label; of many numbers those of the smallest three and of the largest."""
    if len(choice.options) < 8 or not isinstance(choice.options[0], int | float):
        return choice.labels
    order = sorted(range(len(choice.options)), key=lambda k: choice.options[k])
    return tuple(choice.labels[k] for k in (*order[:3], order[-1]))


def _lowered(free: Problem, arch: Architecture, metric: str) -> tuple[float, str, Architecture]:
    """The architecture after each choice in turn took the label that costs least, until none changes any more."""
    best = (_cost(free, arch, metric), arch.key, arch)
    changed = True
    while changed:
        changed = False
        for name in [name for name, _ in best[2].choices]:
            labels = best[2].labels
            for label in _tried(free.space.choices[name]) if name in labels else ():
                known = {**labels, name: label}
                try:
                    near = free.space.decide(lambda c, known=known: c.index(known[c.name]) if c.name in known else 0)  # type: ignore[misc]  # the default binds the loop's value
                except Refused:
                    continue
                found = (_cost(free, near, metric), near.key, near)
                if found[0] < best[0]:
                    best, changed = found, True
    return best


__all__ = [
    "COSTS",
    "DRAWS",
    "Constraint",
    "Metrics",
    "Objective",
    "Problem",
    "Proposal",
    "Screening",
    "State",
    "Trial",
    "at_most",
    "maximise",
    "minimise",
]
