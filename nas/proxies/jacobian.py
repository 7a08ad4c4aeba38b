"""Proxies of the Jacobian: how alike a network's slopes are at different images."""

from __future__ import annotations

import numpy as np
import torch

from nas.proxies.facts import Facts
from nas.proxies.forward import forward
from nas.roles import Array

SMALL = 1e-5
"""The k of both papers."""
MANY = 100
"""With more classes EPE-NAS compares classes instead of adding them up."""


def jacobian(facts: Facts) -> Array:
    """d(sum of logits)/d(image), flattened: (B, C H W)."""
    made = facts.get(forward)
    (found,) = torch.autograd.grad(made.logits.sum(), made.images, retain_graph=True, allow_unused=True)
    slopes = torch.zeros_like(made.images) if found is None else found
    rows: Array = slopes.flatten(1).double().cpu().numpy()
    return rows


def jacob_cov(facts: Facts) -> float:
    """-sum(log(v + k) + 1 / (v + k)) over the eigenvalues v of the Jacobians' correlations.

    Mellor et al. 2020 (the first version of arXiv:2006.04647), k = 1e-5: -B for B images whose Jacobians have nothing
    in common, the larger the better.
    """
    return spectrum(correlations(facts.get(jacobian)))


def epe_nas(facts: Facts) -> float:
    """How far Jacobians of one class are uncorrelated, added up over classes (Lopes et al. 2021, arXiv:2102.08099)."""
    rows, labels = facts.get(jacobian), facts.labels.cpu().numpy()
    return by_class(rows, labels, facts.get(forward).logits.shape[1])


def correlations(rows: Array) -> Array:
    """Pearson's correlations of rows, (B, B); ValueError where a row is constant, so that it has none."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    if not np.all(norms > 0) or not np.all(np.isfinite(norms)):
        raise ValueError("the output does not depend on some image, so its Jacobian has no correlation")
    scaled = centred / norms
    made: Array = scaled @ scaled.T
    return made


def spectrum(kernel: Array) -> float:
    """-sum(log(v + k) + 1 / (v + k)) over the eigenvalues v of a correlation matrix."""
    values = np.linalg.eigvalsh(kernel).clip(min=0) + SMALL
    return -float((np.log(values) + 1 / values).sum())


def by_class(rows: Array, labels: Array, classes: int) -> float:
    """EPE-NAS of Jacobians (B, n) with labels (B,)."""
    parts = []
    for label in np.unique(labels):
        kernel = correlations(rows[labels == label])
        score = float(np.log(np.abs(kernel) + SMALL).sum())
        parts.append(score / len(kernel) if classes > MANY else score)
    values = np.array(parts)
    if classes <= MANY:
        return float(np.abs(values).sum())
    return float(np.abs(values[:, None] - values[None, :]).sum() / len(values))
