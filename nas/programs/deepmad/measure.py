"""The objective and the resources of many designs at once (arXiv:2303.02165, equations of section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np

from nas.programs.deepmad.costs import Array, activations, forms, total
from nas.programs.deepmad.problem import Budgets, Design, Score, Template


@final
@dataclass(frozen=True)
class Batch:
    """N designs of one template: stems (N,); depths, outs, mids, kernels (N, stages), whole numbers."""

    stems: Array
    depths: Array
    outs: Array
    mids: Array
    kernels: Array

    @staticmethod
    def of(designs: Sequence[Design]) -> Batch:
        """The designs as arrays."""
        rows = ([d.depths for d in designs], [d.outs for d in designs], [d.mids for d in designs])
        arrays = (np.array(row, np.int64) for row in (*rows, [d.kernels for d in designs]))
        return Batch(np.array([d.stem for d in designs], np.int64), *arrays)

    def take(self, index: Array) -> Batch:
        """Some of them."""
        return Batch(*(part[index] for part in self.parts()))

    def design(self, n: int, head: int = 0) -> Design:
        """One of them."""
        deep, outs, mids, kernels = (tuple(int(v) for v in part[n]) for part in self.parts()[1:])
        return Design(int(self.stems[n]), deep, outs, mids, kernels, head)

    def parts(self) -> tuple[Array, Array, Array, Array, Array]:
        """The five arrays."""
        return self.stems, self.depths, self.outs, self.mids, self.kernels

    def __len__(self) -> int:
        return len(self.stems)


@final
@dataclass(frozen=True)
class Measured:
    """What N designs are worth and cost.

    value, penalty (beta Q), macs, params: (N,). entropies: (N, levels), each times its alpha, so that the value is
    their sum less the penalty. effectiveness: (N, levels), rho.
    """

    value: Array
    entropies: Array
    penalty: Array
    effectiveness: Array
    macs: Array
    params: Array


def measure(template: Template, score: Score, batch: Batch) -> Measured:
    """What designs are worth and cost; they need not keep the template's rules or any budget."""
    entropies, effectiveness = levels(template, score, batch)
    penalty = template.beta * spread(template, score, batch.depths)
    stems, *rows = batch.parts()
    macs, params = (total(template, f, stems, (*rows,)) for f in forms(template, score.count))  # type: ignore[arg-type]  # four rows
    return Measured(entropies.sum(1) - penalty, entropies, penalty, effectiveness, macs, params)


def measured_activations(template: Template, batch: Batch) -> Array:
    """The elements that the convolutions of each design put out, (N,)."""
    stems, *rows = batch.parts()
    return total(template, activations(template), stems, (*rows,))  # type: ignore[arg-type]  # four rows


def levels(template: Template, score: Score, batch: Batch) -> tuple[Array, Array]:
    """The entropy of each level times its alpha, and its effectiveness: (N, levels) each."""
    logs = _logs(max(int(batch.outs.max()), int(batch.mids.max()), int(batch.stems.max())))
    half, twice = 1 if template.family == "mobile" else 2, 2.0 * logs
    areas = logs_of_areas(template, score)
    entropies = np.empty((len(batch), len(areas)))
    effectiveness = np.empty_like(entropies)
    total_logs: Array = np.full(len(batch), float(np.log(9 * template.input[0])))
    layers: Array = np.ones(len(batch), np.int64)
    before, level = logs[batch.stems], 0
    for j in range(template.stages + 1):
        if j:
            deep, out = batch.depths[:, j - 1], logs[batch.outs[:, j - 1]]
            inner = half * logs[batch.mids[:, j - 1]] + twice[batch.kernels[:, j - 1]]
            total_logs = total_logs + before + (deep - 1) * out + deep * inner
            layers, before = layers + 3 * deep, out
        if template.ends[level] != j:
            continue
        wide = before
        if j == template.stages and template.head:
            total_logs, layers, wide = total_logs + before, layers + 1, np.log(template.head)
        entropies[:, level] = (0.5 * template.weights[level]) * (areas[level] + wide) * total_logs
        effectiveness[:, level] = layers * np.exp(-total_logs / layers)
        level += 1
    return entropies, effectiveness


def logs_of_areas(template: Template, score: Score) -> tuple[float, ...]:
    """Log r^2 of each level: 0 where the released code takes the size for 1."""
    gated = score.sizes == "released" and template.family == "mobile"
    return tuple(0.0 if gated and end else float(np.log(template.areas[end])) for end in template.ends)


def logs_before(template: Template, design: Design, stage: int) -> float:
    """The sum of the log widths of all layers before a stage (from 1)."""
    power = 1 if template.family == "mobile" else 2
    made, before = float(np.log(9 * template.input[0])), design.stem
    rows = zip(design.depths, design.outs, design.mids, design.kernels, strict=True)
    for deep, out, mid, kernel in list(rows)[: stage - 1]:
        made += np.log(before) + (deep - 1) * np.log(out) + deep * (power * np.log(mid) + 2 * np.log(kernel))
        before = out
    return float(made)


def spread(template: Template, score: Score, depths: Array) -> Array:
    """Q, the exp of the spread of the depths (N, stages)."""
    counted = depths
    if score.penalty_stages == "released" and template.family == "resnet":
        counted = depths[:, 2:]
    if not counted.shape[1]:
        return np.ones(len(depths))
    var = counted.var(axis=1)
    made: Array = np.exp(var if score.penalty == "var" else np.sqrt(var))
    return made


def over(template: Template, score: Score, budgets: Budgets, batch: Batch) -> dict[str, Array]:
    """By budget, what each design uses over what it may: above 1 where it is broken."""
    found = measure(template, score, batch)
    return {
        "macs": found.macs / budgets.macs,
        "params": found.params / budgets.params,
        "rho": found.effectiveness.max(axis=1) / budgets.rho,
    }


def feasible(found: Measured, budgets: Budgets) -> Array:
    """Which designs keep all budgets."""
    inside: Array = (found.macs <= budgets.macs) & (found.params <= budgets.params)
    inside &= found.effectiveness.max(axis=1) <= budgets.rho
    return inside


@lru_cache(maxsize=8)
def _logs(most: int) -> Array:
    with np.errstate(divide="ignore"):
        made: Array = np.log(np.arange(most + 1))
    return made
