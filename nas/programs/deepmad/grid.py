"""The grid of a template: designs drawn from it, pulled back onto it, and the smallest one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from nas.programs.deepmad.costs import Array
from nas.programs.deepmad.measure import Batch
from nas.programs.deepmad.problem import Template


@final
@dataclass(frozen=True)
class Grid:
    """The options of a template as arrays, and what pulls any whole numbers onto them."""

    template: Template

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Random members, spread over the logarithm of the widths."""
        t, stages = self.template, self.template.stages
        stems = rng.choice(np.array(t.stems), count)
        depths = np.stack([rng.choice(np.array(row), count) for row in t.depths], 1)
        tops = np.log([row[-1] for row in t.widths])
        outs = np.exp(np.sort(rng.uniform(np.log(8), tops.max(), (count, stages)), 1)).astype(np.int64)
        mids = (outs * np.exp(rng.uniform(np.log(t.ratios[0]), np.log(t.ratios[1]), (count, stages)))).astype(np.int64)
        kernels = np.stack([rng.choice(np.array(row), count) for row in t.stage_kernels], 1)
        return self.snap(stems, depths, outs, mids, kernels)

    def snap(self, stems: Array, depths: Array, outs: Array, mids: Array, kernels: Array) -> Batch:
        """The arrays with depths clipped, widths made to rise and put on their options, inner widths in their limits.

        Kernels must be options already. Where no option of a width fits behind the one before it, the nearest above
        the rule is kept, and `members` says that it is none.
        """
        t = self.template
        made_depths, made_outs = np.empty_like(depths), np.empty_like(outs)
        before = stems
        for j, options in enumerate(self.widths):
            rows = self.depths[j]
            near = np.searchsorted(rows, depths[:, j]).clip(0, len(rows) - 1)
            made_depths[:, j] = rows[near]
            low = np.searchsorted(options, before)
            k = np.maximum(np.searchsorted(options, outs[:, j]), low)
            if np.isfinite(t.steepest):
                k = np.maximum(np.minimum(k, np.searchsorted(options, before * t.steepest, side="right") - 1), low)
            before = made_outs[:, j] = options[np.minimum(k, len(options) - 1)]
        low, high = self.limits
        snapped = (mids + t.step // 2) // t.step * t.step
        return Batch(stems, made_depths, made_outs, snapped.clip(low[made_outs], high[made_outs]), kernels)

    def members(self, batch: Batch) -> Array:
        """Whether the widths rise, and not too steeply: all that `snap` cannot always mend."""
        before = np.concatenate([batch.stems[:, None], batch.outs[:, :-1]], 1)
        rises: Array = (before <= batch.outs) & (batch.outs <= self.template.steepest * before)
        return np.asarray(rises.all(1))

    @cached_property
    def widths(self) -> tuple[Array, ...]:
        """The widths of each stage."""
        return tuple(np.array(row) for row in self.template.widths)

    @cached_property
    def depths(self) -> tuple[Array, ...]:
        """The depths of each stage."""
        return tuple(np.array(row) for row in self.template.depths)

    @cached_property
    def limits(self) -> tuple[Array, Array]:
        """The least and the largest inner width, by width."""
        most = max(row[-1] for row in self.template.widths)
        pairs = np.array([self.template.limits(width) for width in range(most + 1)])
        return pairs[:, 0], pairs[:, 1]

    @cached_property
    def smallest(self) -> Batch:
        """The least of everything, one row: it costs the least of all members."""
        t = self.template
        kernels = np.array([[row[0] for row in t.stage_kernels]])
        least = np.array([[row[0] for row in t.depths]])
        ones = np.ones((1, t.stages), np.int64)
        return self.snap(np.array([t.stems[0]]), least, ones, ones, kernels)
