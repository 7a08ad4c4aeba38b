"""An architecture: what was picked for each hole of a space, how it is written, and where only some of them exist."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol, TypeAlias, final

import numpy as np

from nas.tree import Label

Json: TypeAlias = Any
Rng: TypeAlias = np.random.Generator
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@final
@dataclass(frozen=True)
class Architecture:
    """What was picked for each hole of a space: (name, label) of the active choices only, sorted by name.

    It belongs to the space's name, so it moves between settings of one space if every choice is there.
    """

    space: str
    choices: tuple[tuple[str, Label], ...]

    @cached_property
    def labels(self) -> Mapping[str, Label]:
        """The choices as a mapping."""
        return dict(self.choices)

    @cached_property
    def key(self) -> str:
        """16 hex digits of the canonical JSON: the same in every process."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=8).hexdigest()

    def __getitem__(self, name: str) -> Label:
        return self.labels[name]

    def to_json(self) -> str:
        """The canonical JSON: sorted, without blanks."""
        made = ",".join([_written(name, label) for name, label in sorted(self.choices)])
        return f'{{"choices":{{{made}}},"space":{CANONICAL.encode(self.space)}}}'

    @staticmethod
    def from_json(text: str) -> Architecture:
        """The architecture of a JSON object with "space" and "choices"; ValueError where it is none."""
        made = json.loads(text)
        if (
            not isinstance(made, dict)
            or not isinstance(made.get("space"), str)
            or not isinstance(made.get("choices"), dict)
        ):
            raise ValueError('an architecture is a JSON object with "space" (a name) and "choices" (an object)')
        for name, label in made["choices"].items():
            if isinstance(label, bool) or not isinstance(label, str | int | float):
                raise ValueError(f"choice {name!r} has the label {label!r}; labels are strings and numbers")
        return Architecture(made["space"], tuple(sorted(made["choices"].items())))


@lru_cache(maxsize=65536, typed=True)  # typed: 1 and 1.0 are written apart
def _written(name: str, label: Label) -> str:
    return f"{CANONICAL.encode(name)}:{CANONICAL.encode(label)}"


@final
@dataclass(frozen=True)
class Spelling:
    """How published tables write the architectures of a space, and how that is read back into labels by name."""

    spell: Callable[[Architecture], str]
    parse: Callable[[str], Mapping[str, Label]]


class Members(Protocol):
    """The only architectures that a space has, where a tree with holes cannot say which: the rows of a sparse table."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Architecture]: ...
    def draw(self, rng: Rng) -> Architecture:
        """One of them, all equally likely."""

    def nearest(self, arch: Architecture, *others: Architecture) -> Architecture:
        """The one with the most labels in common, but none of the others."""
