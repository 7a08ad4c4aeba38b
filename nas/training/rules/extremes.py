"""The largest and the smallest member of a space: the two ends between which a rule draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from nas.errors import INFEASIBLE, UserError
from nas.problem import Problem
from nas.space import Architecture, Space
from nas.tree import Choice, Label, Refused

DRAWN = 4
"""Random members from which a climb starts again, where no network lies at the end of the numbers."""
KEPT = 16
"""Spaces whose ends are kept; a further one lets all go."""


@final
@dataclass(frozen=True)
class Extremes:
    """The two ends of a space, limits apart; free: its problem without limits, which says what has a network."""

    largest: Architecture
    smallest: Architecture
    free: Problem


_FOUND: dict[int, tuple[Space, Extremes]] = {}  # by identity: a space that is held keeps its id to itself


def extremes(problem: Problem) -> Extremes:
    """The ends of the problem's space; found once, for a rule asks each step.

    Numbers are at their largest, or smallest; other holes are what makes most MACs, or fewest, then parameters, by one
    change at a time. A member without a network, or without a path through it, is passed over. Limits do not count: the
    largest network teaches even where it is too large to be found.
    """
    space = problem.space
    if id(space) not in _FOUND:
        if len(_FOUND) >= KEPT:
            _FOUND.clear()
        free = Problem(space)
        _FOUND[id(space)] = space, Extremes(_end(free, 1), _end(free, -1), free)
    return _FOUND[id(space)][1]


def by_size(choice: Choice) -> list[int]:
    """The options, as indices, from the smallest number to the largest; none where they are no numbers."""
    if not isinstance(choice.options[0], int | float):
        return []
    return sorted(range(len(choice.options)), key=lambda k: choice.options[k])


def _end(free: Problem, sign: int) -> Architecture:
    sizes = {name: (choice, by_size(choice)) for name, choice in free.space.choices.items()}
    pinned = {name: choice.labels[order[-1 if sign > 0 else 0]] for name, (choice, order) in sizes.items() if order}
    found = _climbed(free, pinned, set(pinned), sign)
    rng = np.random.default_rng(0)
    for _ in range(DRAWN):
        if found is not None:
            return found
        found = _climbed(free, free.space.sample(rng).labels, set(), sign)
    if found is None:
        raise UserError(f"no member of {free.space.name} was found that has a network", code=INFEASIBLE)
    return found


def _climbed(free: Problem, start: Mapping[str, Label], pinned: set[str], sign: int) -> Architecture | None:
    """From these labels, the others at their first, the best label of each choice in turn; None where none is alive.

    A choice is asked once, for costs are sums; again only where the climb began without a network.
    """
    best, arch = _rated(free, start, sign)
    known, asked = dict(start), set(pinned)
    while names := [n for n in free.space.choices if n not in asked and (arch is None or n in arch.labels)]:
        alive = arch is not None
        for name in names:
            for label in free.space.choices[name].labels:
                rated, near = _rated(free, {**known, name: label}, sign)
                if rated > best:
                    best, arch = rated, near
                    known[name] = label
        if arch is None:
            break
        asked |= set(names) if alive else set()
    return arch


def _rated(free: Problem, known: Mapping[str, Label], sign: int) -> tuple[tuple[float, float], Architecture | None]:
    dead = ((-np.inf, -np.inf), None)
    try:
        arch = free.space.decide(lambda c: c.index(known[c.name]) if c.name in known else 0)
    except Refused:
        return dead
    seen = free.screen(arch)
    return dead if seen.broken else ((sign * seen.metrics["macs"], sign * seen.metrics["params"]), arch)
