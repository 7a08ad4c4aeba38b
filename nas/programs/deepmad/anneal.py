"""Annealing of many designs at once, for a good design early; it proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import final

import numpy as np

from nas.programs.deepmad.costs import Array
from nas.programs.deepmad.grid import Grid
from nas.programs.deepmad.measure import Batch, Measured, feasible, measure
from nas.programs.deepmad.problem import Budgets, Score, Template

CHAINS = 384
HOT, COLD = 0.02, 2e-5
"""The first and the last temperature, as parts of the size of the best value."""
PRICE = 4.0
"""What a budget broken by its half costs, in sizes of the best value: more than the half gains."""


@final
@dataclass(frozen=True)
class Found:
    """The best design that keeps all budgets, and its value; where none was met, the one that breaks them least."""

    batch: Batch
    value: float
    feasible: bool


def anneal(
    template: Template,
    score: Score,
    budgets: Budgets,
    *,
    steps: int,
    rng: np.random.Generator,
    start: Batch | None = None,
    hot: float = HOT,
    stop: float = np.inf,
    stopped: Callable[[], bool] = bool,
    chains: int = CHAINS,
    nearest: bool = False,
) -> Found:
    """The best of `chains` chains of `steps` moves, from random members or from the rows of `start`.

    stop: the time (of `time.monotonic`) at which it ends early; stopped: whether it shall end now.
    nearest: look for what breaks the budgets least, and for nothing else.
    """
    grid = Grid(template)
    state = grid.draw(chains, rng) if start is None else start.take(rng.integers(0, len(start), chains))
    if start is None:
        state = _put(state, grid.smallest, np.arange(chains) == 0)
    found = measure(template, score, state)
    best = _best(None, grid, state, found, budgets)
    size = 1.0 if nearest else max(1.0, float(np.abs(found.value).max()))

    def energy(batch: Batch, made: Measured) -> Array:
        if nearest:
            return -np.log(_worst(grid, batch, made, budgets))
        return _worth(grid, batch, made, budgets, size)

    worth = energy(state, found)
    for step in range(steps):
        if step % 16 == 0:
            size = max(1.0, abs(best.value)) if best.feasible and not nearest else size
            worth = energy(state, found)
            if monotonic() > stop or stopped() or (nearest and best.feasible):
                break
        heat = size * hot * (COLD / hot) ** (step / steps)
        new = _moved(grid, state, rng, step)
        fresh = measure(template, score, new)
        gain = energy(new, fresh)
        best = _best(best, grid, new, fresh, budgets)
        taken = gain - worth > heat * np.log(rng.random(chains))
        state, found, worth = _put(state, new, taken), _mixed(found, fresh, taken), np.where(taken, gain, worth)
        if step % 200 == 199:
            order = np.argsort(-worth, kind="stable")
            copies = np.concatenate([order[: chains - chains // 4], order[: chains // 4]])
            state, found, worth = state.take(copies), _taken(found, copies), worth[copies]
    return best


def _moved(grid: Grid, state: Batch, rng: np.random.Generator, step: int) -> Batch:
    """Each design with one random change; the kind of the change is one for all, so that most arrays stay."""
    t, count = grid.template, len(state)
    stems, depths, outs, mids, kernels = (part.copy() for part in state.parts())
    rows, kind = np.arange(count), int(rng.integers(8))
    j, other = rng.integers(0, t.stages, (2, count))
    if kind <= 1:  # a stage deeper or shallower; for 1, another the other way
        by = rng.choice(np.array([-2, -1, 1, 2] if kind == 0 else [-1, 1]), count)
        depths[rows, j] += by
        if kind == 1:
            depths[rows, other] -= by
    if kind in (0, 2, 3, 4, 7):  # a width, with its inner width; for 3, another the other way
        near = 1 + int(16 * rng.random() ** 3)
        by = t.step * rng.integers(-near, near + 1, count)
        ratio = mids / outs
        outs[rows, j] = np.maximum(outs[rows, j] + by, 1)
        if kind == 3:
            outs[rows, other] = np.maximum(outs[rows, other] - by, 1)
        if kind != 4:
            mids = (ratio * outs).astype(np.int64)
    if kind in (5, 7):
        mids[rows, other] += t.step * rng.integers(-4, 5, count)
    if kind == 6:
        if step % 3 == 0:
            stems = rng.choice(np.array(t.stems), count)
        else:
            drawn = np.stack([rng.choice(np.array(row), count) for row in t.stage_kernels], 1)
            kernels[rows, j] = drawn[rows, j]
    return grid.snap(stems, depths, outs, mids, kernels)


def _worth(grid: Grid, state: Batch, found: Measured, budgets: Budgets, size: float) -> Array:
    broken = np.maximum(0, found.macs / budgets.macs - 1) + np.maximum(0, found.params / budgets.params - 1)
    broken = broken + np.maximum(0, found.effectiveness / budgets.rho - 1).sum(1) + 10.0 * ~grid.members(state)
    made: Array = found.value - PRICE * size * broken
    return made


def _best(best: Found | None, grid: Grid, state: Batch, found: Measured, budgets: Budgets) -> Found:
    inside = feasible(found, budgets) & grid.members(state)
    if inside.any():
        n = int(np.argmax(np.where(inside, found.value, -np.inf)))
        if best is None or not best.feasible or found.value[n] > best.value:
            return Found(state.take(np.array([n])), float(found.value[n]), True)
    elif best is None or not best.feasible:
        worst = _worst(grid, state, found, budgets)
        n = int(np.argmin(worst))
        if best is None or -worst[n] > best.value:
            return Found(state.take(np.array([n])), -float(worst[n]), False)
    return best


def _worst(grid: Grid, state: Batch, found: Measured, budgets: Budgets) -> Array:
    """What each design uses over what it may, of the budget that it breaks most."""
    made: Array = np.maximum(found.macs / budgets.macs, found.params / budgets.params)
    made = np.maximum(made, found.effectiveness.max(1) / budgets.rho)
    return made + 1e9 * ~grid.members(state)


def _put(old: Batch, new: Batch, where: Array) -> Batch:
    pairs = zip(old.parts(), new.parts(), strict=True)
    return Batch(*(np.where(where if a.ndim == 1 else where[:, None], b, a) for a, b in pairs))


def _mixed(old: Measured, new: Measured, where: Array) -> Measured:
    def mix(a: Array, b: Array) -> Array:
        return np.where(where if a.ndim == 1 else where[:, None], b, a)

    return Measured(*(mix(getattr(old, name), getattr(new, name)) for name in Measured.__match_args__))


def _taken(found: Measured, index: Array) -> Measured:
    return Measured(*(getattr(found, name)[index] for name in Measured.__match_args__))
