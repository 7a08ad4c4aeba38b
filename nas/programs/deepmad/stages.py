"""The inner problem of one stage: its best inner width and kernel for every pair of widths around it, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from nas.programs.deepmad.costs import Array, squeezed
from nas.programs.deepmad.problem import Template


@final
@dataclass(frozen=True)
class Stage:
    """One stage of a template: its number from 1, and the maximum over what only this stage decides.

    With weight w for each log width of a layer and prices f for the terms of `costs.TERMS`, the inner problem is
    max over b, k of w (all logs of the stage) - f . (its terms), for each depth, width in and width out.
    """

    template: Template
    number: int

    def table(self, depths: Array, weight: Array, prices: Array) -> Array:
        """The maxima, (depths, widths in, widths out); -inf where the two widths may not meet.

        weight: (widths out,), not negative; prices: (terms,).
        """
        f, n, c, mid = prices, self.before, self.outs, self.mids
        inner = self._inner(weight, f)
        logs, cost = weight * np.log(n)[:, None], n[:, None] * (f[10] * c + f[11]) + f[9] * c
        fixed = np.where(self.meet, logs - cost - f[12] * n[:, None] * (n[:, None] == c), -np.inf)
        made = np.empty((len(depths), len(n), len(c)))
        rows = np.arange(len(c))
        for index, deep in enumerate(depths):
            slope = f[1] * deep * c + f[2] * c + f[5]
            by_mid = deep * inner - slope[:, None] * mid
            # The best b falls as n rises, so those of the least and the largest n fence all others in.
            most = np.argmax(by_mid - (f[0] * self.least)[:, None] * mid, 1)
            first = np.argmax(by_mid - (f[0] * self.largest)[:, None] * mid, 1)
            found = np.full((len(n), len(c)), -np.inf)
            for step in range(int((most - first).max()) + 1):
                at = np.minimum(first + step, most)
                np.maximum(found, by_mid[rows, at] - (f[0] * n)[:, None] * mid[rows, at], out=found)
            made[index] = fixed + found + ((deep - 1) * weight * np.log(c) - deep * f[8] * c)
        return made

    def best(self, depth: int, before: int, out: int, weight: float, prices: Array) -> tuple[int, int]:
        """The inner width and the kernel of one entry of the table."""
        f, column = prices, int(np.searchsorted(self.outs, out))
        mids = self.mids[column]
        inner = self._inner(np.full(len(self.outs), weight), f)[column]
        slope = f[0] * before + f[1] * depth * out + f[2] * out + f[5]
        mid = int(mids[np.argmax(depth * inner - slope * mids)])
        worth = [2 * weight * np.log(k) - f[3] * k * k * mid**self._power for k in self._kernels]
        return mid, self._kernels[int(np.argmax(worth))]

    def choices(self, depth: int, column: int, weight: float, prices: Array) -> tuple[Array, Array]:
        """All that the stage may be in front of one width: its worth (N,), and (N, 3) width in, inner width, kernel.

        The width in is a number of the options.
        """
        f, out = prices, self.outs[column]
        rows, kernels = np.flatnonzero(self.meet[:, column]), np.array(self._kernels)
        mids = self.mids[column][self.inside[column]]
        n, b, k = (a.ravel() for a in np.meshgrid(self.before[rows], mids, kernels, indexing="ij"))
        inside = squeezed(b) if f[6] or f[7] else 0
        cost = b * (f[0] * n + f[1] * depth * out + f[2] * out + f[5]) + depth * (f[4] * b + f[8] * out)
        cost = cost + depth * (f[3] * b**self._power * k * k + (f[6] * b + f[7]) * inside)
        cost = cost + n * (f[10] * out + f[11]) + f[9] * out + f[12] * n * (n == out)
        logs = np.log(n) + (depth - 1) * np.log(out) + depth * (self._power * np.log(b) + 2 * np.log(k))
        options = np.stack(np.meshgrid(rows, mids.astype(np.int64), kernels, indexing="ij"), -1).reshape(-1, 3)
        return weight * logs - cost, options

    def _inner(self, weight: Array, f: Array) -> Array:
        """What an inner width is worth for each block, at its best kernel: (widths out, inner widths)."""
        mid, w = self.mids, weight[:, None]
        power = mid if self._power == 1 else mid * mid
        kernel = np.maximum.reduce([2 * w * np.log(k) - f[3] * k * k * power for k in self._kernels])
        made: Array = w * self._power * self._logs + kernel - f[4] * mid
        if f[6] or f[7]:
            made = made - (f[6] * mid + f[7]) * self._squeezed
        made[~self.inside] = -np.inf
        return made

    @cached_property
    def before(self) -> Array:
        """The widths in."""
        return np.array(self.template.widths[self.number - 2] if self.number > 1 else self.template.stems, np.float64)

    @cached_property
    def outs(self) -> Array:
        """The widths out."""
        return np.array(self.template.widths[self.number - 1], np.float64)

    @cached_property
    def meet(self) -> Array:
        """Which width may stand behind which: (widths in, widths out)."""
        n, c = self.before[:, None], self.outs
        made: Array = (n <= c) & (c <= self.template.steepest * n)
        return made

    @cached_property
    def least(self) -> Array:
        """By width out, the least width in."""
        made: Array = np.where(self.meet, self.before[:, None], self.before[-1]).min(0)
        return made

    @cached_property
    def largest(self) -> Array:
        """By width out, the largest width in."""
        made: Array = np.where(self.meet, self.before[:, None], self.before[0]).max(0)
        return made

    @cached_property
    def mids(self) -> Array:
        """By width out, its inner widths; the last one is repeated to fill the row."""
        limits = np.array([self.template.limits(int(c)) for c in self.outs])
        count = int((limits[:, 1] - limits[:, 0]).max()) // self.template.step + 1
        made = limits[:, :1] + self.template.step * np.arange(count)
        return np.asarray(np.minimum(made, limits[:, 1:]), np.float64)

    @cached_property
    def inside(self) -> Array:
        """Which entries of `mids` are no repetitions."""
        made = np.ones(self.mids.shape, bool)
        made[:, 1:] = self.mids[:, 1:] > self.mids[:, :-1]
        return made

    @cached_property
    def _logs(self) -> Array:
        return np.log(self.mids)

    @cached_property
    def _squeezed(self) -> Array:
        return squeezed(self.mids).astype(np.float64)

    @property
    def _power(self) -> int:
        return 1 if self.template.family == "mobile" else 2

    @property
    def _kernels(self) -> tuple[int, ...]:
        return self.template.stage_kernels[self.number - 1]
