"""When each choice of a space is open: which other choices decide it, and how."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.errors import UserError
from nas.plan import Hole, Plan, follow, plan
from nas.space import Architecture, Space
from nas.tree import Choice

CELLS = 100_000
"""No table is larger."""

Scope = tuple[str, ...]


@final
@dataclass(frozen=True, eq=False)
class Openings:
    """For each choice, the choices that decide whether it is open, and a table over their options that says when.

    A choice that is always open has no such choices.
    """

    space: Space
    tables: Mapping[str, tuple[Scope, NDArray[np.bool_]]]

    @staticmethod
    def of(space: Space) -> Openings:
        """Read from the holes of the space, exactly; UserError where too many choices decide over one."""
        holes = plan(space.root)
        openers = _openers(holes)
        order = {name: n for n, name in enumerate(space.choices)}
        made: dict[str, tuple[Scope, NDArray[np.bool_]]] = {}
        by_scope: dict[Scope, list[str]] = {}
        for name in space.choices:
            by_scope.setdefault(tuple(sorted(openers[name], key=order.__getitem__)), []).append(name)
        for scope, names in by_scope.items():
            shape = tuple(len(space.choices[n].options) for n in scope)
            if math.prod(shape) > CELLS:
                raise UserError(
                    f"whether {names[0]} of the space {space.name} is open depends on {len(scope)} choices: "
                    f"{math.prod(shape):,} cases, at most {CELLS:,} can be tabulated",
                    fix="use another strategy for this space, for example evolution",
                )
            open_in = np.zeros((len(names), *shape), dtype=bool)
            for cell in np.ndindex(*shape):
                met = _met(holes, dict(zip(scope, cell, strict=True)))
                open_in[(slice(None), *cell)] = [name in met for name in names]
            made |= {name: _needed(scope, table) for name, table in zip(names, open_in, strict=True)}
        return Openings(space, made)

    def picks(self, arch: Architecture) -> dict[str, int]:
        """The option of every choice; those that are not open stand at their first."""
        labels = arch.labels
        return {n: c.index(labels[n]) if n in labels else 0 for n, c in self.space.choices.items()}


def _openers(holes: Plan) -> Mapping[str, set[str]]:
    """By choice, all choices on some way from the root to it; none where it stands at the root."""
    direct: dict[str, set[str]] = {}
    seen: set[int] = set()

    def visit(hole: Hole) -> None:
        direct.setdefault(hole.choice.name, set())
        if id(hole) in seen:
            return
        seen.add(id(hole))
        for opened in hole.opens:
            for inner in opened:
                direct.setdefault(inner.choice.name, set()).add(hole.choice.name)
                visit(inner)

    for hole in holes:
        visit(hole)
    always = {hole.choice.name for hole in holes}
    made: dict[str, set[str]] = {}
    for name, above_it in direct.items():
        found: set[str] = set()
        todo = [] if name in always else [*above_it]
        while todo:
            above = todo.pop()
            if above not in found:
                found.add(above)
                todo += [] if above in always else direct[above]
        made[name] = found - {name}
    return made


def _met(holes: Plan, picks: Mapping[str, int]) -> Mapping[str, int]:
    met: dict[str, int] = {}

    def pick(choice: Choice) -> int:
        return picks.get(choice.name, 0)

    follow(holes, pick, met)
    return met


def _needed(scope: Scope, table: NDArray[np.bool_]) -> tuple[Scope, NDArray[np.bool_]]:
    """The same without the choices that make no difference."""
    keep = []
    for axis in reversed(range(len(scope))):
        if (table == np.take(table, [0], axis)).all():
            table = np.take(table, 0, axis)
        else:
            keep.append(scope[axis])
    return tuple(reversed(keep)), table
