"""DARTS and its kin: alphas shared by what shares a name, learnt by first or second order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, final

import torch
from torch import Tensor

from nas.data import Data, Part
from nas.errors import UserError
from nas.problem import Problem
from nas.training.recipe import Recipe
from nas.training.relax.bilevel import first_order, second_order
from nas.training.relax.mixing import Mixing, Squash
from nas.training.relax.searching import Batch, Descent, Searching
from nas.training.relax.stop import Stop
from nas.weights import Supernet


@final
@dataclass(frozen=True)
class Relaxed:
    """Differentiable search (Liu et al. 2019, arXiv:1806.09055), by the images that train alone.

    order: 1 takes the alphas' gradient at the weights as they are, 2 behind one unrolled step of them. edges, and
    `partial` among the parts: PC-DARTS (arXiv:1907.05737), which also freezes the alphas in 15 epochs (`warmup`).
    spread: deviation of the first alphas. parts: what `Supernet` is given; the paper's norms have no scale and shift,
    and stand behind pools too.
    """

    order: Literal[1, 2] = 1
    squash: Squash = "softmax"
    edges: bool = False
    warmup: int = 0
    stop: Stop | None = None
    descent: Descent = Descent()
    spread: float = 1e-3
    parts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise UserError(f"a relaxed search is of order 1 or 2, not {self.order}")

    def begin(
        self, problem: Problem, data: Data, train: Part, recipe: Recipe, *, seed: int, device: torch.device
    ) -> Searching:
        """A new supernet and new alphas; UserError where the space cannot be relaxed."""
        supernet = Supernet(problem.space, seed=seed, **self.parts)
        mixing = Mixing(problem.space, self.squash, edges=self.edges)
        return Searching(
            supernet,
            mixing,
            mixing.first(seed, self.spread),
            _first if self.order == 1 else _second,
            train,
            data.info,
            recipe,
            descent=self.descent,
            warmup=self.warmup,
            stop=self.stop,
            method=repr(self),
            seed=seed,
            device=device,
        )


def _first(search: Searching, train: Batch, held: Batch, step: int) -> tuple[Tensor, Tensor]:
    return first_order(search.alphas, lambda: search.loss(held, search.mixing(search.alphas)))


def _second(search: Searching, train: Batch, held: Batch, step: int) -> tuple[Tensor, Tensor]:
    group = search.sgd.param_groups[0]
    moments = [search.sgd.state[weight].get("momentum_buffer") for weight in search.weights]
    return second_order(
        search.alphas,
        search.weights,
        lambda: search.loss(train, search.mixing(search.alphas)),
        lambda: search.loss(held, search.mixing(search.alphas)),
        rate=group["lr"],
        momentum=group["momentum"],
        decay=group["weight_decay"],
        moments=moments,
    )
