"""Populations as integer arrays: a row an architecture, a column a choice, so that whole columns are drawn and read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.plan import Hole, Plan, plan
from nas.space import Architecture, Rng, Space
from nas.tree import Label

Rows: TypeAlias = NDArray[np.signedinteger[Any]]
"""Architectures as integers, (n, choices): which option each choice takes, -1 where it is not met."""
Array: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Column: TypeAlias = tuple[str, Label | None]
"""A choice, and one of its labels; None for the choice that is not met."""
Way: TypeAlias = tuple[int, int, frozenset[int]]
"""A condition, and of a column the options that lead on from there."""
ALWAYS = 0
"""The condition that holds for every row."""
BLOCK = 2048
"""How many rows are worked on at a time: what is made of them fits the cache of a core."""


@final
class Codes:
    """How the architectures of a space are written as rows of integers, and back.

    names: the choices, in the space's order of asking, a column each; labels: of the options of each.
    columnwise: whether whole columns are drawn at a time. A space that refuses some trees, or whose members a list
    gives, draws each architecture itself; its rows are otherwise as those of any.
    Rows that are made here lie column by column in memory, which is what reads them fastest.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.names = tuple(space.choices)
        self.labels = tuple(choice.labels for choice in space.choices.values())
        self.columnwise = space.accepts is None and space.members is None
        sizes = [len(labels) for labels in self.labels]
        self.dtype = np.dtype(next(t for t in (np.int8, np.int16, np.int32) if max(sizes, default=0) < np.iinfo(t).max))
        self._sizes = sizes

    def sample(self, rng: Rng, n: int) -> Rows:
        """Random members, (n, choices), in the same distribution as those of `Space.sample`, not the same ones."""
        if not self.columnwise:
            return self.of([self.space.sample(rng) for _ in range(n)])
        rows = self._empty(n)
        for column, size in zip(rows.T, self._sizes, strict=True):
            column[:] = rng.integers(size, size=n, dtype=self.dtype)
        return self._closed(rows)

    def closed(self, rows: Rows) -> Rows:
        """A copy of rows in which every choice is decided, with -1 where a choice is not met."""
        return self._closed(np.array(rows, dtype=self.dtype, order="F"))

    def of(self, archs: Sequence[Architecture]) -> Rows:
        """The rows of architectures; ValueError for one of another space, KeyError for a choice that is not there."""
        rows = self._empty(len(archs))
        rows[:] = -1
        places = self._places
        for n, arch in enumerate(archs):
            if arch.space != self.space.name:
                raise ValueError(f"an architecture of {arch.space!r} has no row in the space {self.space.name!r}")
            for pair in arch.choices:
                if pair not in places:
                    raise KeyError(f"the space {self.space.name!r} has no choice {pair[0]!r} with the label {pair[1]}")
                column, code = places[pair]
                rows[n, column] = code
        return rows

    def archs(self, rows: Rows) -> list[Architecture]:
        """The architectures of rows."""
        order = sorted(range(len(self.names)), key=self.names.__getitem__)
        pairs = [[(self.names[c], label) for label in self.labels[c]] for c in order]
        name = self.space.name
        return [
            Architecture(name, tuple([pair[k] for pair, k in zip(pairs, row, strict=True) if k >= 0]))
            for row in rows[:, order].tolist()
        ]

    def unique(self, rows: Rows, by: Sequence[str] = ()) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The places of the first of each distinct row, in order of the codes; and which of these each row is.

        by: the choices that order them before the others, so that rows alike in these lie together.
        """
        if not len(rows):
            return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
        words, room = [np.zeros(len(rows), dtype=np.int64)], 1
        for c in map(self.names.index, dict.fromkeys((*by, *self.names))):
            radix = self._sizes[c] + 1
            room *= radix
            if room >= 1 << 63:
                words.append(np.zeros(len(rows), dtype=np.int64))
                room = radix
            words[-1] *= radix
            words[-1] += rows[:, c]
            words[-1] += 1
        order = np.lexsort(words[::-1])  # stable, so the first of equal rows comes first
        new = np.ones(len(rows), dtype=bool)
        new[1:] = np.any([word[order[1:]] != word[order[:-1]] for word in words], axis=0)
        place = np.empty(len(rows), dtype=np.intp)
        place[order] = np.cumsum(new) - 1
        return order[new], place

    def hot(self, rows: Rows, columns: Sequence[Column], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """A line for each (choice, label): 1 where a row makes it, else 0, (columns, n); None: where it is not met.

        out: where they are written, of any type of numbers.
        """
        made = np.empty((len(columns), len(rows))) if out is None else out
        turned, where = rows.T, {name: c for c, name in enumerate(self.names)}
        for k, (name, label) in enumerate(columns):
            place = (where.get(name), -1) if label is None else self._places.get((name, label), (None, -1))
            if place[0] is None:
                made[k] = 0
            else:
                np.equal(turned[place[0]], place[1], out=made[k], casting="unsafe")
        return made

    def added(self, rows: Rows, terms: Mapping[tuple[str, Label], float]) -> Array:
        """The sum of the terms of the (choice, label) that each row makes, (n,)."""
        made = np.zeros(len(rows))
        for c, (name, labels) in enumerate(zip(self.names, self.labels, strict=True)):
            worth = np.array([*(terms.get((name, label), 0.0) for label in labels), 0.0])  # the last stands for -1
            if worth.any():
                made += np.take(worth, rows[:, c])
        return made

    def summed(self, rows: Rows, parts: Mapping[tuple[str, ...], Array]) -> Array:
        """The sum of tables by the names of the choices that they are over, (n,); what is not met stands at its first.

        The axes of a table are the options of its choices, as in `nas.programs.tables.Tables`.
        """
        where = {name: c for c, name in enumerate(self.names)}
        made = np.zeros(len(rows))
        for start, block in blocks(rows):
            picks = np.maximum(block.T, 0).astype(np.intp)
            for scope, table in parts.items():
                at = np.zeros(len(block), dtype=np.intp)
                for name, size in zip(scope, np.shape(table), strict=True):
                    at *= size
                    at += picks[where[name]]
                made[start : start + len(block)] += np.take(np.ravel(table), at)
        return made

    def _empty(self, n: int) -> Rows:
        return np.empty((len(self.names), n), dtype=self.dtype).T

    def _closed(self, rows: Rows) -> Rows:
        """Write -1 wherever a choice is not met, in place."""
        conditions, opened = self._steps
        columns = rows.T
        met: list[Flags | None] = [None]
        for ways in conditions[1:]:
            some: Flags | None = None
            for condition, column, options in ways:
                one = _taken(columns[column], options, self._sizes[column])
                within = met[condition]
                if within is not None:
                    one &= within
                some = one if some is None else np.bitwise_or(some, one, out=some)
            met.append(some)
        for c, condition in enumerate(opened):
            flags = met[condition]
            if flags is not None:
                columns[c] |= flags.view(np.int8) - np.int8(1)  # -1 where it is not met
        return rows

    @property
    def most(self) -> int:
        """No space has more architectures: the product of how many options each choice has."""
        return math.prod(self._sizes)

    @cached_property
    def always(self) -> Mapping[str, bool]:
        """By choice, whether every architecture makes it."""
        return {name: opened == ALWAYS for name, opened in zip(self.names, self._steps[1], strict=True)}

    @cached_property
    def _places(self) -> Mapping[tuple[str, Label | None], tuple[int, int]]:
        pairs = enumerate(zip(self.names, self.labels, strict=True))
        return {(name, label): (c, k) for c, (name, labels) in pairs for k, label in enumerate(labels)}

    @cached_property
    def _steps(self) -> tuple[list[frozenset[Way]], list[int]]:
        """The conditions that are tested once a row, in order; and for each column the one under which it is met."""
        return compiled(plan(self.space.root), self.names, self._sizes)


def blocks(rows: Rows, size: int = BLOCK) -> Iterator[tuple[int, Rows]]:
    """Rows in blocks that lie column by column in memory, each with the place of its first."""
    for start in range(0, len(rows), size):
        yield start, np.asfortranarray(rows[start : start + size])


def compiled(holes: Plan, names: Sequence[str], sizes: Sequence[int]) -> tuple[list[frozenset[Way]], list[int]]:
    """When the choices of a plan are met: conditions, each any of some ways from earlier ones; and one for each choice.

    Equal conditions stand once, and one that all options of a choice lead to is that of the choice: of a space without
    holes within options, nothing but ALWAYS is left.
    """
    column = {name: c for c, name in enumerate(names)}
    conditions: list[frozenset[Way]] = [frozenset()]
    known: dict[frozenset[Way], int] = {}
    every: dict[str, list[tuple[int, int, Iterable[int]]]] = {name: [] for name in names}
    leads: dict[int, list[tuple[int, int, Iterable[int]]]] = {id(hole): [(ALWAYS, -1, ())] for hole in holes}

    def condition(ways: list[tuple[int, int, Iterable[int]]]) -> int:
        merged: dict[tuple[int, int], set[int]] = {}
        for within, of, options in ways:
            merged.setdefault((within, of), set()).update(options)
        # where every option leads on, or several conditions do, column 0 with all its options stands for any value
        whole = {within for (within, of), options in merged.items() if of < 0 or len(options) == sizes[of]}
        if ALWAYS in whole:
            return ALWAYS
        rest = {(within, of, frozenset(o)) for (within, of), o in merged.items() if within not in whole}
        if len(whole) == 1 and not rest:
            return whole.pop()
        key = frozenset(rest | {(within, 0, frozenset(range(-1, sizes[0]))) for within in whole})
        if key not in known:
            known[key] = len(conditions)
            conditions.append(key)
        return known[key]

    for hole in _sorted(holes):
        name = hole.choice.name
        within = condition(leads[id(hole)])
        every[name].append((within, -1, ()))
        for k, opened in enumerate(hole.opens):
            for inner in opened:
                leads.setdefault(id(inner), []).append((within, column[name], (k,)))
    return conditions, [condition(every[name]) for name in names]


def _sorted(holes: Plan) -> list[Hole]:
    """Every hole of a plan once, behind all that open it."""
    done: dict[int, Hole] = {}

    def visit(hole: Hole) -> None:
        if id(hole) not in done:
            for inner in {id(h): h for opened in hole.opens for h in opened}.values():
                visit(inner)
            done[id(hole)] = hole

    for hole in holes:
        visit(hole)
    return list(done.values())[::-1]


def _taken(column: Rows, options: frozenset[int], size: int) -> Flags:
    """Where a column takes one of some options."""
    first = min(options)
    if options >= set(range(first, size)):
        made: Flags = column >= first
        return made
    if len(options) == 1:
        single: Flags = column == first
        return single
    return np.take(np.array([*(k in options for k in range(size)), False]), column)
