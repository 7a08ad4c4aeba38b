"""Splits of channels, and the choice blocks of Single Path One-Shot that are made with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.tree import Call, Chain, Concat, Cost, Float, Int, Node, Shape
from search_spaces.ops.conv import ConvNormAct, Depthwise, image
from search_spaces.ops.norm import Norm
from search_spaces.ops.shuffle_modules import ChannelSlice


@final
@dataclass(frozen=True)
class Channels(Node):
    """Some of the channels, as a slice of Python takes them: (C, H, W) to (fewer, H, W).

    A channel shuffle in two groups and a split into two halves, as between units of ShuffleNetV2 (Ma et al. 2018,
    arXiv:1807.11164), take every second channel: start 0 and 1, step 2.
    """

    start: int = 0
    stop: Int = None
    step: int = 1

    def call(self, shape: Shape) -> Call:
        image(self, shape)
        return Call.of(ChannelSlice, self.start, self.stop, self.step)

    def out(self, shape: Shape) -> Shape:
        return len(range(shape[0])[self.start : self.stop : self.step]), *shape[1:]

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class ShuffleUnit(Node):
    """A unit of ShuffleNetV2 with a kernel of 3, 5 or 7 (Guo et al. 2020, arXiv:1904.00420, its choices 0 to 2).

    channels: of the output; scale: the width inside, as a share of half of them; stride 1 keeps half of the input.
    """

    channels: int
    kernel: int = 3
    scale: Float = 1.0
    stride: int = 1

    def lower(self, shape: Shape) -> Node:
        main = Chain.of(
            expand=ConvNormAct(_inside(self.channels, self.scale), 1),
            depthwise=_depthwise(self.kernel, self.stride),
            project=ConvNormAct(_new(self.channels, shape, self.stride), 1),
        )
        return _branches(main, self.kernel, shape, self.stride)


@final
@dataclass(frozen=True)
class ShuffleXception(Node):
    """A unit of ShuffleNetV2 whose branch has three separable convolutions (arXiv:1904.00420, its choice 3)."""

    channels: int
    scale: Float = 1.0
    stride: int = 1

    def lower(self, shape: Shape) -> Node:
        inside = _inside(self.channels, self.scale)
        main = Chain.of(
            depthwise1=_depthwise(3, self.stride),
            pointwise1=ConvNormAct(inside, 1),
            depthwise2=_depthwise(3, 1),
            pointwise2=ConvNormAct(inside, 1),
            depthwise3=_depthwise(3, 1),
            pointwise3=ConvNormAct(_new(self.channels, shape, self.stride), 1),
        )
        return _branches(main, 3, shape, self.stride)


def _inside(channels: int, scale: float) -> int:
    """The width inside of a branch: cut down, as the authors' code does."""
    return max(1, int(channels // 2 * scale))


def _new(channels: int, shape: Shape, stride: int) -> int:
    """How many channels the main branch makes: all but those that the other one brings."""
    kept: int = shape[0] if stride > 1 else (shape[0] + 1) // 2
    if channels <= kept:
        raise ValueError(f"a shuffle unit of {channels} channels needs less than {channels} from its input, got {kept}")
    return channels - kept


def _depthwise(kernel: int, stride: int) -> Node:
    return Chain.of(conv=Depthwise(kernel, stride), norm=Norm())


def _branches(main: Chain, kernel: int, shape: Shape, stride: int) -> Node:
    """Both branches side by side; with stride 1 each reads every second channel of the input, and one is the input."""
    if stride > 1:
        pointwise = ConvNormAct(shape[0], 1)
        return Concat.of(proj=Chain.of(depthwise=_depthwise(kernel, stride), pointwise=pointwise), main=main)
    return Concat.of(proj=Channels(0, None, 2), main=Chain(("split", *main.names), (Channels(1, None, 2), *main.items)))
