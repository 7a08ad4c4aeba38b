"""The factorised hierarchical space of MnasNet (Tan et al. 2019, arXiv:1807.11626, section 4.1).

Blocks of like layers: each block chooses its operation, kernel, squeeze-and-excitation, skip, filters and layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from nas.recorded import recorded
from nas.space import Space
from nas.tree import Chain, Choice, Identity, Int, Node, Shape, Str, Sum, Tree, Zero
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.options import channels_of, layers_of, squeezes_of
from search_spaces.ops.pool import AvgPool, Classifier
from search_spaces.ops.residual import MBConv

FILTERS, LAYERS, STRIDES = (16, 24, 32, 64, 96, 160, 320), (1, 2, 3, 4, 3, 3, 1), (1, 2, 2, 2, 1, 2, 1)
"""The reference is MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381, table 2)."""
RELAXES = "filters, layers, kernels and expansions are numbers"


@recorded
def mnasnet(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    filters: tuple[int, ...] = FILTERS,
    layers: tuple[int, ...] = LAYERS,
    strides: tuple[int, ...] = STRIDES,
    multipliers: tuple[float, ...] = (0.75, 1.0, 1.25),
    more: tuple[int, ...] = (-1, 0, 1),
    ops: tuple[str, ...] = ("conv", "sepconv", "mbconv"),
    kernels: tuple[int, ...] = (3, 5),
    expands: tuple[float, ...] = (3, 6),
    squeezes: tuple[float, ...] = (0, 0.25),
    skips: tuple[str, ...] = ("none", "identity", "pool"),
    stem: int = 32,
    head: int = 1280,
    dropout: float = 0.2,
) -> Space:
    """A stem, seven blocks and a classifier; a block has 432 choices where neither filters nor layers coincide.

    filters, layers: of each block, times each of `multipliers` in multiples of 8, plus each of `more`; strides: of each
    block's first layer. ops, kernels, expands (of mbconv), squeezes, skips: the options of each block.
    """
    options = Options(tuple(ops), tuple(kernels), tuple(expands), tuple(squeezes), tuple(skips))
    body: dict[str, Tree] = {"stem": ConvNormAct(stem, 3, 2)}
    reads: Int = stem
    for b, (channels, count, stride) in enumerate(zip(filters, layers, strides, strict=True), 1):
        wide = channels_of(f"block{b}.filters", channels, multipliers)
        deep = layers_of(f"block{b}.layers", count, more)
        body[f"block{b}"] = block(f"block{b}", options, reads, wide, stride, deep, act="relu")
        reads = wide
    root = Chain.of(**body, last=ConvNormAct(head, 1), classifier=Classifier(classes, dropout))
    return Space("mnasnet", root, tuple(input), relaxes=RELAXES)


@final
@dataclass(frozen=True)
class Options:
    """What each block of a factorised hierarchical space chooses from."""

    ops: tuple[str, ...]
    kernels: tuple[int, ...]
    expands: tuple[float, ...]
    squeezes: tuple[float, ...]
    skips: tuple[str, ...]


def block(
    name: str,
    options: Options,
    reads: Int,
    channels: Choice,
    stride: int,
    layers: Choice,
    act: str,
    drops: tuple[float, ...] = (),
) -> Chain:
    """As many layers as `layers` says, all of one kind; the first has the stride.

    reads: channels that come in; drops: the rate of stochastic depth of each layer, none where it is empty.
    """
    nodes: list[Choice] = []
    for k in range(max(layers.options)):
        squeeze = squeezes_of(
            f"{name}.squeeze", options.squeezes, channels=channels if k else reads, divisor=1, act=act, gate="sigmoid"
        )
        shared: dict[str, Any] = {
            "kernel": Choice(f"{name}.kernel", options.kernels),
            "stride": 1 if k else stride,
            "squeeze": squeeze,
            "act": act,
            "skip": Choice.over(f"{name}.skip", **_pick(SKIPS, options.skips, "skip")),
        }
        drop = drops[k] if drops else 0.0
        expand = Choice(f"{name}.expand", options.expands)
        operations = {
            "conv": FullConv(channels, **shared),
            "sepconv": MBConv(channels, expand=None, drop=drop, **shared),
            "mbconv": MBConv(channels, expand=expand, drop=drop, **shared),
        }
        nodes.append(Choice.over(f"{name}.op", **_pick(operations, options.ops, "operation")))
    return Chain(tuple(f"layer{k}" for k in range(1, len(nodes) + 1)), tuple(nodes), layers)


SKIPS: Mapping[str, Node] = {"none": Zero(), "identity": Identity(), "pool": AvgPool(3)}


@final
@dataclass(frozen=True)
class FullConv(Node):
    """A convolution over all channels, with what MBConv has beside: squeeze-and-excitation and a skip."""

    channels: Int
    kernel: Int = 3
    stride: int = 1
    squeeze: Tree = Identity()
    act: Str = "relu"
    skip: Tree = Identity()

    def lower(self, shape: Shape) -> Node:
        conv = ConvNormAct(self.channels, self.kernel, self.stride, self.act)
        body = Chain.of(conv=conv, squeeze=self.squeeze)
        whole = self.stride == 1 and shape[0] == self.channels
        return Sum.of(body=body, skip=self.skip) if whole else Chain.of(body=body)


def _pick(known: Mapping[str, Any], names: tuple[str, ...], what: str) -> dict[str, Any]:
    if bad := [name for name in names if name not in known]:
        raise ValueError(f"no {what} is called {bad[0]!r}; there are {', '.join(known)}")
    return {name: known[name] for name in names}
