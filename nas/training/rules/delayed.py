"""Sub-networks join when the full one is half trained (Khare et al. 2024, arXiv:2407.06167, DepsilonS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.errors import UserError
from nas.problem import Problem
from nas.space import Rng
from nas.training.rules.extremes import extremes
from nas.training.rules.rule import Moment, Pass, Step
from nas.training.rules.sandwich import layers, refuse_few


@final
@dataclass(frozen=True)
class Delayed:
    """Delayed epsilon-shrinking: the full network alone, then a sandwich whose other passes count beta each.

    start: the share of the steps after which they count fully, T_w; ramp: the share, before it, in which they come in.
    Published for ImageNet: 150 and 5 of 270 epochs. epsilon: what beta comes to (the released code's multipliers); at 0
    the full network is alone for ever. sort: whether channels are ordered by importance once, before the others join.
    The gradients are added: g_max + beta(t) * (g_min + the random ones').
    """

    start: float = 0.5
    ramp: float = 0.02
    count: int = 4
    epsilon: float = 1.0
    sort: bool = True

    def __post_init__(self) -> None:
        refuse_few(self.count)
        if not 0 <= self.ramp <= self.start <= 1:
            raise UserError(
                f"delayed: start {self.start:g} and ramp {self.ramp:g} must be 0 <= ramp <= start <= 1",
                fix="the defaults are 0.5 and 0.02",
            )

    def __call__(self, problem: Problem, at: Moment, rng: Rng) -> Step:
        """One pass before the others join, then `count`."""
        beta = self.beta(at)
        if beta == 0:
            return Step((Pass(extremes(problem).largest),))
        first, _ = self._bounds(at)
        return Step(layers(problem, rng, self.count, beta), sort=self.sort and at.step == first > 0)

    def beta(self, at: Moment) -> float:
        """The weight of the others' gradients: their learning rate rises from 0 to the full network's of T_w.

        0 before the ramp; in it beta = (T_cur / T_total) * lr(T_w) / lr(t), with T_cur the steps of the ramp, this one
        included, of T_total; then 1. All times epsilon (`deps.py` of the authors' package).
        """
        first, full = self._bounds(at)
        if at.step < first:
            return 0.0
        if at.step >= full:
            return self.epsilon
        return self.epsilon * (at.step - first + 1) / (full - first) * at.rate(full) / at.rate()

    def _bounds(self, at: Moment) -> tuple[int, int]:
        return round((self.start - self.ramp) * at.steps), round(self.start * at.steps)
