"""Which row of a table an architecture has, or an equal one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import final

from nas.space import Architecture


@final
@dataclass(frozen=True, eq=False)
class Known(Mapping[Architecture, int]):
    """The row of an architecture: its own, else the first of one that the space says is the same network.

    Its length and its keys are those of the architectures that have rows of their own. `same`: `Space.same`.
    """

    own: Mapping[Architecture, int]
    same: Callable[[Architecture], str] | None = None

    def __getitem__(self, arch: Architecture) -> int:
        row = self.own.get(arch)
        if row is None and self.same is not None:
            row = self._equal.get(self.same(arch))
        if row is None:
            raise KeyError(arch)
        return row

    def __iter__(self) -> Iterator[Architecture]:
        return iter(self.own)

    def __len__(self) -> int:
        return len(self.own)

    @cached_property
    def _equal(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for arch, row in self.own.items():
            found.setdefault(self.same(arch), row)  # type: ignore[misc]  # it is there: whoever looks here asked
        return found
