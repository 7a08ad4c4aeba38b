"""Several sub-networks, each on its own part of the batch (Liao et al. 2021, arXiv:2109.00642, ViT-ResNAS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.errors import UserError
from nas.problem import Problem
from nas.space import Rng
from nas.training.rules.rule import Moment, Pass, Step


@final
@dataclass(frozen=True)
class Multi:
    """Multi-architectural sampling: the batch in `count` equal parts, a random sub-network for each.

    The loss is the mean over the batch, so each part's gradient counts 1/count; a step sees each image once, and costs
    what one sub-network costs. Published: parts of 64 images, two a GPU.
    """

    count: int = 2

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f"multi: a batch has at least 1 part, got {self.count}", fix="the default is 2")

    def __call__(self, problem: Problem, at: Moment, rng: Rng) -> Step:
        """A pass a part."""
        n = self.count
        return Step(tuple(Pass(problem.sample(rng), 1 / n, part=(k, n)) for k in range(n)))
