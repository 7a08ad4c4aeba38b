"""Counting, which every other proxy must beat, and the norm of the weights, which nearly counts."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.profile import measure
from nas.proxies.facts import Facts, weights


def params(facts: Facts) -> float:
    """How many parameters a network has: its profile's, where its graph is known."""
    if facts.flat is not None:
        return float(measure(facts.flat).total.params)
    return float(sum(p.numel() for p in facts.module.parameters()))


def macs(facts: Facts) -> float:
    """The multiply-accumulates of one input: its profile's, where its graph is known, else as torch counts them."""
    if facts.flat is not None:
        return float(measure(facts.flat).total.macs)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        deepcopy(facts.module).eval()(torch.zeros(1, *facts.shape, device=facts.device))
    return float(counted.get_total_flops()) / 2


def l2_norm(facts: Facts) -> float:
    """The sum over layers of |W|, the Euclidean norm of each."""
    return sum(float(w.detach().double().norm()) for w in weights(facts.module))
