"""The space of a network's larger and smaller versions: one choice, by which rule and how far it is scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nas import plugins
from nas.recorded import recorded
from nas.space import Json, Space
from nas.tree import Chain, Choice, Node
from search_spaces.scaling import factors as factors_of
from search_spaces.scaling import scaled as scale


@recorded
def scaled(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    network: str | Mapping[str, Json] = "regnetx-200mf",
    rules: tuple[str, ...] = ("fast", "w"),
    factors: tuple[float, ...] = (0.25, 0.5, 1, 2, 4),
    keep: tuple[str, ...] = (),
    rounding: str = "nearest",
    original: tuple[int, int, int] | None = None,
) -> Space:
    """One network in several sizes, by the rules of Dollar et al. 2021 (arXiv:2103.06877) and of EfficientNet.

    network: a published network's name, or an architecture (its space, settings and choices); rules, factors: by which
    rules, and to how many times the MACs; keep, rounding: as for `search_spaces.scaling.scaled`.
    The input is what is given, so that of a rule only depth and width change the network. original: the input for which
    the network was made before it was scaled, if that is another one.
    """
    shape = tuple(original or input)
    tree = origin(network, shape, classes)
    options: dict[str, Node] = {}
    for factor in factors:
        for rule in rules if factor != 1 else ("",):
            by = replace(factors_of(rule or rules[0], factor), resolution=1.0)
            options[label(rule, factor)], _ = scale(tree, shape, by, keep=keep, rounding=rounding)
    return Space("scaled", Chain.of(network=Choice.over("scale", **options)), tuple(input))


def origin(network: str | Mapping[str, Json], input: tuple[int, ...], classes: int) -> Node:
    """The tree of a published network, or of an architecture as JSON holds it, for an input and a number of classes."""
    own: dict[str, Any] = {"input": list(input), "classes": classes}
    if isinstance(network, str):
        found = plugins.published(network)
        return plugins.made(found.make, **{**found.settings, **own}).network(found.arch)
    space, arch = plugins.architecture(network, "the network to scale", **own)
    return space.network(arch)


def label(rule: str, factor: float) -> str:
    """How a scale is written in an architecture: fast_4x, w_0_25x, and 1x by any rule."""
    number = f"{factor:g}x".replace(".", "_").replace("-", "_").replace("+", "")
    return f"{rule}_{number}" if factor != 1 else number
