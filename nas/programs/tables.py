"""A cost that is a sum over layers as a sum of small tables over choices, found by probing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.codes import Codes, Rows
from nas.errors import UserError
from nas.profile import profile
from nas.programs.openings import CELLS, Openings, Scope
from nas.space import Architecture, Space

Array: TypeAlias = NDArray[np.float64]
Picks: TypeAlias = dict[str, int]
PerLayer: TypeAlias = Callable[[Architecture], Mapping[str, float]]
CHECKS, REDRAWS = 150, 50
"""How many fresh architectures are compared; how often one is drawn until it can be read."""


@final
@dataclass(frozen=True, eq=False)
class Tables:
    """A number for every architecture of a space, as a sum of tables over few choices each.

    parts: by the names of the choices, in the order of the space; the axes are their options, () is the constant.
    """

    space: Space
    parts: Mapping[Scope, Array]

    def __call__(self, arch: Architecture) -> float:
        """The number of an architecture; choices that are not open change nothing."""
        labels, choices = arch.labels, self.space.choices
        place = {n: choices[n].index(labels[n]) if n in labels else 0 for n in self._names}
        return float(sum(table[tuple(place[n] for n in scope)] for scope, table in self.parts.items()))

    def coded(self, codes: Codes, rows: Rows) -> Array:
        """The numbers of the architectures of rows, (n,)."""
        return codes.summed(rows, self.parts)

    def scaled(self, factor: float) -> Tables:
        """The same times a number."""
        return Tables(self.space, {scope: factor * table for scope, table in self.parts.items()})

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple({name for scope in self.parts for name in scope})


def tables(space: Space, per_layer: PerLayer, *, what: str = "cost") -> Tables:
    """The tables of a number that is a sum over layers.

    A layer depends on a choice where changing that choice alone changes it. What was found is compared, layer by layer,
    with fresh random architectures; where one differs, the choice behind it is searched for and joins the table.
    UserError that names the layer where a table would have more than 10^5 cells.
    """
    return several(space, lambda arch: {what: per_layer(arch)})[what]


def costs(space: Space, metrics: Sequence[str] = ("macs", "params")) -> Mapping[str, Tables]:
    """The tables of costs that are read from the tree: params, macs, activations."""

    def layers(arch: Architecture) -> Mapping[str, Mapping[str, float]]:
        found = profile(space.network(arch), space.input).layers
        return {m: {layer.name: float(getattr(layer.cost, m)) for layer in found} for m in metrics}

    return several(space, layers)


def several(
    space: Space, per_layer: Callable[[Architecture], Mapping[str, Mapping[str, float]]]
) -> Mapping[str, Tables]:
    """The tables of several numbers, by name, from the same probes."""
    probe = _Probe(space, per_layer)
    probe.explore()
    probe.settle()
    return {what: Tables(space, parts) for what, parts in probe.merged().items()}


Layer: TypeAlias = tuple[str, str]  # what is counted, and the layer's name


@final
class _Probe:
    def __init__(self, space: Space, per_layer: Callable[[Architecture], Mapping[str, Mapping[str, float]]]) -> None:
        self.space, self.per_layer, self.rng = space, per_layer, np.random.default_rng(0)
        self.sizes = {name: len(choice.options) for name, choice in space.choices.items()}
        self.order = {name: n for n, name in enumerate(self.sizes)}
        self.known: dict[Architecture, dict[Layer, float]] = {}
        self.whats: dict[str, None] = {}
        self.scopes: dict[Layer, frozenset[str]] = {}
        self.filled: dict[frozenset[str], NDArray[np.int64]] = {}
        self.tried: list[tuple[Picks, dict[Layer, float]]] = []

    def at(self, picks: Picks) -> dict[Layer, float] | None:
        """The layers of an architecture; None where the space refuses it or its tree cannot be read."""
        try:
            arch = self.space.decide(lambda c: picks[c.name])
            if arch not in self.known:
                made = self.per_layer(arch)
                self.whats |= dict.fromkeys(made)
                self.known[arch] = {(what, k): v for what, layers in made.items() for k, v in layers.items() if v}
        except ValueError:  # Refused is one
            return None
        return self.known[arch]

    def drawn(self, fixed: Picks) -> tuple[Picks, dict[Layer, float]]:
        """A random architecture with these picks that can be read."""
        for _ in range(REDRAWS):
            picks = {n: fixed[n] if n in fixed else int(self.rng.integers(k)) for n, k in self.sizes.items()}
            layers = self.at(picks)
            if layers is not None:
                return picks, layers
        where = ", ".join(f"{n}={self.space.choices[n].labels[k]}" for n, k in fixed.items()) or "nothing fixed"
        raise UserError(
            f"the space {self.space.name} refuses {REDRAWS} random architectures in a row with {where}",
            fix="tables need a space in which nearly every combination is a member",
        )

    def explore(self) -> None:
        """Change every choice of a few architectures alone, and note which layers change.

        The last options, often the deepest and widest, open what others leave shut.
        """
        last = {n: k - 1 for n, k in self.sizes.items()}
        for base, here in ((last, self.at(last)), self.drawn({})):
            if here is None:
                continue
            for layer in here:
                self.scopes.setdefault(layer, frozenset())
            for name, count in self.sizes.items():
                for k in range(count):
                    there = self.at({**base, name: k}) if k != base[name] else None
                    if there is not None:
                        self.compare(here, there, name)

    def compare(self, here: Mapping[Layer, float], there: Mapping[Layer, float], name: str) -> None:
        if here is there:
            return
        for layer, value in here.items():
            if there.get(layer, 0.0) != value:
                self.depend(layer, name)
        for layer in there.keys() - here.keys():
            self.depend(layer, name)

    def depend(self, layer: Layer, name: str) -> None:
        scope = self.scopes.get(layer, frozenset()) | {name}
        self.scopes[layer] = scope
        cells = math.prod(self.sizes[n] for n in scope)
        if cells > CELLS:
            some = ", ".join(sorted(scope, key=self.order.__getitem__)[:4])
            raise UserError(
                f"the {layer[0]} of the layer {layer[1]} depends on {len(scope)} choices ({some}, ...): a table of "
                f"{cells:,} cells, at most {CELLS:,} are made",
                fix="use a space whose layers depend on fewer choices, or another strategy, for example evolution",
            )

    def settle(self) -> None:
        """Fill the tables, compare them with fresh architectures, and mend what differs until nothing does."""
        right = 0
        while right < CHECKS:
            self.fill()
            picks, layers = self.drawn({})
            wrong = [layer for layer in self.scopes.keys() | layers.keys() if self.mend(layer, picks, layers)]
            right = 0 if wrong else right + 1

    def fill(self) -> None:
        """Try architectures until each cell of each table was seen; one architecture serves many tables."""
        scopes = sorted(set(self.scopes.values()), key=lambda s: (-math.prod(self.sizes[n] for n in s), sorted(s)))
        for scope in scopes:
            if scope not in self.filled:
                self.filled[scope] = np.full([self.sizes[n] for n in self.names(scope)], -1)
                for number, (picks, _) in enumerate(self.tried):
                    self.filled[scope][self.cell(scope, picks)] = number
        todo = [s for s in scopes if (self.filled[s] < 0).any()]
        while todo:
            first = self.missing(todo[0], {})
            fixed = dict(first)
            for scope in todo[1:]:
                fixed |= self.missing(scope, fixed)
            picks = {n: fixed.get(n, int(self.rng.integers(k))) for n, k in self.sizes.items()}
            layers = self.at(picks)
            if layers is None:
                picks, layers = self.drawn(first)
            for scope in todo:
                self.filled[scope][self.cell(scope, picks)] = len(self.tried)
            self.tried.append((picks, layers))
            todo = [s for s in todo if (self.filled[s] < 0).any()]

    def names(self, scope: frozenset[str]) -> Scope:
        return tuple(sorted(scope, key=self.order.__getitem__))

    def cell(self, scope: frozenset[str], picks: Picks) -> tuple[int, ...]:
        return tuple(picks[n] for n in self.names(scope))

    def missing(self, scope: frozenset[str], fixed: Picks) -> Picks:
        """The picks of a cell that was not seen, among those that agree with what is fixed; none where all were."""
        names = self.names(scope)
        part = self.filled[scope][tuple(fixed.get(n, slice(None)) for n in names)] < 0
        if not part.any():
            return {}
        cell = np.unravel_index(int(np.argmax(part)), part.shape)
        return {n: int(k) for n, k in zip([n for n in names if n not in fixed], cell, strict=True)}

    def mend(self, layer: Layer, picks: Picks, layers: Mapping[Layer, float]) -> bool:
        """Whether a layer is not what its table says; then the choice that it depends on as well is found.

        On the way from the architecture that filled the cell to this one, choice by choice, the layer must change.
        """
        scope = self.scopes.setdefault(layer, frozenset())
        if scope not in self.filled:
            return True
        before, here = self.tried[self.filled[scope][self.cell(scope, picks)]]
        if here.get(layer, 0.0) == layers.get(layer, 0.0):
            return False
        now, found = dict(before), False
        for name in (n for n in self.sizes if before[n] != picks[n]):
            now[name] = picks[name]
            there = self.at(now)
            if there is None:
                continue
            if there.get(layer, 0.0) != here.get(layer, 0.0):
                self.depend(layer, name)
                found = True
            self.compare(here, there, name)
            here = there
        if not found:
            raise UserError(
                f"the {layer[0]} of the layer {layer[1]} is {layers.get(layer, 0.0):,} in one architecture and not in "
                "another that makes the same choices: it is no function of the architecture",
                fix="give a cost that depends on the architecture alone",
            )
        return True

    def merged(self) -> Mapping[str, Mapping[Scope, Array]]:
        """By what is counted: the layers of one scope in one table, small tables within larger ones of wider scope."""
        made: dict[str, dict[Scope, Array]] = {what: {(): np.zeros(())} for what in self.whats}
        values = {s: [self.tried[k][1] for k in table.ravel()] for s, table in self.filled.items()}
        for layer, scope in self.scopes.items():
            shape = self.filled[scope].shape
            table = np.array([seen.get(layer, 0.0) for seen in values[scope]], dtype=float).reshape(shape)
            parts, names = made[layer[0]], self.names(scope)
            parts[names] = parts[names] + table if names in parts else table
        return {what: absorbed(parts) for what, parts in made.items()}


def absorbed(parts: Mapping[Scope, Array]) -> Mapping[Scope, Array]:
    """The same sum, with every table but the constant added to one over its choices and more, where there is one."""
    made: dict[Scope, Array] = {}
    for scope in sorted(parts, key=lambda s: (-len(s), s)):
        wider = [s for s in made if scope and set(scope) < set(s)]
        if wider:
            into = min(wider, key=lambda s: made[s].size)
            made[into] = made[into] + spread(scope, parts[scope], into)
        else:
            made[scope] = parts[scope]
    return made


def spread(scope: Scope, table: Array, into: Scope) -> Array:
    """A table over some choices, shaped to be added to one over more of them; both in the order of the space."""
    shape = iter(table.shape)
    return table.reshape([next(shape) if n in scope else 1 for n in into])


def total(*given: Tables) -> Tables:
    """The sum of several numbers of one space."""
    made: dict[Scope, Array] = {}
    for one in given:
        for scope, table in one.parts.items():
            made[scope] = made[scope] + table if scope in made else table
    return Tables(given[0].space, absorbed(made))


def additive(openings: Openings, offset: float, terms: Mapping[tuple[str, Any], float]) -> Tables:
    """The tables of a sum of terms by (choice, label), each of which counts where the choice is open."""
    parts: dict[Scope, Array] = {(): np.array(offset)}
    order = {name: n for n, name in enumerate(openings.space.choices)}
    for name, choice in openings.space.choices.items():
        column = np.array([terms.get((name, label), 0.0) for label in choice.labels])
        deciding, is_open = openings.tables[name]
        scope = tuple(sorted((*deciding, name), key=order.__getitem__))
        table = spread(deciding, is_open.astype(float), scope) * spread((name,), column, scope)
        parts[scope] = parts[scope] + table if scope in parts else table
    return Tables(openings.space, absorbed(parts))
