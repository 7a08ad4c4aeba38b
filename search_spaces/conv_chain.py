"""Convolutions with skip connections, layer by layer (Zoph and Le 2017, arXiv:1611.01578, sections 3.1 and 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from nas.recorded import recorded
from nas.space import Space
from nas.tree import Chain, Choice, Concat, Dag, Identity, Int, Node, Shape, Take
from search_spaces.ops.conv import Conv
from search_spaces.ops.norm import Act, Norm
from search_spaces.ops.pool import Classifier, MaxPool
from search_spaces.ops.tables import PadTo

SHARES = "a layer reads a concatenation of layers that vary, so its channels have no fixed places"
RELAXES = "its choices are sizes, and which layers are concatenated"


@recorded
def conv_chain(
    input: tuple[int, int, int] = (3, 32, 32),  # the word of the project for an input shape
    classes: int = 10,
    layers: int = 15,
    sides: tuple[int, ...] = (1, 3, 5, 7),
    strides: tuple[int, ...] = (1,),
    filters: tuple[int, ...] = (24, 36, 48, 64),
    pools: tuple[int, ...] = (),
) -> Space:
    """Convolutions of any height, width and stride; each reads any set of those before it.

    sides, strides: of filters, for height and width alike (strides (1, 2, 3) in the paper's second space).
    pools: the layers behind which a max-pooling halves the image (13 and 24 of 39 in the paper's third experiment).
    """
    body = Convolutions(
        tuple(_layer(k, sides, strides, filters) for k in range(1, layers + 1)),
        tuple(tuple(Choice(f"layer{k}.from{j}", (0, 1)) for j in range(1, k)) for k in range(1, layers + 1)),
        tuple(pools),
    )
    root = Chain.of(body=body, head=Classifier(classes))
    return Space("conv_chain", root, tuple(input), shares=SHARES, relaxes=RELAXES)


@final
@dataclass(frozen=True)
class ConvLayer(Node):
    """Convolution, norm, activation, with a height and a width of its filter and its stride."""

    height: Int
    width: Int
    stride_height: Int
    stride_width: Int
    filters: Int

    def lower(self, shape: Shape) -> Node:
        conv = Conv(self.filters, (self.height, self.width), (self.stride_height, self.stride_width))
        return Chain.of(conv=conv, norm=Norm(), act=Act("relu"))


@final
@dataclass(frozen=True)
class Convolutions(Node):
    """Layers, of which each reads those that feed it, joined along the channels; smaller ones are padded with zeros.

    A layer that nothing feeds reads the image; layers that feed nothing are joined at the end (section 3.3).
    """

    layers: tuple[Any, ...]
    feeds: tuple[tuple[Any, ...], ...]
    pools: tuple[int, ...]

    def lower(self, shape: Shape) -> Node:
        sizes: list[tuple[int, int]] = [(shape[1], shape[2])]
        steps: dict[str, Node] = {}
        loose = set(range(1, len(self.layers) + 1))
        for k, (layer, feeds) in enumerate(zip(self.layers, self.feeds, strict=True), 1):
            read = [j for j, fed in enumerate(feeds, 1) if fed] or [0]
            loose -= set(read)
            high, wide = (max(sizes[j][side] for j in read) for side in (0, 1))
            high, wide = -(-high // layer.stride_height), -(-wide // layer.stride_width)
            pool = MaxPool(2, 2) if k in self.pools else None
            sizes.append((-(-high // 2), -(-wide // 2)) if pool else (high, wide))
            steps[f"layer{k}"] = Chain.of(join=_joined(read, sizes), layer=layer, pool=pool)
        steps["ends"] = _joined(sorted(loose), sizes)
        return Dag(tuple(steps), tuple(steps.values()))


def _joined(read: list[int], sizes: list[tuple[int, int]]) -> Node:
    high, wide = (max(sizes[j][side] for j in read) for side in (0, 1))
    parts = {f"from{j}": Take(j, Identity() if sizes[j] == (high, wide) else PadTo(high, wide)) for j in read}
    return Concat.of(**parts)


def _layer(k: int, sides: tuple[int, ...], strides: tuple[int, ...], filters: tuple[int, ...]) -> ConvLayer:
    return ConvLayer(
        Choice(f"layer{k}.height", tuple(sides)),
        Choice(f"layer{k}.width", tuple(sides)),
        Choice(f"layer{k}.stride_height", tuple(strides)),
        Choice(f"layer{k}.stride_width", tuple(strides)),
        Choice(f"layer{k}.filters", tuple(filters)),
    )
