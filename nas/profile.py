"""What a network costs, layer by layer, read from the tree without building it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.graph import Graph, graph
from nas.tree import Cost, Node, Shape


@final
@dataclass(frozen=True)
class Layer:
    """One primitive: its path, what it is, the shape that it puts out, and its cost for one input."""

    name: str
    op: str
    out: Shape
    cost: Cost


@final
@dataclass(frozen=True)
class Profile:
    """The layers of a network in their order, and what they cost together for one input."""

    layers: tuple[Layer, ...]
    total: Cost
    out: Shape


def profile(tree: Node, shape: Shape) -> Profile:
    """The cost of a tree without holes, for one input of this shape."""
    return measure(graph(tree, shape))


def measure(flat: Graph) -> Profile:
    """The cost of a graph; a layer that runs several times counts its parameters once, its work each time."""
    layers: dict[str, Layer] = {}
    for op in flat.ops:
        if op.kind != "node" or op.node is None or not op.counted:
            continue
        cost, seen = op.node.cost(op.reads), layers.get(op.path)
        if seen is not None:
            cost = Cost(seen.cost.params, seen.cost.macs + cost.macs, seen.cost.activations + cost.activations)
        layers[op.path] = Layer(op.path, type(op.node).__name__, op.shape, cost)
    return Profile(tuple(layers.values()), sum((layer.cost for layer in layers.values()), Cost()), flat.out)
