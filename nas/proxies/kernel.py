"""The condition number of the neural tangent kernel (Chen et al. 2021, arXiv:2102.11535, section 3.1.1)."""

from __future__ import annotations

import numpy as np
import torch

from nas.proxies.facts import Facts, logits
from nas.roles import Array

SAMPLES = 16
"""How many images the kernel has; each costs a backward of its own."""
NOTHING = 1e5
"""The condition number of a kernel that is zero, as in the released code."""


def ntk(facts: Facts) -> float:
    """Minus the condition number of G G', where row i of G is the gradient of the sum of image i's logits.

    Over everything called a weight (of layers and norms), in train mode, as in the released code of TE-NAS.
    """
    images = facts.images[:SAMPLES]
    learnt = [p for name, p in facts.module.named_parameters() if name.endswith("weight") and p.requires_grad]
    out = logits(facts.module, images).sum(dim=1)
    rows = []
    for one in out:
        found = torch.autograd.grad(one, learnt, retain_graph=True, allow_unused=True)
        rows.append(torch.cat([g.flatten() for g in found if g is not None] or [torch.zeros(1)]).double())
    slopes = torch.stack(rows)
    kernel: Array = (slopes @ slopes.T).cpu().numpy()
    return -condition(kernel)


def condition(kernel: Array) -> float:
    """The largest over the least eigenvalue of a kernel (B, B).

    1e5 where the kernel is zero; at most one over the precision, where rounding alone keeps it from being singular.
    """
    if not np.all(np.isfinite(kernel)):
        raise ValueError("the kernel is not finite")
    values = np.linalg.eigvalsh(kernel)
    most = float(values[-1])
    if most <= 0:
        return NOTHING
    return most / max(float(values[0]), most * np.finfo(np.float64).eps)
