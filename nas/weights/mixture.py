"""Which of several supernets a network belongs to: a gate learned from accuracies, and balanced.

Roshtkhari et al. 2023, arXiv:2306.11982, section 3, and the released code. There the marginals of all rounds are kept
and divided by one after the other; as each round only scales the columns, and then the rows, one number a model does
the same: p(m|p) = softmax over m of temperature * table[p, m] - offset[m].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, softmax

Array = NDArray[np.float64]

EVEN = 1e-4
"""The divergence of the models' shares from equal ones at which balancing ends."""


def gate(table: Array, temperature: float, offset: Array | None = None) -> Array:
    """p(m|p), (..., M), the chance of each model for each path; rows sum to 1.

    table: (..., M), the moving average of the accuracies; offset: (M,), what `balancing` found; None for no balance.
    """
    logits = temperature * table if offset is None else temperature * table - offset
    made: Array = softmax(logits, axis=-1)
    return made


def shares(chances: Array) -> Array:
    """(M,), the share of all steps that each model gets where paths (P, M) are equally likely."""
    made: Array = chances.mean(axis=0)
    return made


def divergence(share: Array) -> float:
    """The Kullback-Leibler divergence of shares (M,) from equal ones, in nats."""
    taken = share[share > 0]
    return float((taken * np.log(taken * len(share))).sum())


def balancing(table: Array, temperature: float, *, even: float = EVEN) -> Array:
    """(M,), the sum over all rounds of the logarithms of the models' shares, for `gate`.

    A round divides each model's column by its share and makes the rows sum to 1 again, while the shares' divergence
    from equal ones is above `even`. table: (P, M), finite. Raises ValueError otherwise.
    """
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ValueError(f"a gate's table is finite and of shape (paths, models), not {table.shape}")
    offset = np.zeros(table.shape[1])
    while True:
        # In logarithms: a share below the least float would divide by 0.
        share = logsumexp(log_softmax(temperature * table - offset, axis=1), axis=0) - np.log(len(table))
        if divergence(np.exp(share)) <= even:
            return offset
        offset = offset + share
