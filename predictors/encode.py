"""Architectures as rows of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nas.roles import Array
from nas.space import Architecture, Space
from nas.tree import Label


@final
@dataclass(frozen=True)
class OneHot:
    """A column for each (choice, label) that was seen: 1 where the architecture made it, else 0."""

    columns: tuple[tuple[str, Label], ...]

    @staticmethod
    def of(archs: Sequence[Architecture]) -> OneHot:
        """The code whose columns are the choices that some of these architectures make."""
        return OneHot(tuple(sorted({pair for a in archs for pair in a.choices}, key=str)))

    def __call__(self, archs: Sequence[Architecture]) -> Array:
        """The rows: (n, columns)."""
        place = {pair: k for k, pair in enumerate(self.columns)}
        rows = np.zeros((len(archs), len(self.columns)))
        for n, arch in enumerate(archs):
            hot = [place[pair] for pair in arch.choices if pair in place]
            rows[n, hot] = 1.0
        return rows


@final
class Ordinal:
    """A column for each choice of a space: the place of the label among its labels, -1 where the choice is not made."""

    def __init__(self, space: Space) -> None:
        self._columns = {name: k for k, name in enumerate(space.choices)}
        self._places = {name: {label: k for k, label in enumerate(c.labels)} for name, c in space.choices.items()}

    def __call__(self, archs: Sequence[Architecture]) -> Array:
        """The rows: (n, choices)."""
        rows = np.full((len(archs), len(self._columns)), -1.0)
        for n, arch in enumerate(archs):
            for name, label in arch.choices:
                rows[n, self._columns[name]] = self._places[name][label]
        return rows
