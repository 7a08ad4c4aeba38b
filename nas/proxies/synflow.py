"""SynFlow: how much flows through a network of absolute weights (Tanaka et al. 2020, arXiv:2006.05467)."""

from __future__ import annotations

import math
import sys
from copy import deepcopy
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from nas.proxies.facts import Facts, weights
from nas.tree import Shape

LEAST = sys.float_info.min
"""What a flow of nothing counts as, so that its log is finite: -708.4."""


@final
@dataclass(frozen=True)
class Flow:
    """What comes out for an input of ones, and of each layer the sum of |W dR/dW|; R itself for one that all passes."""

    total: float
    layers: tuple[float, ...]


def synflow(facts: Facts) -> float:
    """The log of the sum of |W dR/dW|, with batch norms left out.

    As in NAS-Bench-Suite-Zero, which stores the log too, since the sum spans 60 orders of magnitude; but there a
    network through which nothing flows has 0, and here the least, -708.4. Other norms stay: without them attention has
    no scale.
    """
    total = math.fsum(flow(facts.module, facts.shape).layers)
    if not math.isfinite(total):
        raise ValueError("the flow is beyond the range of double precision")
    return math.log(max(total, LEAST))


def flow(module: nn.Module, shape: Shape) -> Flow:
    """The flow through a copy of a module, in double precision, for one input of ones of a shape (C, H, W)."""
    made = deepcopy(module).double().eval()
    for norm in [part for part in made.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]:
        setattr(norm, "forward", _same)  # noqa: B010  # the type checker refuses an assignment to a method
    with torch.no_grad():
        for tensor in made.parameters():
            tensor.abs_()
    learnt = weights(made)
    device = learnt[0].device if learnt else torch.device("cpu")
    out = made(torch.ones(1, *shape, dtype=torch.float64, device=device))
    total = (out[0] if isinstance(out, tuple) else out).sum()
    if not total.requires_grad:
        return Flow(float(total), (0.0,) * len(learnt))
    found = torch.autograd.grad(total, learnt, allow_unused=True)
    sums = [0.0 if g is None else float((w.detach() * g).abs().sum()) for w, g in zip(learnt, found, strict=True)]
    return Flow(float(total.detach()), tuple(sums))


def _same(x: Tensor) -> Tensor:
    return x
