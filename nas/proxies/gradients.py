"""Proxies of one backward of the cross-entropy: gradient norm, SNIP, plain, Fisher, and GraSP by a second one.

As in Abdelfattah et al. 2021 (arXiv:2101.08134, section 3.2) and NAS-Bench-Suite-Zero (Krishnakumar et al. 2022,
arXiv:2210.03230): over the weights of convolutions and linear layers, in train mode, one batch. A layer that no
gradient reaches counts 0.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nas.proxies.facts import Facts, layers, weights
from nas.proxies.forward import forward


def gradients(facts: Facts) -> list[Tensor]:
    """dL/dW of each layer, of its weight's shape; with their graph where GraSP will ask."""
    made, learnt = facts.get(forward), weights(facts.module)
    loss = functional.cross_entropy(made.logits, facts.labels)
    made.taps.open = True
    try:
        found = torch.autograd.grad(
            loss, learnt, create_graph="grasp" in facts.names, retain_graph=True, allow_unused=True
        )
    finally:
        made.taps.open = False
    return _filled(found, learnt)


def grad_norm(facts: Facts) -> float:
    """The sum over layers of |dL/dW|, the Euclidean norm of each."""
    return sum(float(g.detach().double().norm()) for g in facts.get(gradients))


def snip(facts: Facts) -> float:
    """The sum of |W dL/dW| (Lee et al. 2019, arXiv:1810.02340, equation 6 unnormalised)."""
    return sum(float(product.abs().sum(dtype=torch.float64)) for product in _products(facts))


def plain(facts: Facts) -> float:
    """The sum of W dL/dW, signs kept (Mozer and Smolensky 1988)."""
    return sum(float(product.sum(dtype=torch.float64)) for product in _products(facts))


def fisher(facts: Facts) -> float:
    """The sum over channels of 1/2 mean_n (sum_hw a dL/da)^2, once for each weight of the channel.

    Theis et al. 2018 (arXiv:1801.05787); counting a channel once for each of its weights is what the released code of
    Abdelfattah et al. and NAS-Bench-Suite-Zero do.
    """
    facts.get(gradients)
    channels = facts.get(forward).taps.channels
    return sum(float(channels[x].sum()) * _fan(x.weight) for x in layers(facts.module) if x in channels)  # type: ignore[arg-type]  # a weight


def grasp(facts: Facts) -> float:
    """The sum of -W H g, with g = dL/dW and H the Hessian of L.

    Wang et al. 2020 (arXiv:2002.07376, equation 8); larger is better with the sign of the released code of Abdelfattah
    et al., temperature 1, both gradients of one batch.
    """
    found, learnt = facts.get(gradients), weights(facts.module)
    inner = torch.stack([(g.detach() * g).sum() for g in found if g.requires_grad] or [torch.zeros(())]).sum()
    if not inner.requires_grad:
        return 0.0
    second = _filled(torch.autograd.grad(inner, learnt, retain_graph=True, allow_unused=True), learnt)
    return sum(float(-(w.detach() * h).sum(dtype=torch.float64)) for w, h in zip(learnt, second, strict=True))


def _products(facts: Facts) -> list[Tensor]:
    learnt = weights(facts.module)
    return [w.detach() * g.detach() for w, g in zip(learnt, facts.get(gradients), strict=True)]


def _filled(found: tuple[Tensor | None, ...], learnt: list[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(w) if g is None else g for g, w in zip(found, learnt, strict=True)]


def _fan(weight: Tensor) -> int:
    return weight[0].numel()
