"""ZiCo: gradients that are large and agree from batch to batch (Li et al. 2023, arXiv:2301.11300)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from nas.proxies.facts import Facts, logits, weights
from nas.proxies.gradients import gradients


def zico(facts: Facts) -> float:
    """The sum over layers of log sum_w mean_b|g| / std_b(g) over the batches b (equation 13); 0 for one batch."""
    found = [[g.detach() for g in facts.get(gradients)]]
    learnt = weights(facts.module)
    for images, labels in facts.batches[1:]:
        loss = functional.cross_entropy(logits(facts.module, images), labels)
        some = torch.autograd.grad(loss, learnt, allow_unused=True)
        found.append([torch.zeros_like(w) if g is None else g for g, w in zip(some, learnt, strict=True)])
    return of_gradients([torch.stack(layer) for layer in zip(*found, strict=True)])


def of_gradients(layers: list[Tensor]) -> float:
    """ZiCo of gradients (batches, *weight) of each layer; a weight of no spread is left out, and a layer of none."""
    total = 0.0
    for layer in layers:
        spread = layer.double().std(dim=0, correction=0)
        there = spread > 0
        score = float((layer.double().abs().mean(dim=0)[there] / spread[there]).sum())
        total += math.log(score) if score > 0 else 0.0
    return total
