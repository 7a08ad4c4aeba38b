"""Which networks of a space are ranked: random ones, and the most promising of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from nas.codes import Codes, Rows
from nas.problem import Problem
from nas.rated import Rated
from nas.roles import Array, Predictor
from nas.shortlist import top
from nas.space import Architecture, Space

RANDOM = 300
"""Networks that stand for the space: of them the trust in a ranking holds."""
NARROW = 30
"""The same where a random network hardly ever keeps the limits, so that each takes a hundred draws."""
SHORT = 700
"""Networks that are predicted with all that is known of them, beside the random ones."""
SLOW = 10_000
"""Networks that are drawn, at most, of a space that refuses some."""
SCREENED = 4000
"""Networks whose costs are counted, at most, for each of the two."""


@final
@dataclass(frozen=True, eq=False)
class Candidates:
    """Networks that were not trained, keep the limits, and differ from each other and from those trained.

    random: so many of the first are random ones; drawn: of how many they are taken; sampled: whether these are a part
    of the space.
    """

    archs: list[Architecture]
    random: int
    drawn: int
    sampled: bool


def candidates(problem: Problem, known: Rated, first: Predictor, sample: int, *, seed: int = 0) -> Candidates:
    """Random networks of a space, and of `sample` others those that `first`, which knows the choices alone, likes best.

    Of a space of `sample` architectures or fewer all are looked at. Costs take up to milliseconds a network, so these
    are counted for the best alone.
    """
    rng, codes = np.random.default_rng(seed), Codes(problem.space)
    rows = drawn(codes, sample, rng)
    keep = _Keep(problem, {problem.screen(arch).same for arch in known.archs}, set(known.archs))
    random: list[Architecture] = []
    for start in range(0, min(len(rows), SCREENED), RANDOM):
        if len(random) >= RANDOM:
            break
        random += [arch for arch in codes.archs(rows[start : start + RANDOM]) if keep(arch)]
    if not random and problem.constraints:
        random = [arch for arch in (problem.sample(rng) for _ in range(NARROW)) if keep(arch)]
    random = random[:RANDOM]
    keep.left = SCREENED
    model = first.fit(known.archs, known.y)
    best = top(model, codes, rows, min(SHORT, len(rows)), accepts=keep).archs
    return Candidates([*random, *best], len(random), len(rows), not _small(problem.space, sample))


def drawn(codes: Codes, sample: int, rng: np.random.Generator) -> Rows:
    """Different architectures in random order: all of a small space, else of so many random ones.

    At most SLOW of a space that refuses some, for each is then built to be asked.
    """
    if _small(codes.space, sample):
        return rng.permutation(codes.of(list(codes.space)))
    rows = codes.sample(rng, sample if codes.space.accepts is None else min(sample, SLOW))
    return rows[np.sort(codes.unique(rows)[0])]


def _small(space: Space, sample: int) -> bool:
    """Whether a space has at most so many members, without counting those of one that refuses some."""
    return replace(space, accepts=None).size <= sample


def costs(problem: Problem, archs: Sequence[Architecture]) -> Array | None:
    """What is known of architectures without a device, (n, costs); None where nothing is."""
    found = [problem.screen(arch).metrics for arch in archs]
    names = sorted(set.intersection(*(set(metrics) for metrics in found)))
    return np.array([[metrics[name] for name in names] for metrics in found], dtype=float) if names else None


@final
@dataclass
class _Keep:
    """Whether an architecture keeps the limits and is another network than all before; no more are screened than
    are left.
    """

    problem: Problem
    same: set[str]
    known: set[Architecture]
    left: int = field(default=SCREENED)

    def __call__(self, arch: Architecture) -> bool:
        if arch in self.known or self.left <= 0:
            return False
        self.left -= 1
        seen = self.problem.screen(arch)
        if seen.broken or seen.same in self.same:
            return False
        self.same.add(seen.same)
        return True
