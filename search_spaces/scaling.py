"""Scaling of a network in depth, width and resolution, tree to tree: a filled tree becomes a larger or smaller one.

The rules are those of Dollar et al. 2021 (arXiv:2103.06877) and of EfficientNet (Tan and Le 2019, arXiv:1905.11946). On
a tree they mean:

- depth: blocks that stand one after another in a chain and keep the shape are repeated (`search_spaces.stages`);
- width: every field that states channels (WIDTHS) is scaled and rounded to eights, `group_width` is scaled with it, and
  a node that states `groups` gets widths that they divide. What a network and its train heads put out never changes;
- resolution: the sides of the input, rounded to fours. The tree has none of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, final

from nas.errors import UserError
from nas.graph import graph, join
from nas.module import Module
from nas.tree import Chain, Concat, Dag, Node, Shape, Sum, TrainHead, parts
from search_spaces.ops.residual import round_to
from search_spaces.stages import deepened

WIDTHS = frozenset(
    (
        *("channels", "features", "filters", "inner", "narrow", "hidden", "width", "embed", "embeds", "mlp", "state"),
        *("out_channels", "out_features"),
    )
)
"""The fields of nodes, and arguments of a user's modules, that state how wide something is (`width` beside a `height`
is a side). `heads` beside a `head_dim` grow with them."""
RULES: Mapping[str, tuple[float, float, float]] = {
    "fast": (1, 8, 1),
    "dWr": (1, 8, 1),
    "dwr": (1, 1, 1),
    "d": (1, 0, 0),
    "w": (0, 1, 0),
    "r": (0, 0, 1),
    "dw": (1, 1, 0),
    "dr": (1, 0, 1),
    "wr": (0, 1, 1),
}
"""Which shares of the MACs, on a log scale, come from depth, width and resolution (arXiv:2103.06877).

"fast" is the paper's fast compound scaling, which it also writes dWr; "dwr" is its uniform compound scaling.
"""
COMPOUND = (1.2, 1.1, 1.15)
"""alpha, beta and gamma of EfficientNet (arXiv:1905.11946, section 3.3)."""


@final
@dataclass(frozen=True)
class Factors:
    """By how much each dimension is scaled; `group` is of the channels of a group, which follow the width."""

    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0
    group: float | None = None

    def nominal(self) -> dict[str, float]:
        """The factors of parameters, MACs and activations before anything is rounded (arXiv:2103.06877)."""
        pixels = self.resolution**2
        params = self.depth * self.width**2
        return {"params": params, "macs": params * pixels, "activations": self.depth * self.width * pixels}


@final
@dataclass(frozen=True)
class Rounding:
    """How scaled numbers become whole. width: of a value and its divisor; depth: of a number of blocks."""

    width: Callable[[float, int], int]
    depth: Callable[[float], int]


ROUNDINGS: Mapping[str, Rounding] = {
    "nearest": Rounding(lambda value, by: max(1, round(value / by)) * by, lambda value: max(1, round(value))),
    "efficientnet": Rounding(round_to, lambda value: max(1, math.ceil(value))),
}
"""nearest: as facebookresearch/pycls, pycls/models/scaler.py; efficientnet: as Tan and Le 2019, depths rounded up."""


def factors(rule: str, macs: float) -> Factors:
    """The factors of a rule, one of RULES or "compound", for so many times the MACs."""
    if not (math.isfinite(macs) and macs > 0):
        raise ValueError(f"a network is scaled by a number above 0, got {macs}")
    if rule == "compound":
        alpha, beta, gamma = COMPOUND
        return compound(math.log(macs) / math.log(alpha * beta**2 * gamma**2))
    if rule not in RULES:
        raise ValueError(f"no rule of scaling is called {rule!r}; there are {', '.join((*RULES, 'compound'))}")
    return shared(macs, *RULES[rule])


def shared(macs: float, depth: float, width: float, resolution: float) -> Factors:
    """The factors for so many times the MACs, of which each dimension brings a share, on a log scale."""
    whole = depth + width + resolution
    return Factors(macs ** (depth / whole), macs ** (width / whole / 2), macs ** (resolution / whole / 2))


def compound(phi: float, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15) -> Factors:
    """Compound scaling (arXiv:1905.11946, eq. 3): depth alpha^phi, width beta^phi, resolution gamma^phi."""
    return Factors(alpha**phi, beta**phi, gamma**phi)


def scaled(
    network: Node, shape: Shape, by: Factors, *, keep: Iterable[str] = (), rounding: str = "nearest"
) -> tuple[Node, Shape]:
    """The scaled network and its input.

    keep: paths of the tree whose widths stay, "stem"; rounding: one of ROUNDINGS. A factor of 1 changes nothing.
    Raises UserError where a network cannot be scaled so.
    """
    how, kept = ROUNDINGS[rounding], tuple(keep)
    there = set(_paths(network, ""))
    if unknown := [path for path in kept if path not in there]:
        near = ", ".join(sorted(path for path in there if "." not in path))
        raise UserError(f"the network has no part named {unknown[0]!r} to keep", fix=f"its parts are {near}")
    made = network
    try:
        if by.depth != 1:
            made = deepened(network, shape, lambda n: how.depth(by.depth * n))
        if by.width != 1:
            made = _widened(made, shape, by, how, kept)
        new = resized(shape, by.resolution)
        for op in graph(made, new).ops:
            if op.node is not None:
                op.node.call(op.reads)  # a layer may refuse its groups only here
    except ValueError as error:
        raise UserError(
            f"the network cannot be scaled by {by.depth:.3g} in depth, {by.width:.3g} in width and "
            f"{by.resolution:.3g} in resolution: {error}",
            fix="try another rule or factor",
        ) from error
    return made, new


def resized(shape: Shape, factor: float) -> Shape:
    """The shape of images whose sides are scaled and rounded to fours, at least four."""
    if factor == 1:
        return shape
    if len(shape) != 3 or not all(isinstance(n, int) for n in shape):
        raise ValueError(f"only images (C, H, W) have a resolution, the input is {shape}")
    return shape[0], *(max(1, round(side * factor / 4)) * 4 for side in shape[1:])


def _widened(tree: Node, shape: Shape, by: Factors, how: Rounding, keep: tuple[str, ...]) -> Node:
    """The tree with its widths scaled, all but the last ones before each output, where that output would change."""
    wanted = _outputs(tree, shape)
    first = _Widening(by, how, keep, ())
    made = first.node(tree, "")
    fixed: list[int] = []
    found = _outputs(made, shape)
    while found != wanted:
        off = [k for k, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b]
        behind = [n for n in first.regions[min(off[0], len(first.regions) - 1)] if n not in fixed]
        if not behind:
            raise ValueError(f"it would put out {found[off[0]]} instead of {wanted[off[0]]}")
        fixed.append(behind[-1])
        made = _Widening(by, how, keep, tuple(fixed)).node(tree, "")
        try:
            found = _outputs(made, shape)
        except ValueError:
            continue  # the terms of a sum: the others are not fixed yet
    return made


def _outputs(tree: Node, shape: Shape) -> list[Any]:
    flat = graph(tree, shape)
    return [flat.out, *(flat.ops[k].shape for k in flat.heads)]


@final
class _Widening:
    """One walk that scales widths; it numbers the nodes that state some, by the output that they lead to.

    regions: the numbers on the way to the outputs of the network, then to each train head.
    """

    def __init__(self, by: Factors, how: Rounding, keep: tuple[str, ...], fixed: tuple[int, ...]) -> None:
        self.by, self.how, self.keep, self.fixed = by, how, keep, fixed
        self.regions: list[list[int]] = [[]]
        self.count, self.at = 0, 0

    def node(self, node: Node, path: str) -> Node:
        if any(path == kept or path.startswith(f"{kept}.") for kept in self.keep):
            return node
        if isinstance(node, TrainHead):
            before, self.at = self.at, len(self.regions)
            self.regions.append([])
            inner = self.node(node.node, path)
            self.at = before
            return replace(node, node=inner)
        new = {name: self.value(getattr(node, name), path) for name in parts(type(node)) if name != "items"}
        if isinstance(node, Chain | Sum | Concat | Dag):
            pairs = zip(node.names, node.items, strict=True)
            new["items"] = tuple(self.node(item, join(path, name)) for name, item in pairs)
        new |= self.widths(node)
        return replace(node, **new)

    def value(self, value: Any, path: str) -> Any:
        if isinstance(value, Node):
            return self.node(value, path)
        if is_dataclass(value) and not isinstance(value, type):  # what a node is described by, "where a cell stands"
            new = {f.name: self.value(getattr(value, f.name), path) for f in fields(value) if f.init}
            return replace(value, **{**new, **self.widths(value)})
        return tuple(self.value(v, path) for v in value) if isinstance(value, tuple) else value

    def widths(self, node: Any) -> dict[str, Any]:
        """The scaled fields of a node, or of what it is described by."""
        given = dict(node.args) if isinstance(node, Module) else {f.name: getattr(node, f.name) for f in fields(node)}
        stated = {name: value for name, value in given.items() if name in WIDTHS and _whole(value)}
        if "height" in given:
            stated.pop("width", None)
        heads = "head_dim" in given and _whole(given.get("heads"))
        if not stated and not heads and not _whole(given.get("group_width")):
            return {}
        self.regions[self.at].append(self.count)
        self.count += 1
        if self.count - 1 in self.fixed:
            return {}
        groups = given.get("groups", 1)
        each = _whole(groups) and groups > 1 and groups == given.get("channels")
        divisor = 8 if each or not _whole(groups) else math.lcm(8, groups)
        new = {name: self.wide(value, divisor) for name, value in stated.items()}
        if heads:
            new["heads"] = self.how.width(given["heads"] * self.by.width, 1)
        if each:
            new["groups"] = new["channels"]
        if _whole(given.get("group_width")):
            new["group_width"] = grouped(given["group_width"] * (self.by.group or self.by.width))
        if isinstance(node, Module):
            return {"args": tuple((name, new.get(name, value)) for name, value in node.args)}
        return new

    def wide(self, value: Any, divisor: int) -> Any:
        if isinstance(value, tuple):
            return tuple(self.wide(v, divisor) for v in value)
        return self.how.width(value * self.by.width, divisor)


def grouped(width: float) -> int:
    """The channels of a group, made whole: 1, 2, 4 or eights (facebookresearch/pycls, pycls/models/scaler.py)."""
    near = max(1, round(width))
    return near if near <= 2 else 4 if near <= 5 else round(near / 8) * 8


def _whole(value: object) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(map(_whole, value))
    return isinstance(value, int) and not isinstance(value, bool)


def _paths(node: Node, path: str) -> Iterator[str]:
    if isinstance(node, Chain | Sum | Concat | Dag):
        for name, item in zip(node.names, node.items, strict=True):
            yield join(path, name)
            yield from _paths(item, join(path, name))
