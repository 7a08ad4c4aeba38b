"""Zen-score: how far a small change of a random input moves the features of a network of Gaussian weights."""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import Tensor, nn

from nas.proxies.facts import Facts, layers

CHANGE = 0.01
"""The alpha of the paper."""
SAMPLES = 64
"""Random inputs, as in NAS-Bench-Suite-Zero, which draws once; the paper averages 32 draws."""


def zen(facts: Facts) -> float:
    """The log of the mean L1 change of the features before the pooling, and of each batch norm's mean deviation.

    Lin et al. 2021 (arXiv:2102.01063, algorithm 1), as NAS-Bench-Suite-Zero has it: a deviation is the root of the mean
    of a norm's running variances after both forwards. A norm scales what it lets through by one over its deviation,
    which the second term undoes.
    """
    module, rng = deepcopy(facts.module), torch.Generator().manual_seed(facts.seed)
    _draw(module, rng)
    size = (SAMPLES, *facts.shape)
    first, change = (torch.randn(size, generator=rng).to(facts.device) for _ in range(2))
    with torch.no_grad():
        before, after = features(module, first), features(module, first + CHANGE * change)
    moved = float((before - after).abs().flatten(1).double().sum(1).mean())
    if not moved > 0:
        raise ValueError("the features do not depend on the input")
    variances = [
        float(norm.running_var.double().mean())
        for norm in module.modules()
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_var is not None
    ]
    return math.log(moved) + sum(0.5 * math.log(v) for v in variances)


def features(module: nn.Module, images: Tensor) -> Tensor:
    """What reaches the last mean over the image, or the last linear layer where there is none; the output else."""
    pooled: list[Tensor] = []
    linear: list[Tensor] = []

    def hook(part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        (linear if isinstance(part, nn.Linear) else pooled).append(inputs[0])

    kinds = (nn.AdaptiveAvgPool2d, nn.Linear)
    handles = [p.register_forward_pre_hook(hook) for p in module.modules() if isinstance(p, kinds)]
    try:
        out = module(images)
    finally:
        for handle in handles:
            handle.remove()
    return (pooled or linear or [out[0] if isinstance(out, tuple) else out])[-1]


def _draw(module: nn.Module, rng: torch.Generator) -> None:
    """Weights from N(0, 1), no biases, norms that scale nothing and have seen nothing."""
    with torch.no_grad():
        for layer in layers(module):
            weight, bias = layer.weight, layer.bias
            weight.copy_(torch.randn(weight.shape, generator=rng))  # type: ignore[operator, arg-type]  # a tensor
            if bias is not None:
                bias.zero_()  # type: ignore[operator]  # a tensor
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm | nn.GroupNorm | nn.LayerNorm):
            part.reset_parameters()
