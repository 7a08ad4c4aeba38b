"""The published networks, by their names: each is an architecture of a space, with its source."""

from __future__ import annotations

from collections.abc import Mapping

from nas.published import Published

FAMILIES: tuple[tuple[Published, ...], ...] = ()

PUBLISHED: Mapping[str, Published] = {p.name: p for family in FAMILIES for p in family}
"""Every published network by its name."""
