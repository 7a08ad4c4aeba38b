"""D-DARTS and DARTOpti: each cell has alphas of its own, and a loss that asks what the cell contributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from nas.data import Data, Part
from nas.problem import Problem
from nas.space import Architecture
from nas.training.recipe import Recipe
from nas.training.relax.mixing import Mixing
from nas.training.relax.searching import Batch, Descent, Searching
from nas.training.relax.stop import Stop
from nas.weights import Supernet

LEAST = 0.05
"""A mean contribution of a smaller size counts as this one: else the ablation's gradient would grow without bound."""


@final
@dataclass(frozen=True)
class Distributed:
    """D-DARTS (Heuillet et al. 2021, arXiv:2108.09306): sigmoids, and per cell CE + w01 L01 + wab LAB.

    start: the architecture that DARTOpti starts from; its operations have alphas of 10, the rest of 0, which all have
    without one. warmup: epochs of pre-training, 5 in DARTOpti. w01: of the loss that drives sigmoids to 0 or 1. wab: of
    the ablation loss, which takes a pass more for each cell; 0 leaves it out.

    The released ablation loss is a number without a gradient. Here it has one, see `slope`.
    """

    w01: float = 9.0
    wab: float = 0.7
    start: Architecture | None = None
    warmup: int = 0
    stop: Stop | None = None
    descent: Descent = Descent(
        rate=0.005, alpha_rate=3e-3, alpha_least=1e-3, alpha_betas=(0.9, 0.999), alpha_decay=1e-3
    )
    parts: Mapping[str, Any] = field(default_factory=dict)

    def begin(
        self, problem: Problem, data: Data, train: Part, recipe: Recipe, *, seed: int, device: torch.device
    ) -> Searching:
        """A new supernet and the first alphas; UserError where the space cannot be relaxed."""
        supernet = Supernet(problem.space, seed=seed, **self.parts)
        mixing = Mixing(problem.space, "sigmoid")
        alphas = torch.zeros(mixing.size) if self.start is None else mixing.alphas_of(self.start)
        return Searching(
            supernet,
            mixing,
            alphas,
            self._slope,
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

    def _slope(self, search: Searching, train: Batch, held: Batch, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((search.seed, step))
        noise = torch.from_numpy(rng.random(search.mixing.size, dtype=np.float32)).to(search.device)
        cells, spans = search.mixing.cells(), search.mixing.spans
        of = torch.zeros(search.mixing.size, dtype=torch.int64)
        for k, names in enumerate(cells):
            for name in names:
                of[spans[name]] = k

        def loss(alphas: Tensor, off: int | None) -> Tensor:
            mix = search.mixing(alphas)
            if off is not None:
                mix |= {name: switched(mix[name], noise[spans[name]]) for name in cells[off]}
            return search.loss(held, mix)

        return slope(search.alphas, of.to(search.device), loss, w01=self.w01, wab=self.wab)


def slope(
    alphas: Tensor, cells: Tensor, loss: Callable[[Tensor, int | None], Tensor], *, w01: float, wab: float
) -> tuple[Tensor, Tensor]:
    """The gradient of each cell's own loss in its own alphas, (n,), and the cross-entropy.

    cells: (n,), the cell of each alpha; loss: the cross-entropy with a cell off (None for none), whose operations then
    weigh random numbers. With MC_i = CE - CE(i off), M their mean, and sigma over the alphas of cell i:
    L_i = CE + w01 L01_i + wab LAB_i, L01_i = -mean((sigma - 0.5)^2), LAB_i = (MC_i - M) / |M|.

    LAB is the paper's -(MC_i - M) / M wherever M is negative, as it is where cells are of use; with |M| it does not
    turn round where it is not. It is differentiated whole: through MC_i, in which CE depends on the cell's own alphas,
    and through M, in which the other cells' CE(j off) do.
    """
    count = int(cells.max()) + 1
    whole, full = _gradient(alphas, lambda a: loss(a, None))
    sigma = alphas.detach().sigmoid()
    sizes = torch.bincount(cells, minlength=count)[cells]
    made = full - w01 * 2 * (sigma - 0.5) * sigma * (1 - sigma) / sizes
    if wab:
        found = [_gradient(alphas, lambda a, i=i: loss(a, i)) for i in range(count)]  # type: ignore[misc]  # the default binds
        made = made + wab * ablation(full, cells, whole, [value for value, _ in found], [grad for _, grad in found])
    return made, whole


def ablation(full: Tensor, cells: Tensor, whole: Tensor, off: Sequence[Tensor], slopes: Sequence[Tensor]) -> Tensor:
    """The gradient of LAB_i in the alphas of cell i, (n,).

    full: the gradient of CE, (n,); off, slopes: CE with each cell off, and its gradient, (n,).
    """
    contributions = whole - torch.stack(list(off))
    mean = contributions.mean()
    of_mean = full - torch.stack(list(slopes)).mean(0)
    size = mean.abs().clamp_min(LEAST)
    made = (full - of_mean) / size
    if float(mean.abs()) > LEAST:
        made = made - (contributions - mean)[cells] / size**2 * mean.sign() * of_mean
    return made


def _gradient(alphas: Tensor, loss: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    value = loss(alphas)
    (grad,) = torch.autograd.grad(value, [alphas], allow_unused=True, materialize_grads=True)
    return value.detach(), grad


def switched(weights: Tensor, noise: Tensor) -> Tensor:
    """The weights of a choice of a cell that is off: random numbers; of a choice of (0, 1) the last one is."""
    return noise if len(noise) == len(weights) else torch.cat((1 - noise, noise))
