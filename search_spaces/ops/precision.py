"""How many bits the weights of a part are kept in, as a choice beside its others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

from nas.profile import Layer, profile
from nas.space import Architecture, Space
from nas.tree import Chain, Choice, Identity, Int, Node, Shape


@final
@dataclass(frozen=True)
class Bits(Node):
    """Says in how many bits the weights beside it are kept; it builds to nothing and costs nothing."""

    bits: Int

    def lower(self, shape: Shape) -> Node:
        return Identity()


def quantised(space: Space, bits: Sequence[int] = (4, 8)) -> Space:
    """The space with a further choice, `STAGE.BLOCK.bits`, for each block of a stage whose depth is chosen."""
    root = space.root
    if not isinstance(root, Chain):
        raise ValueError(f"the space {space.name} is no chain of stages")
    items = [
        Chain(stage.names, tuple(_block(f"{name}.{b}", node, bits) for b, node in _named(stage)), stage.depth)
        if isinstance(stage, Chain) and isinstance(stage.depth, Choice)
        else stage
        for name, stage in zip(root.names, root.items, strict=True)
    ]
    settings = {**space.settings, "bits": list(bits)}
    return replace(space, name=f"{space.name}_bits", root=Chain(root.names, tuple(items)), settings=settings)


def _named(stage: Chain) -> list[tuple[str, Node]]:
    return list(zip(stage.names, stage.items, strict=True))


def _block(name: str, node: Node, bits: Sequence[int]) -> Node:
    return Chain.of(format=Bits(Choice(f"{name}.bits", tuple(bits))), block=node)


def weights(space: Space, arch: Architecture, *, fixed: int = 8) -> Mapping[str, tuple[int, int]]:
    """The parameters of each layer of an architecture and their bits; `fixed` where they are no choice."""
    labels = arch.labels

    def bits(layer: Layer) -> int:
        return int(labels.get(".".join([*layer.name.split(".")[:2], "bits"]), fixed))

    layers = profile(space.network(arch), space.input).layers
    return {layer.name: (layer.cost.params, bits(layer)) for layer in layers if layer.cost.params}


def error(bits: int) -> float:
    """The mean squared error of weights that are uniform in [-1, 1] and rounded to so many bits, symmetrically.

    The square of the step, 1 / (2^(bits - 1) - 1), over 12; a third is the mean square of the weights.
    """
    return float((1 / (2 ** (bits - 1) - 1)) ** 2 / 12)


def spent(space: Space, arch: Architecture, most: float) -> dict[str, dict[str, float]]:
    """By layer, the bytes of the weights, and their rounding error above `most` as a share of their mean square."""
    layers = weights(space, arch).items()  # a third is the mean square of uniform weights
    lost = {name: n * (3 * error(bits) - most) for name, (n, bits) in layers}
    return {"memory": {name: n * bits / 8 for name, (n, bits) in layers}, "error": lost}
