"""The families of DeepMAD (Shen et al. 2023, arXiv:2303.02165): super-blocks of bottlenecks, with all numbers free.

A super-block is `depth` blocks of one width, one inner width (`bottleneck`) and one kernel; the first of them has its
stride. The authors' mutations keep widths from falling along the network, and inner widths within 1/10 to 1 times the
width (K1KXK1, whose width also grows at most fourfold) or 1.5 to 6 times (K1DWSEK1); here every combination is a
member, and a problem that wants these rules states them as constraints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nas.errors import UserError
from nas.recorded import recorded
from nas.space import Space
from nas.tree import Chain, Choice, Identity, Int, Node
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.pool import Classifier
from search_spaces.ops.resnet_blocks import BottleneckBlock, SqueezeBlock, shortcut
from search_spaces.resnet import NUMBERS

Options = Sequence[Sequence[int]]
DEEPEST = 16
"""Blocks of a super-block at most, where the settings do not say it; the published networks have up to 15."""


@recorded
def deepmad_resnet(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    strides: Sequence[int] = (2, 2, 2, 1, 2),
    stem: Sequence[int] = (8, 16, 24, 32),
    channels: Options = (),
    bottlenecks: Options = (),
    kernels: Sequence[int] = (3, 5),
    depths: Options = (),
) -> Space:
    """Super-blocks `K1KXK1`, the family of DeepMAD-R18, -R34 and -R50.

    strides: of the super-blocks; stem: the options of its channels; kernels: of every super-block.
    channels, bottlenecks, depths: the options of each super-block; empty for the published ranges: multiples of 8 up to
    2048, and up to 16 blocks but for the first super-block, which has up to 3.
    """
    options = channels or [_eights(2048)] * len(strides), bottlenecks or [_eights(2048)] * len(strides)
    body = _body(_bottlenecks, strides, stem, *options, kernels, depths or _deep(len(strides)))
    root = Chain.of(**body, classifier=Classifier(classes))
    return Space("deepmad_resnet", root, tuple(input), relaxes=NUMBERS)


@recorded
def deepmad_mobile(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    strides: Sequence[int] = (2, 2, 2, 2, 1),
    stem: Sequence[int] = (16, 24, 32),
    channels: Options = (),
    bottlenecks: Options = (),
    kernels: Sequence[int] = (3, 5, 7),
    depths: Options = (),
    head: int = 1792,
) -> Space:
    """Super-blocks `K1DWSEK1`, the family of DeepMAD-29M, -50M and -89M.

    Settings as for `deepmad_resnet`, with channels up to 1280 and bottlenecks up to 6 times that; head: the channels of
    the 1x1 convolution before the classifier.
    """
    options = channels or [_eights(1280)] * len(strides), bottlenecks or [_eights(6 * 1280)] * len(strides)
    body = _body(_squeezes, strides, stem, *options, kernels, depths or _deep(len(strides)))
    root = Chain.of(**body, head=ConvNormAct(head, 1), classifier=Classifier(classes))
    return Space("deepmad_mobile", root, tuple(input), relaxes=NUMBERS)


def _bottlenecks(channels: Int, inner: Int, kernel: Int, stride: int, first: bool) -> Node:
    beside = shortcut("pooled", channels, stride) if first else Identity()
    return BottleneckBlock(channels, inner, stride, beside, kernel=kernel)


def _squeezes(channels: Int, inner: Int, kernel: Int, stride: int, first: bool) -> Node:
    return SqueezeBlock(channels, inner, stride, kernel)


def _body(
    make: Callable[[Int, Int, Int, int, bool], Node],
    strides: Sequence[int],
    stem: Sequence[int],
    channels: Options,
    bottlenecks: Options,
    kernels: Sequence[int],
    depths: Options,
) -> dict[str, Node]:
    """The stem, and the super-blocks as stage1, stage2, ..."""
    for name, given in (("channels", channels), ("bottlenecks", bottlenecks), ("depths", depths)):
        if len(given) != len(strides):
            raise UserError(
                f"DeepMAD has {len(strides)} super-blocks by its strides and {len(given)} by its {name}",
                fix="give one list of options for each super-block",
            )
    body: dict[str, Node] = {"stem": ConvNormAct(Choice("stem.channels", tuple(stem)), 3, 2)}
    for s, stride in enumerate(strides, 1):
        width = Choice(f"stage{s}.channels", tuple(channels[s - 1]))
        inner = Choice(f"stage{s}.bottleneck", tuple(bottlenecks[s - 1]))
        kernel = Choice(f"stage{s}.kernel", tuple(kernels))
        first, later = make(width, inner, kernel, stride, True), make(width, inner, kernel, 1, False)
        deepest = max(depths[s - 1])
        names = tuple(f"block{b}" for b in range(1, deepest + 1))
        depth = Choice(f"stage{s}.depth", tuple(depths[s - 1]))
        body[f"stage{s}"] = Chain(names, (first, *[later] * (deepest - 1)), depth)
    return body


def _eights(most: int) -> tuple[int, ...]:
    return tuple(range(8, most + 1, 8))


def _deep(count: int) -> list[tuple[int, ...]]:
    return [tuple(range(1, DEEPEST + 1 if s else 4)) for s in range(count)]
