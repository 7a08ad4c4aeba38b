"""The optimiser of a module, and the average of the weights it walks through."""

from __future__ import annotations

import copy
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from nas.training.recipe import Recipe


def groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters that train, in two groups: those that decay, and norms and biases, which do not.

    Every parameter of fewer than two dimensions belongs to the second group. A group without parameters is left out.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    heavy = [parameter for parameter in trained if parameter.ndim >= 2]
    light = [parameter for parameter in trained if parameter.ndim < 2]
    both = [{"params": heavy, "weight_decay": weight_decay}, {"params": light, "weight_decay": 0.0}]
    return [group for group in both if group["params"]]


def optimiser(module: nn.Module, recipe: Recipe) -> Optimizer:
    """The optimiser that a recipe names, over the parameters of a module; one kernel walks all of them."""
    parts = groups(module, recipe.weight_decay)
    if recipe.optimiser == "adamw":
        return AdamW(parts, lr=recipe.peak, fused=True)
    return SGD(parts, lr=recipe.peak, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)


def descend(made: Optimizer) -> None:
    """One step of an optimiser.

    Its kernel knows contiguous tensors alone and copies all others first, which costs channels-last weights four times
    the step. They are contiguous too, with their axes in another order: they are shown to it in that one.
    """
    weights = [weight for group in made.param_groups for weight in group["params"]]
    turned = [weight for weight in weights if weight.grad is not None and _channels_last(weight)]
    for weight in turned:
        _turn(weight, made, (0, 2, 3, 1))
    try:
        made.step()
    finally:
        for weight in turned:
            _turn(weight, made, (0, 3, 1, 2))


def _channels_last(tensor: Tensor) -> bool:
    return tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)


def _turn(weight: Tensor, made: Optimizer, order: tuple[int, ...]) -> None:
    kept = [value for value in made.state[weight].values() if isinstance(value, Tensor) and value.ndim == 4]
    for tensor in (weight, weight.grad, *kept):
        if tensor is not None:
            tensor.data = tensor.data.permute(order)


@final
class Average:
    """The exponential moving average of a module's weights and running statistics, itself a module.

    After step t (from 0) each value moves by 1 - min(decay, (1 + t) / (10 + t)) of the way to the module's. What is
    not floating point (a count of batches) is copied.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        mine = [*self.module.parameters(), *self.module.buffers()]
        theirs = [value.detach() for value in (*module.parameters(), *module.buffers())]
        pairs = list(zip(mine, theirs, strict=True))
        self._mine = [a for a, _ in pairs if a.is_floating_point()]
        self._theirs = [b for a, b in pairs if a.is_floating_point()]
        self._others = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the module's values after a step (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._mine, self._theirs, 1 - decay)

    @torch.no_grad()
    def settle(self) -> None:
        """Copy what cannot be averaged; due before the averaged module is used or stored."""
        for mine, theirs in self._others:
            mine.copy_(theirs)
