"""How far the entropy up to a stage can lie, by closed form: what the dual's bound on products needs."""

from __future__ import annotations

import numpy as np

from nas.programs.deepmad.costs import Array
from nas.programs.deepmad.problem import Budgets, Template

SLACK = 1e-9
"""Spans are widened by this part, for the rounding of sums."""


def spans(template: Template, budgets: Budgets, depths: Array) -> tuple[tuple[float, float], ...]:
    """Of each level, between which values X lies (half the sum of the log widths before the level's last stage).

    They hold for every feasible design of every depth vector given, (N, stages).
    """
    made = []
    for end in template.ends:
        if end < 2:
            made.append((0.0, 0.0))
            continue
        blocks = np.unique(depths[:, : end - 1].sum(1))
        low, high = _lows(template, budgets, end - 1, blocks).min(), _highs(template, budgets, end - 1, blocks).max()
        made.append((float(low) * (1 - SLACK), float(max(low, high)) * (1 + SLACK)))
    return tuple(made)


def _lows(template: Template, budgets: Budgets, stage: int, blocks: Array) -> Array:
    """From the least widths; and from rho, where the stage ends a level: 2 S >= D log(D / rho)."""
    power = 1 if template.family == "mobile" else 2
    width = min(template.stems[0], *(row[0] for row in template.widths))
    mid = min(template.limits(row[0])[0] for row in template.widths)
    first = np.log(9 * template.input[0])
    kernel = template.kernels[0]
    sums = first + blocks * (np.log(width) + power * np.log(mid) + 2 * np.log(kernel))
    if stage in template.ends and np.isfinite(budgets.rho):
        layers = 1 + 3 * blocks
        sums = np.maximum(sums, layers * np.log(layers / budgets.rho))
    made: Array = 0.5 * sums
    return made


def _highs(template: Template, budgets: Budgets, stage: int, blocks: Array) -> Array:
    """From the largest widths, and from each budget.

    A block with n channels in has weights of n b + b c >= 2 n b, since widths rise, and b^2 k^2 besides in the resnet
    family. Log is concave, so n blocks that share a budget B have sum log(n b) <= n log(B / 2n); with the second kind,
    log n + 2 log(b k) = log(n b) + log(b k) + log k is largest at n b = (b k)^2 = B / 3n. MACs are weights times areas.
    """
    resnet = template.family == "resnet"
    width = max(template.stems[-1], *(row[-1] for row in template.widths[:stage]))
    mid = max(template.limits(row[-1])[1] for row in template.widths[:stage])
    kernel, first = np.log(template.kernels[-1]), np.log(9 * template.input[0])
    made = blocks * (np.log(width) + (1 + resnet) * np.log(mid) + 2 * kernel)
    for budget in (budgets.params, budgets.macs / min(template.areas[1 : stage + 1])):
        if not np.isfinite(budget):
            continue
        if resnet:
            made = np.minimum(made, blocks * (1.5 * np.log(budget / (3 * blocks)) + kernel))
        else:
            made = np.minimum(made, blocks * (np.log(budget / (2 * blocks)) + 2 * kernel))
    whole: Array = 0.5 * (first + made)
    return whole
