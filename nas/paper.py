"""Published networks as values: an architecture of a space, whose counts are computed and never stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, final

from nas.profile import Profile, profile
from nas.space import Architecture, Json, Space
from nas.tree import Label, Node

if TYPE_CHECKING:
    from nas.build import Network


@final
@dataclass(frozen=True)
class Published:
    """A published network.

    name: family-variant[-dataset], lower case; make, settings: the space it belongs to, at the paper's size.
    labels: what was picked for each choice, or the text that the paper or its code writes, for `Space.parse`.
    source: the paper and where in it; read_from: where the structure was read, if not there.
    """

    name: str
    make: Callable[..., Space]
    settings: Mapping[str, Json] = field(hash=False)
    labels: Mapping[str, Label] | str = field(hash=False)
    source: str
    read_from: str

    def space(self, **settings: Json) -> Space:
        """Its space, with other settings (`input`, `classes`) where they are given."""
        return self.make(**{**self.settings, **settings})

    @cached_property
    def own(self) -> Space:
        """Its space at the paper's input and classes."""
        return self.space()

    @cached_property
    def arch(self) -> Architecture:
        """The architecture; ValueError or KeyError where it is no member of its space."""
        if isinstance(self.labels, str):
            return self.own.parse(self.labels)
        return self.own.read(self.labels)

    def network(self, **settings: Json) -> Node:
        """The tree without holes."""
        return self.space(**settings).network(self.arch)

    def alone(self, **settings: Json) -> Space:
        """The space of this network alone, under its own name: to train it on other images by the usual commands."""
        space = self.space(**settings)
        return Space(self.name, space.network(self.arch), space.input, {**space.settings, **settings})

    def profile(self, **settings: Json) -> Profile:
        """What it costs, layer by layer, without building it."""
        space = self.space(**settings)
        return profile(space.network(self.arch), space.input)

    def module(self, **settings: Json) -> Network:
        """A PyTorch module with new weights, for inputs (B, C, H, W)."""
        from nas.build import build  # noqa: PLC0415  # building alone needs torch

        space = self.space(**settings)
        return build(space.network(self.arch), space.input)
