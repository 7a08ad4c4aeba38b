"""From the largest network to all of them, one dimension after another (Cai et al. 2020, arXiv:1908.09791, OFA)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import final

from nas.errors import UserError
from nas.problem import DRAWS, Problem
from nas.space import Architecture, Rng, Space
from nas.training.recipe import rate
from nas.training.rules.extremes import by_size, extremes
from nas.training.rules.rule import Moment, Pass, Step
from nas.tree import Choice, Refused

KERNEL = r"(?:^|\.)kernel$"
DEPTH = r"(?:^|\.)(?:depth|layer)$"
WIDTH = r"(?:^|\.)(?:expand|width|inner|channels|embed|heads|mlp)$"
"""How the choices of the three dimensions are named; OFA's elastic width is the expansion of its blocks."""
OTHERS = rf"^(?!.*(?:{DEPTH}|{WIDTH}))"
"""The kernels, and every choice that is of no dimension: like a kernel it says what a layer is, not how much."""


@final
@dataclass(frozen=True)
class Phase:
    """A part of the training in which more options are open.

    match: a regular expression, searched in the names of choices. options: how many of their largest options are open
    from now on, 0 for all; a choice that no phase has matched yet stays as in the largest network. passes: sub-networks
    a step. share: of all steps. peak: of the learning rate, as a share of the recipe's. warmup: share of the phase's
    steps in which the rate rises to it; then it falls along a cosine. sort: first order the channels by importance.
    """

    match: str
    options: int = 0
    passes: int = 1
    share: float = 0.2
    peak: float = 1.0
    warmup: float = 0.0
    sort: bool = False


EPOCHS = 180 + 120 + 25 + 120 + 25 + 120
"""Of the largest network alone, and of the five phases."""
PHASES = (
    Phase(OTHERS, 0, 1, 120 / EPOCHS, 3e-2 / 8.125e-2, 5 / 120),
    Phase(DEPTH, 2, 2, 25 / EPOCHS, 2.5e-3 / 8.125e-2),
    Phase(DEPTH, 0, 2, 120 / EPOCHS, 7.5e-3 / 8.125e-2, 5 / 120),
    Phase(WIDTH, 2, 4, 25 / EPOCHS, 2.5e-3 / 8.125e-2, sort=True),
    Phase(WIDTH, 0, 4, 120 / EPOCHS, 7.5e-3 / 8.125e-2, 5 / 120),
)
"""As published: epochs, sub-networks and rates of `train_ofa_net.py`; the rates, by batch of 64, as shares of the
largest network's (2.6 for batches of 2,048: section 4.1)."""


def phases(space: Space) -> tuple[Phase, ...]:
    """The published phases that open something in a space; UserError where none does.

    The share of a phase that is left out goes to the largest network alone.
    """
    made, opened = [], dict.fromkeys(space.choices, 1)
    for phase in PHASES:
        names = [name for name in space.choices if re.search(phase.match, name)]
        wider = {name: _count(space.choices[name], phase.options) for name in names}
        if any(count > opened[name] for name, count in wider.items()):
            made.append(phase)
            opened |= wider
    if not any(re.search(f"{KERNEL}|{DEPTH}|{WIDTH}", name) for name, count in opened.items() if count > 1):
        raise UserError(
            f"progressive: no choice of {space.name} is a kernel, a depth, an expansion or a width",
            fix="give its phases, or take another rule",
        )
    return tuple(made)


@final
@dataclass(frozen=True)
class Progressive:
    """Progressive shrinking: the largest network alone, then phase after phase, with it as the teacher.

    The first phase begins when the shares of all are left; the largest network as it is then is kept, and teaches to
    the end. A sub-network's loss is that on the labels plus kd_ratio times that on the teacher's softened outputs; the
    gradients of a step's sub-networks are added, with no division, as in the released code.

    phases: () takes `phases(space)`. Limits count once all options are open; before, they could not be kept.
    Departures: channels are sorted once, before the first width phase; resolutions are opened with the kernels.
    """

    phases: tuple[Phase, ...] = ()
    kd_ratio: float = 1.0

    def __post_init__(self) -> None:
        total = sum(phase.share for phase in self.phases)
        if self.phases and not (total < 1 and all(p.share > 0 and p.passes > 0 < p.peak for p in self.phases)):
            raise UserError(
                f"progressive: shares above 0 that leave some of the training to the largest network, got {total:g}",
                fix="make them smaller, and passes and peaks above 0",
            )

    def __call__(self, problem: Problem, at: Moment, rng: Rng) -> Step:
        """The largest network, or the sub-networks of the phase."""
        every, ends = self.phases or phases(problem.space), extremes(problem)
        bounds = _bounds(every, at.steps)
        now = sum(at.step >= bound for bound in bounds[:-1]) - 1
        if now < 0:
            lr = rate(at.step, bounds[0], peak=at.recipe.peak, warmup=at.recipe.warmup)
            return Step((Pass(ends.largest),), rate=lr)
        phase, begin, end = every[now], bounds[now], bounds[now + 1]
        opened = _opened(problem, every[: now + 1])
        archs = [_drawn(problem, opened, rng) for _ in range(phase.passes)]
        return Step(
            tuple(Pass(arch, soft=self.kd_ratio) for arch in archs),
            rate=rate(at.step - begin, end - begin, peak=at.recipe.peak * phase.peak, warmup=phase.warmup),
            keep=ends.largest if at.step == bounds[0] else None,
            sort=any(other.sort and bound == at.step for other, bound in zip(every, bounds[:-1], strict=True)),
        )


def _bounds(every: tuple[Phase, ...], steps: int) -> tuple[int, ...]:
    """The steps at which the phases begin, and the end."""
    first = 1 - sum(phase.share for phase in every)
    begins = accumulate((phase.share for phase in every), initial=first)
    return tuple(max(1, round(steps * begin)) for begin in begins)


def _matched(phase: Phase, space: Space) -> tuple[str, ...]:
    """The names of the choices that a phase opens; UserError where there are none."""
    found = tuple(name for name in space.choices if re.search(phase.match, name))
    if not found:
        raise UserError(f"progressive: no choice of {space.name} matches {phase.match!r}", fix="leave the phase out")
    return found


def _count(choice: Choice, options: int) -> int:
    """How many options of a choice a phase opens."""
    return min(options or len(choice.options), len(choice.options))


def _opened(problem: Problem, done: tuple[Phase, ...]) -> dict[str, tuple[int, ...]]:
    """The options of each choice that are open after these phases began: the largest ones, by index.

    Of what has no order by size, that of the largest network and then the others as they are listed.
    """
    space, largest = problem.space, extremes(problem).largest.labels
    counts = dict.fromkeys(space.choices, 1)
    for phase in done:
        counts |= {name: _count(space.choices[name], phase.options) for name in _matched(phase, space)}
    opened = {}
    for name, choice in space.choices.items():
        order = by_size(choice)[::-1]
        if not order:
            first = largest.get(name, choice.labels[0])
            order = [choice.index(first), *(k for k, label in enumerate(choice.labels) if label != first)]
        opened[name] = tuple(order[: counts[name]])
    return opened


def _drawn(problem: Problem, opened: Mapping[str, tuple[int, ...]], rng: Rng) -> Architecture:
    """A random member of what is open; within the limits where all is."""
    if all(len(opened[name]) == len(choice.options) for name, choice in problem.space.choices.items()):
        return problem.sample(rng)
    ends = extremes(problem)
    for _ in range(DRAWS):
        try:
            arch = problem.space.decide(lambda c: opened[c.name][int(rng.integers(len(opened[c.name])))])
        except Refused:
            continue
        if not ends.free.screen(arch).broken:
            return arch
    return ends.largest
