"""What a user means by an architecture: a published name, a file, JSON, a spelling, or a space for a random one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from nas import plugins
from nas.errors import UserError, nearest
from nas.files import existing
from nas.graph import TooSmall
from nas.profile import Profile, profile
from nas.room import smallest
from nas.space import Architecture, Json, Space
from nas.tree import Node

SPELLED = "nasbench201"
"""The space of a spelling where none is given."""


@final
@dataclass(frozen=True, eq=False)
class Target:
    """An architecture, its space, and what it is called."""

    name: str
    space: Space
    arch: Architecture

    @property
    def network(self) -> Node:
        """The tree without holes."""
        return self.space.network(self.arch)

    def profile(self) -> Profile:
        """What it costs; UserError where the input is too small, with the layer and the smallest size that works."""
        try:
            return profile(self.network, self.space.input)
        except TooSmall as error:
            channels = self.space.input[0]
            side = smallest(self.network, channels)
            fix = f"the smallest that works is --input {channels},{side},{side}" if side else ""
            raise UserError(f"{self.name}: the input is too small at {error}", fix=fix) from None


def target(said: str, *, space: str | None = None, seed: int = 0, settings: Mapping[str, Json]) -> Target:
    """What a user means; settings: what replaces the network's own (`input`, `classes`, and so on)."""
    given = said.strip()
    file = existing(given)
    if file is not None and file.suffix != ".py" and file.is_file():
        given = file.read_text(encoding="utf-8").strip()
    elif given in plugins.catalogue() and space is None:
        found = plugins.published(given)
        return Target(found.name, plugins.made(found.make, **{**found.settings, **settings}), found.arch)
    elif given in plugins.spaces() or ".py:" in given:
        import numpy as np  # noqa: PLC0415  # only a random architecture needs it

        made = plugins.space(given, **settings)
        arch = made.sample(np.random.default_rng(seed))
        return Target(arch.key, made, arch)
    elif space is None and given.replace("-", "").replace(".", "").replace("_", "").isalnum():
        raise nearest(given, [*plugins.catalogue(), *plugins.spaces()], what="published network, space or file")
    return _written(said, given, space, settings)


def _written(said: str, given: str, space: str | None, settings: Mapping[str, Json]) -> Target:
    """An architecture in JSON, or as its space spells it."""
    what = said[:80]
    if given.startswith("{") and (space is None or '"choices"' in given):  # a spelling may be JSON too
        held = plugins.held(given, what)
        made, arch = plugins.architecture({**held, "file": space} if space else held, what, **settings)
    else:
        made = plugins.space(space or SPELLED, **settings)
        arch = plugins.spelled(made, given, what)
    return Target(arch.key, made, arch)
