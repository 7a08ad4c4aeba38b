"""When a relaxed search ends early, and which epoch's alphas it returns: the cures of its collapse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
import torch
from torch import Tensor

from nas.derive import Mix, Way, derive, thresholded, uses
from nas.space import Architecture, Space
from nas.training.relax.distance import distance

ROUNDS = 50
"""Products with the Hessian, at most, for one eigenvalue."""
CLOSE = 1e-3
"""An eigenvalue that a round changes by a smaller share is found."""


@final
@dataclass(frozen=True)
class Seen:
    """A search after an epoch, the first before any. sharpness: the Hessian's eigenvalue, where it is asked for."""

    mix: Mix
    sharpness: float = float("nan")


class Stop(Protocol):
    """Says after each epoch whether a search ends. A frozen dataclass of plain values; picklable.

    sharp: whether it wants to know the sharpness.
    """

    @property
    def sharp(self) -> bool: ...

    def __call__(self, space: Space, seen: Sequence[Seen]) -> int | None:
        """None to go on; else the epoch whose alphas are returned. seen: of the epochs 0 (before any) to this one."""


@final
@dataclass(frozen=True)
class Sharpness:
    """Ends where the loss grows sharp in the alphas (Zela et al. 2020, arXiv:1909.09656, section 4.3).

    With the largest eigenvalue of the Hessian averaged over `window` epochs: where that of `back` epochs before is less
    than `ratio` times that of now, the alphas of `back` epochs before are returned, from epoch `start` on. As in the
    released code an average belongs to the middle of its window, so a stop is decided half a window later.
    """

    window: int = 5
    back: int = 5
    ratio: float = 0.75
    start: int = 10
    sharp: bool = True

    def __call__(self, space: Space, seen: Sequence[Seen]) -> int | None:
        now, half = len(seen) - 1, self.window // 2
        epoch = now - half - self.back
        if epoch < max(1, self.start):
            return None
        before, here = (self._smooth(seen, last) for last in (now - self.back, now))
        return epoch if here > 0 and before < self.ratio * here else None

    def _smooth(self, seen: Sequence[Seen], last: int) -> float:
        return float(np.mean([one.sharpness for one in seen[max(1, last - self.window + 1) : last + 1]]))


@final
@dataclass(frozen=True)
class Skips:
    """Ends where the derived cell takes an operation too often (Liang et al. 2019, arXiv:1909.06035, criterion 1).

    limit: so many are too many, and the alphas of the epoch before are returned. within: of the choices whose names
    begin so, "normal" for the cells of DARTS. never: as for `derive`. start: the first epoch that is looked at.
    """

    limit: int = 2
    within: str = ""
    never: tuple[str, ...] = ()
    operation: str = "skip_connect"
    start: int = 1
    sharp: bool = False

    def __call__(self, space: Space, seen: Sequence[Seen]) -> int | None:
        now = len(seen) - 1
        if now < max(1, self.start):
            return None
        arch = derive(space, seen[now].mix, never=self.never)
        return now - 1 if uses(arch, self.operation, self.within) >= self.limit else None


@final
@dataclass(frozen=True)
class Settled:
    """Ends where the distance to the architecture at the start no longer changes (DARTOpti, arXiv:2108.09306).

    It has not changed where it is as in each of the `patience` epochs before, to `tolerance`; looked at from epoch
    `start` on, in which the released code counts the epochs of pre-training and 5 more.
    """

    arch: Architecture
    start: int = 10
    patience: int = 4
    tolerance: float = 1e-3
    way: Way = "edge"
    threshold: float = 0.85
    sharp: bool = False

    def __call__(self, space: Space, seen: Sequence[Seen]) -> int | None:
        now = len(seen) - 1
        if now < self.start + self.patience:
            return None
        found = [
            thresholded(space, one.mix, way=self.way, threshold=self.threshold) for one in seen[-self.patience - 1 :]
        ]
        *before, here = (distance(self.arch, one) for one in found)
        return now if all(abs(here - one) <= self.tolerance for one in before) else None


def largest_eigenvalue(loss: Callable[[Tensor], Tensor], at: Tensor, generator: torch.Generator) -> float:
    """The largest eigenvalue of the Hessian of a loss in its argument (n,), by power iteration.

    Where the dominant one is negative, the iteration goes on with the Hessian less that one.
    """
    at = at.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(at), [at], create_graph=True)

    def product(vector: Tensor) -> Tensor:
        made = torch.autograd.grad(slope, [at], vector, retain_graph=True, allow_unused=True, materialize_grads=True)
        return made[0]

    start = torch.randn(at.shape, generator=generator).to(at)
    value = _dominant(product, start)
    if value >= 0:
        return value
    return value + _dominant(lambda vector: product(vector) - value * vector, start)


def _dominant(product: Callable[[Tensor], Tensor], vector: Tensor) -> float:
    """The eigenvalue of the largest size."""
    value = 0.0
    for _ in range(ROUNDS):
        vector = vector / torch.linalg.vector_norm(vector)
        image = product(vector)
        before, value = value, float(vector @ image)
        if not float(torch.linalg.vector_norm(image)) or abs(value - before) <= CLOSE * abs(value):
            return value
        vector = image
    return value
