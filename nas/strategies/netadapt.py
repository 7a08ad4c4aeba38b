"""NetAdapt (Yang et al. 2018, arXiv:1804.03230) as MobileNetV3 has it (Howard et al. 2019, arXiv:1905.02244)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, final

from nas.problem import Problem, Proposal, Trial
from nas.space import Architecture, Rng, Space
from nas.tree import Choice, Label, Refused

Ties: TypeAlias = Sequence[str | tuple[str, ...]]
"""What shrinks together: the name of one hole, or of several."""


@final
class NetAdapt:
    """Makes a network cheaper round by round: of all ways to save `step` of the seed's cost, the one that costs least.

    A round's proposals each shrink one hole of numbers, as little as saves that much, from the network accepted last;
    the one with the largest dAccuracy / |dCost| is accepted. It ends at the target, or where nothing shrinks any more.

    start: the seed, by default the costliest network that one pass over the choices finds. cost: of an architecture,
    MACs, or a latency by a table; by default that of the problem's first limit that is known without a device, whose
    value is then the target, else MACs down to 0. The seed and what is accepted on the way are above the target: a
    study that holds it as a limit would train none of them. holes: names, or tuples of names that shrink together (all
    bottlenecks of one size); by default every hole of numbers alone, where holes of one name are one. budget: epochs of
    each proposal, which goes on from the accepted one's weights where the evaluator can (`Proposal.parent`).

    Raises ValueError for several objectives, where no hole of numbers or no cost is there, or `holes` names another.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        start: Architecture | None = None,
        cost: Callable[[Architecture], float] | None = None,
        target: float | None = None,
        step: float = 0.01,
        holes: Ties = (),
        budget: int | None = None,
    ) -> None:
        if len(problem.objectives) != 1:
            raise ValueError(f"one objective rates the proposals, got {len(problem.objectives)}")
        if not 0 < step < 1:
            raise ValueError(f"a step is a share of the seed's cost between 0 and 1, got {step}")
        self._problem, self._ties, self._budget = problem, _ties(problem, holes), budget
        self._cost, aim = (cost, 0.0) if cost else _known(problem)
        self._target = aim if target is None else target
        self._arch = start or largest(problem, self._cost)
        self._spends = self._cost(self._arch)
        self._step = step * self._spends
        self.accepted: list[Trial] = []
        self._value: float | None = None
        self._left: list[tuple[Architecture, float]] = [(self._arch, self._spends)]
        self._waiting: dict[Architecture, float] = {}
        self._told: list[tuple[Trial, float]] = []

    def ask(self, rng: Rng) -> Proposal | None:
        """The seed, then the proposals of a round; None while one waits for its results, and at the end."""
        if not self._left:
            return None
        arch, spends = self._left.pop(0)
        self._waiting[arch] = spends
        if not self.accepted:
            return Proposal(arch, note={"cost": spends})
        round_, parent = len(self.accepted), self.accepted[-1].id
        return Proposal(arch, self._budget, parent, {"cost": spends, "round": round_})

    def tell(self, trial: Trial) -> None:
        """When the last result of a round is there one is accepted, and the next round is made."""
        if trial.arch not in self._waiting:
            return
        self._told.append((trial, self._waiting.pop(trial.arch)))
        if self._left or self._waiting:
            return
        chosen, self._spends = self._chosen()
        self._arch, self._told = chosen.arch, []
        self._value = self._of(chosen)
        self.accepted.append(chosen)
        if self._spends > self._target:
            self._left = self._proposals()

    def _of(self, trial: Trial) -> float | None:
        return self._problem.value(trial.metrics)[0] if self._problem.rates(trial.metrics) else None

    def _chosen(self) -> tuple[Trial, float]:
        """The largest dAccuracy / |dCost| of those that were rated; where none was, what saves least."""
        rated = [(v, trial, spends) for trial, spends in self._told if (v := self._of(trial)) is not None]
        if not rated:
            return max(self._told, key=lambda pair: (pair[1], -pair[0].id))
        before = max(v for v, *_ in rated) if self._value is None else self._value
        _, trial, spends = max(
            rated, key=lambda r: ((r[0] - before) / max(self._spends - r[2], 1e-300), -r[2], -r[1].id)
        )
        return trial, spends

    def _proposals(self) -> list[tuple[Architecture, float]]:
        """For each hole, or holes tied together, the largest smaller numbers that save a step; each network once.

        Where none saves so much, what saves the most of each: so the target is reached where it can be.
        """
        found, least = dict[Architecture, float](), dict[Architecture, float]()
        for names in self._ties:
            saving = ((arch, self._cost(arch)) for arch in self._shrunk(names))
            cheaper = [pair for pair in saving if pair[1] < self._spends]
            enough = [pair for pair in cheaper if self._spends - pair[1] >= self._step]
            found |= dict(enough[:1])
            least |= dict(sorted(cheaper, key=lambda pair: pair[1])[:1])
        return list((found or least).items())

    def _shrunk(self, names: tuple[str, ...]) -> Iterator[Architecture]:
        """The accepted architecture with some holes at ever smaller numbers, none of them above a common bound."""
        space, labels = self._problem.space, self._arch.labels
        holes = [space.choices[name] for name in names if name in labels]
        now = {c.name: _number(c, labels[c.name]) for c in holes}
        for bound in sorted({o for c in holes for o in c.options if o < max(now.values())}, reverse=True):
            new = dict(labels)
            for c in holes:
                below = [o for o in c.options if o <= bound]
                if now[c.name] > bound and below:
                    new[c.name] = c.labels[c.options.index(max(below))]
            if new != labels:
                try:
                    yield space.decide(lambda c, new=new: c.index(new[c.name]) if c.name in new else _smallest(c))  # type: ignore[misc]  # the default binds the loop's value
                except Refused:
                    continue


def largest(problem: Problem, cost: Callable[[Architecture], float]) -> Architecture:
    """The architecture of the largest numbers, whose other choices then took, one after the other, the costliest label.

    Exact where the cost is a sum over choices.
    """
    space = problem.space
    best = _wide(space)
    for name in [n for n, _ in best.choices if not _numeric(space.choices[n])]:
        for label in space.choices[name].labels:
            new = {**best.labels, name: label}
            try:
                arch = space.decide(lambda c, new=new: c.index(new[c.name]) if c.name in new else len(c.options) - 1)  # type: ignore[misc]  # the default binds the loop's value
            except Refused:
                continue
            best = max(best, arch, key=cost)
    return best


def _known(problem: Problem) -> tuple[Callable[[Architecture], float], float]:
    """The cost of the first limit that is known without a device, and its value; MACs and 0 where there is no limit."""
    free = Problem(problem.space)
    known = free.screen(_wide(problem.space)).metrics
    limit = next((c for c in problem.constraints if c.metric in known), None)
    if limit is None and "macs" not in known:
        raise ValueError(f"no cost of {problem.space.name!r} is known without a device; give cost and target")
    metric, aim = (limit.metric, limit.at_most) if limit else ("macs", 0.0)
    return lambda arch: free.screen(arch).metrics.get(metric, math.nan), aim


def _wide(space: Space) -> Architecture:
    """The largest number in each hole of numbers, the first option of the others."""
    return space.decide(lambda c: max(range(len(c.options)), key=lambda k: c.options[k]) if _numeric(c) else 0)


def _ties(problem: Problem, holes: Ties) -> list[tuple[str, ...]]:
    choices = problem.space.choices
    numbers = [name for name, choice in choices.items() if _numeric(choice)]
    if not any(len(choices[name].options) > 1 for name in numbers):
        raise ValueError(f"the space {problem.space.name!r} has no hole of numbers that could shrink")
    made = [(some,) if isinstance(some, str) else tuple(some) for some in holes] or [(name,) for name in numbers]
    for name in (name for names in made for name in names):
        if name not in numbers:
            raise ValueError(f"{name!r} is no hole of numbers of the space {problem.space.name!r}")
    return made


def _numeric(choice: Choice) -> bool:
    return isinstance(choice.options[0], int | float)


def _number(choice: Choice, label: Label) -> float:
    return float(choice.options[choice.index(label)])


def _smallest(choice: Choice) -> int:
    return min(range(len(choice.options)), key=lambda k: choice.options[k]) if _numeric(choice) else 0
