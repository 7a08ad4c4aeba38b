"""Published facts that the spaces must reproduce: what was measured, where it stands, and what we find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nas import plugins
from nas.tree import Cost


@dataclass(frozen=True)
class Fact:
    """One number (or name) that someone published or measured.

    about: what it is of, in words; source: paper, table, or whose code was run; tag: "M" if it was measured by building
    the authors' code, "P" if it was printed by them; found: what we find; within: the largest relative difference.
    """

    about: str
    source: str
    expected: object
    found: Callable[[], object]
    tag: Literal["M", "P"] = "M"
    within: float = 0.0


@dataclass(frozen=True)
class Missed:
    """A published figure that we do not reach, with our own number and why."""

    about: str
    source: str
    theirs: str
    ours: str
    why: str


def total(name: str, **settings: object) -> Cost:
    """What a published network costs: params, macs, activations."""
    return plugins.published(name).profile(**settings).total


def counts(
    name: str, source: str, params: int | None = None, macs: int | None = None, **settings: object
) -> list[Fact]:
    """The facts of a published network's parameters and MACs; `settings`: another input or number of classes."""
    at = "".join(f", {key} {value}" for key, value in settings.items())
    made = []
    if params is not None:
        made.append(Fact(f"{name}{at}: params", source, params, lambda: total(name, **settings).params))
    if macs is not None:
        made.append(Fact(f"{name}{at}: macs", source, macs, lambda: total(name, **settings).macs))
    return made
