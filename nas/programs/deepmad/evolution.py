"""The evolutionary search of the released tool, over many children at once.

Rules as alibaba/lightweight-neural-architecture-search has them (tinynas/spaces/mutator, tinynas/searchers): start from
a network with one block a stage; mutate two parts of a random member; keep the best 256 that meet the budgets. Two
things differ: the last stage is mutated too (the tool's draw leaves it out), and a child is made from the population as
it was up to `brood` children before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import final

import numpy as np

from nas.errors import INFEASIBLE, UserError
from nas.programs.deepmad.costs import Array
from nas.programs.deepmad.grid import Grid
from nas.programs.deepmad.measure import Batch, feasible, measure, over
from nas.programs.deepmad.problem import Budgets, Design, Score, Template

POPULATION = 256
MUTATED = 2
"""Parts of a parent that are changed for a child."""
FACTORS = {"resnet": np.array((1.5, 1.25, 0.8, 0.6, 0.5)), "mobile": np.arange(5, 21) / 10}
"""By what channels are multiplied."""
RATIOS = np.arange(15, 61) / 10
"""The mobile family's inner width over its width."""
DEEPER = np.array((-2, -1, 1, 2))
FIRST = {
    "resnet": ((32, 256, 512, 768, 1024, 2048), (64, 128, 256, 256, 512)),
    "mobile": ((32, 72, 128, 192, 288, 448), (432, 768, 1152, 1728, 2688)),
}
"""The networks that the released searches start from, at 224x224: the stem and the widths, and the inner widths."""


@final
@dataclass(frozen=True)
class Evolved:
    """The best design of a search, its value, and the best value after so many networks."""

    design: Design
    value: float
    curve: tuple[tuple[int, float], ...]


def evolve(
    template: Template,
    score: Score,
    budgets: Budgets,
    *,
    networks: int,
    rng: np.random.Generator,
    population: int = POPULATION,
    brood: int = 64,
    watch: Callable[[int, float], None] | None = None,
) -> Evolved:
    """The search over so many networks, those that break a budget or were seen before included, as the tool counts.

    watch: told the networks so far and the best value, after each brood. UserError where no start meets the budgets.
    """
    alive = Batch.of([first(template, score, budgets)])
    values = measure(template, score, alive).value
    made, marks, curve, seen = 1, _marks(networks), [], set(_rows(alive))
    while made < networks:
        parents = alive.take(rng.integers(0, len(alive), min(brood, networks - made)))
        young = children(template, parents, rng)
        found = measure(template, score, young)
        made += len(young)
        least = values[-1] if len(alive) >= population else -inf
        good = np.flatnonzero(feasible(found, budgets) & (found.value > least))
        rows = dict(zip(_rows(young.take(good)), good, strict=True))
        fresh = [n for row, n in rows.items() if row not in seen]
        seen.update(rows)
        if fresh:
            joined = _join(alive, young.take(np.array(fresh)))
            every = np.concatenate([values, found.value[fresh]])
            order = np.argsort(-every, kind="stable")[:population]
            alive, values = joined.take(order), every[order]
        while marks and made >= marks[0]:
            curve.append((marks.pop(0), float(values[0])))
        if watch is not None:
            watch(made, float(values[0]))
    return Evolved(alive.design(0, template.head), float(values[0]), tuple(curve))


def first(template: Template, score: Score, budgets: Budgets) -> Design:
    """What a search starts from: the tool's network with as many stages as the template has, put on its options.

    Where it breaks a budget it is made narrower, down to 1/64. UserError where none of these meets the budgets.
    """
    (stem, *outs), mids = FIRST[template.family]
    at = np.linspace(0, len(outs) - 1, template.stages)
    wide, inner = (np.exp(np.interp(at, range(len(outs)), np.log(row))) for row in (outs, mids))
    scales = 2.0 ** (-np.arange(13) / 2)
    ones, stems = np.ones((len(scales), template.stages), np.int64), np.array(template.stems)
    started = stems[np.clip(np.searchsorted(stems, stem * scales, side="right") - 1, 0, None)]
    wide, inner = (np.maximum(8, np.rint(scales[:, None] * row)).astype(np.int64) for row in (wide, inner))
    tried = Grid(template).snap(started, ones, wide, inner, ones * template.kernels[0])
    inside = feasible(measure(template, score, tried), budgets) & Grid(template).members(tried)
    if not inside.any():
        fix = "widen them; `nas design` says by how much"
        message = "no network with one block a stage meets the budgets, so that evolution cannot start"
        raise UserError(message, fix=fix, code=INFEASIBLE)
    return tried.design(int(np.argmax(inside)), template.head)


def wander(
    template: Template,
    score: Score,
    budgets: Budgets,
    rng: np.random.Generator,
    *,
    least: float = 0.0,
    walks: int = 256,
    steps: int = 300,
) -> Batch:
    """Random designs that keep the budgets: walks from the start by the tool's mutations, whatever they are worth.

    Of each walk the last design that used at least the part `least` of the MACs or of the parameters, if one did.
    """
    walk = last = Batch.of([first(template, score, budgets)] * walks)
    met = np.zeros(walks, bool)
    for _ in range(steps):
        step = children(template, walk, rng)
        found = measure(template, score, step)
        walk = _put(walk, step, feasible(found, budgets))
        used = over(template, score, budgets, walk)
        full = np.maximum(used["macs"], used["params"]) >= least
        last, met = _put(last, walk, full), met | full
    return last.take(np.flatnonzero(met))


def children(template: Template, parents: Batch, rng: np.random.Generator) -> Batch:
    """A child of each design: two of its parts, the stem or a stage each, are changed by the tool's rules."""
    grid, rows = Grid(template), np.arange(len(parents))
    made = parents
    for _ in range(MUTATED):
        stems, depths, outs, mids, kernels = (part.copy() for part in made.parts())
        part = rng.integers(0, template.stages + 1, len(rows))
        stage, kind = np.maximum(part - 1, 0), rng.integers(0, 4, len(rows))
        kind[part == 0] = -1
        factor = rng.choice(FACTORS[template.family], len(rows))
        stems = _stems(template, stems, outs[:, 0], factor, kind < 0)
        before = np.where(stage > 0, outs[rows, stage - 1], stems)
        wide, inner = outs[rows, stage], mids[rows, stage]
        width, matched = _width(template, stage, before, outs, inner, factor)
        outs[rows, stage] = np.where(kind == 0, width, wide)
        mids[rows, stage] = np.where(
            kind == 0, matched, np.where(kind == 1, _inner(template, wide, inner, factor, rng), inner)
        )
        depths[rows, stage] = np.where(kind == 2, _deeper(depths[rows, stage], rng), depths[rows, stage])
        kernels[rows, stage] = np.where(
            kind == 3, _kernel(template, stage, kernels[rows, stage], rng), kernels[rows, stage]
        )
        made = grid.snap(stems, depths, outs, mids, kernels)
    return made


def _stems(template: Template, stems: Array, after: Array, factor: Array, where: Array) -> Array:
    """Stems multiplied, within the template's and not wider than the first stage."""
    options = np.array(template.stems)
    wide = np.minimum(_round(stems * factor, 8), after)
    near = options[np.clip(np.searchsorted(options, wide, side="right") - 1, 0, None)]
    made: Array = np.where(where, near, stems)
    return made


def _width(
    template: Template, stage: Array, before: Array, outs: Array, inner: Array, factor: Array
) -> tuple[Array, Array]:
    """New widths, not below the stage before nor above the one behind, and the inner widths beside them."""
    rows, last = np.arange(len(stage)), stage == template.stages - 1
    wide, after = outs[rows, stage], outs[rows, np.minimum(stage + 1, template.stages - 1)]
    made = np.minimum(_round(wide * factor, 8), np.array([row[-1] for row in template.widths])[stage])
    if template.family == "resnet":
        made = np.minimum(made, 4 * before)
    made = np.maximum(made, before)
    made = np.where(last, made, np.minimum(made, after))
    if template.family == "mobile":
        ratio = np.clip(np.rint(10 * inner / wide) / 10, RATIOS[0], RATIOS[-1])
        return made, _round(made * ratio, template.step)
    made = np.where(last, made, np.maximum(made, _round(after / 4, 8)))
    return made, inner


def _inner(template: Template, wide: Array, inner: Array, factor: Array, rng: np.random.Generator) -> Array:
    if template.family == "resnet":
        return np.minimum(_round(inner * factor, template.step), wide)
    return _round(wide * rng.choice(RATIOS, len(wide)), template.step)


def _deeper(depths: Array, rng: np.random.Generator) -> Array:
    """One or two blocks more or less, at least one; a draw that changes nothing is repeated up to three times."""
    made = np.maximum(1, depths + rng.choice(DEEPER, len(depths)))
    for _ in range(3):
        made = np.where(made == depths, np.maximum(1, depths + rng.choice(DEEPER, len(depths))), made)
    return np.asarray(made)


def _kernel(template: Template, stage: Array, kernels: Array, rng: np.random.Generator) -> Array:
    """Another kernel, or a smaller one where it does not fit."""
    options = np.array(template.kernels)
    step = rng.integers(1, max(2, len(options)), len(kernels))
    drawn = options[(np.searchsorted(options, kernels) + step) % len(options)]
    made: Array = np.minimum(drawn, np.array([row[-1] for row in template.stage_kernels])[stage])
    return made


def _round(values: Array, by: int) -> Array:
    made: Array = np.maximum(by, np.rint(values / by).astype(np.int64) * by)
    return made


def _put(old: Batch, new: Batch, where: Array) -> Batch:
    pairs = zip(old.parts(), new.parts(), strict=True)
    return Batch(*(np.where(where if a.ndim == 1 else where[:, None], b, a) for a, b in pairs))


def _join(a: Batch, b: Batch) -> Batch:
    return Batch(*(np.concatenate(pair) for pair in zip(a.parts(), b.parts(), strict=True)))


def _rows(batch: Batch) -> list[bytes]:
    table = np.concatenate([batch.stems[:, None], *batch.parts()[1:]], axis=1)
    return [row.tobytes() for row in table]


def _marks(networks: int) -> list[int]:
    """1,000, 2,000, 5,000, 10,000 and so on, and the last one."""
    steps = [n * 10**k for k in range(3, 10) for n in (1, 2, 5)]
    return [*(n for n in steps if n < networks), networks]
