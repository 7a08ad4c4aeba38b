"""Once-for-all's space over ResNet-50-D (Cai et al. 2020, arXiv:1908.09791; the authors' code, `ofa_resnets.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from nas.recorded import recorded
from nas.space import Space
from nas.tree import Chain, Choice, Float, Identity, Int, Node, Shape, Sum, Tree
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.pool import Classifier, MaxPool
from search_spaces.ops.residual import round_to
from search_spaces.ops.resnet_blocks import BottleneckBlock, shortcut
from search_spaces.resnet import NUMBERS


@recorded
def resnet50d(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    widths: Sequence[int] = (256, 512, 1024, 2048),
    multipliers: Sequence[float] = (0.65, 0.8, 1.0),
    blocks: Sequence[int] = (2, 2, 4, 2),
    depths: Sequence[int] = (0, 1, 2),
    expands: Sequence[float] = (0.2, 0.25, 0.35),
    stem: int = 64,
) -> Space:
    """Bottlenecks whose width, depth and inner width are free, behind a stem of three 3x3 convolutions.

    widths: channels that each stage puts out, times each of `multipliers`; blocks: of each stage, and `depths` more.
    expands: the inner width of each block, as a share of what it puts out; stem: channels of its last convolution.
    All channels are rounded to multiples of 8. The stem's middle convolution is there for the largest depth only.
    """
    body: dict[str, Node] = {"stem": _stem(stem, multipliers, depths), "pool": MaxPool(3, 2)}
    for s, width in enumerate(widths, 1):
        channels = _scaled(f"stage{s}.width", width, multipliers)
        items: list[Node] = []
        for b in range(1, blocks[s - 1] + max(depths) + 1):
            stride = 2 if s > 1 and b == 1 else 1
            beside = shortcut("pooled", channels, stride) if b == 1 else Identity()
            items.append(Expanded(channels, Choice(f"stage{s}.block{b}.expand", tuple(expands)), stride, beside))
        names = tuple(f"block{b}" for b in range(1, len(items) + 1))
        depth = Choice(f"stage{s}.depth", tuple(blocks[s - 1] + d for d in depths), tuple(depths))
        body[f"stage{s}"] = Chain(names, tuple(items), depth)
    root = Chain.of(**body, classifier=Classifier(classes))
    return Space("resnet50d", root, tuple(input), relaxes=NUMBERS)


def _stem(channels: int, multipliers: Sequence[float], depths: Sequence[int]) -> Node:
    """Three convolutions, the middle one beside its input and there or not."""
    out = _scaled("stem.width", channels, multipliers)
    half = Choice("stem.inner", tuple(round_to(w // 2, 8) for w in out.options), out.labels)
    middle = Sum.of(body=ConvNormAct(half, 3), skip=Identity())
    skips = dict.fromkeys((min(depths), max(depths)))
    depth = Choice("stem.depth", tuple(int(d == max(depths)) for d in skips), tuple(skips))
    return Chain.of(conv1=ConvNormAct(half, 3, 2), middle=Chain.of(depth, residual=middle), conv2=ConvNormAct(out, 3))


def _scaled(name: str, width: int, multipliers: Sequence[float]) -> Choice:
    """The choice of a multiplier, whose options are the channels that it makes."""
    return Choice(name, tuple(round_to(width * m, 8) for m in multipliers), tuple(multipliers))


@final
@dataclass(frozen=True)
class Expanded(Node):
    """A bottleneck whose inner width is a share of its channels, rounded to eights."""

    channels: Int
    expand: Float
    stride: int = 1
    shortcut: Tree = Identity()

    def lower(self, shape: Shape) -> Node:
        inner = round_to(round(self.channels * self.expand), 8)
        return BottleneckBlock(self.channels, inner, self.stride, self.shortcut)
