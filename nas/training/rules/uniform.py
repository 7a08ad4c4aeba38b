"""One random sub-network a step (Guo et al. 2020, arXiv:1904.00420, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import final

from nas.errors import UserError
from nas.problem import Problem
from nas.space import Architecture, Rng
from nas.training.rules.rule import Moment, Pass, Step

TRIES = 500
"""Draws for one bin of MACs, as in the released code; the last one is taken if none falls into it."""


@final
@dataclass(frozen=True)
class Uniform:
    """Each step one member of the space, at each choice all options as likely; within the limits of the problem.

    bins: edges of bins of MACs, ascending; each step draws a bin, and redraws until a member lies in it, as the
    released code does with (290e6, 300e6, ..., 360e6). () for none.
    """

    bins: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.bins) == 1 or any(a >= b for a, b in pairwise(self.bins)):
            raise UserError(f"bins of MACs are at least two ascending edges, got {self.bins}", fix="or () for none")

    def __call__(self, problem: Problem, at: Moment, rng: Rng) -> Step:
        """One pass."""
        return Step((Pass(self.drawn(problem, rng)),))

    def drawn(self, problem: Problem, rng: Rng) -> Architecture:
        """One member."""
        arch = problem.sample(rng)
        if not self.bins:
            return arch
        k = int(rng.integers(len(self.bins) - 1))
        for _ in range(TRIES):
            if self.bins[k] <= problem.screen(arch).metrics.get("macs", -1.0) < self.bins[k + 1]:
                break
            arch = problem.sample(rng)
        return arch
