"""The gradient of the alphas in a problem of two levels (Liu et al. 2019, arXiv:1806.09055, section 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Loss: TypeAlias = Callable[[], Tensor]
"""A loss () of the weights and the alphas as they are when it is called."""
RADIUS = 0.01
"""How far the weights move for the difference, in units of length (the paper's section 2.3, footnote)."""


def first_order(alphas: Tensor, held: Loss) -> tuple[Tensor, Tensor]:
    """The gradient of the held-out loss at the weights as they are, and the loss."""
    loss = held()
    (slope,) = torch.autograd.grad(loss, [alphas])
    return slope, loss.detach()


def second_order(
    alphas: Tensor,
    weights: Sequence[Tensor],
    train: Loss,
    held: Loss,
    *,
    rate: float,
    momentum: float = 0.0,
    decay: float = 0.0,
    moments: Sequence[Tensor | None] = (),
) -> tuple[Tensor, Tensor]:
    """The gradient of the held-out loss behind one step of the weights, and that loss.

    With w' = w - rate (momentum m + grad_w L_train + decay w) and v = grad_w' L_held(w'), equations 7 and 8:
    grad L_held(w') - rate (grad L_train(w + eps v) - grad L_train(w - eps v)) / (2 eps), eps = 0.01 / |v|, where the
    gradients without an index are those of the alphas. The weights, leaves, are as before afterwards.
    moments: the momentum's m by weight, None or () where there is none yet.
    """
    before = [weight.detach().clone() for weight in weights]
    steps = _slopes(train(), weights)
    with torch.no_grad():
        for k, weight in enumerate(weights):
            step, moment = steps[k].add(weight, alpha=decay), moments[k] if moments else None
            weight.sub_(step if moment is None else step.add(moment, alpha=momentum), alpha=rate)
    loss = held()
    slope, *v = _slopes(loss, [alphas, *weights])
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(some) for some in v]))
    if not float(norm):
        _put(weights, before)
        return slope, loss.detach()
    eps = RADIUS / float(norm)
    sides = []
    for side in (eps, -eps):
        _put(weights, [w.add(some, alpha=side) for w, some in zip(before, v, strict=True)])
        sides.append(_slopes(train(), [alphas])[0])
    _put(weights, before)
    return slope - rate * (sides[0] - sides[1]) / (2 * eps), loss.detach()


def _slopes(loss: Tensor, of: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, list(of), allow_unused=True, materialize_grads=True)


@torch.no_grad()
def _put(weights: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)
