"""Proxies of activation codes: what an input's signs at every activation tell apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nas.proxies.facts import Facts
from nas.proxies.forward import forward
from nas.roles import Array


def agreement(facts: Facts) -> tuple[Array, int]:
    """In how many units the codes of two images agree, (B, B), and how many units there are.

    ValueError where the network has no activation that splits its input by sign.
    """
    signs = facts.get(forward).signs
    if not signs:
        raise ValueError("no activation of the network splits its input by sign")
    return agreeing(signs), sum(code.shape[1] for code in signs)


def agreeing(signs: list[Tensor]) -> Array:
    """(B, B) counts of equal signs, exact, from codes of (B, units) each.

    c c' + (1 - c)(1 - c)' for c in {0, 1} is (s s' + units) / 2 for s in {-1, 1}; sums of up to 2^24 ones are exact
    in float32, so a layer of more units is cut.
    """
    total = torch.zeros(len(signs[0]), len(signs[0]), dtype=torch.float64, device=signs[0].device)
    for code in signs:
        for part in torch.split(code, 1 << 22, dim=1):
            sides = part.float().mul_(2).sub_(1)
            total += ((sides @ sides.T).double() + part.shape[1]) / 2
    made: Array = total.cpu().numpy()
    return made


def nwot(facts: Facts) -> float:
    """log|det K| of the agreement of codes (Mellor et al. 2021, arXiv:2006.04647, equation 2)."""
    return log_det(facts.get(agreement)[0])


def regions(facts: Facts) -> float:
    """In how many linear regions the images lie (Chen et al. 2021, arXiv:2102.11535, section 3.1.2)."""
    kernel, units = facts.get(agreement)
    return distinct(kernel, units)


def log_det(kernel: Array) -> float:
    """The log of the determinant of a kernel (B, B), finite always.

    An eigenvalue below rounding, B eps times the largest, counts as that: of two images with one code one eigenvalue
    is 0, and the plain determinant's log would be minus infinity.
    """
    values = np.linalg.eigvalsh(kernel)
    least = len(values) * np.finfo(np.float64).eps * max(float(values[-1]), np.finfo(np.float64).tiny)
    return float(np.log(np.maximum(values, least)).sum())


def distinct(kernel: Array, units: int) -> float:
    """How many different codes there are: each image counts one over how many share its code."""
    return float((1.0 / (kernel == units).sum(axis=1)).sum())
