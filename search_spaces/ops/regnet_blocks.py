"""The blocks of RegNet (Radosavovic et al. 2020, arXiv:2003.13678, figure 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.tree import Chain, Identity, Int, Node, Shape, Sum
from search_spaces.ops.conv import Conv, ConvNormAct
from search_spaces.ops.norm import Act, Norm
from search_spaces.ops.residual import SqueezeExcite


@final
@dataclass(frozen=True)
class XBlock(Node):
    """A 1x1, a grouped 3x3 and a 1x1 convolution beside a shortcut; with a `squeeze` it is the Y block.

    channels: of all three convolutions (bottleneck ratio 1), brought to a multiple of `group_width`, which is the
    channels of a group (`fitted`). project: the shortcut is a convolution. squeeze: the width of squeeze-and-excitation
    behind the 3x3 convolution, as a share of the block's input; 0 for none.
    """

    channels: Int
    group_width: int
    stride: int = 1
    project: bool = False
    squeeze: float = 0.0

    def lower(self, shape: Shape) -> Node:
        width, group = fitted(self.channels, self.group_width)
        squeeze = SqueezeExcite(self.squeeze, channels=shape[0], divisor=1, gate="sigmoid") if self.squeeze else None
        body = Chain.of(
            first=ConvNormAct(width, 1),
            grouped=GroupedConvNormAct(width, group, self.stride),
            squeeze=squeeze,
            last=ConvNormAct(width, 1, act=""),
        )
        shortcut = ConvNormAct(width, 1, self.stride, act="") if self.project else Identity()
        return Chain.of(sum=Sum.of(body=body, shortcut=shortcut), act=Act("relu"))


@final
@dataclass(frozen=True)
class GroupedConvNormAct(Node):
    """A 3x3 convolution whose groups have `group_width` channels, norm, activation."""

    channels: int
    group_width: int
    stride: int = 1

    def lower(self, shape: Shape) -> Node:
        conv = Conv(self.channels, 3, self.stride, groups=self.channels // self.group_width)
        return Chain.of(conv=conv, norm=Norm(), act=Act("relu"))


def fitted(width: int, group_width: int) -> tuple[int, int]:
    """A width and a group width that divides it: the width moves to the nearest multiple, at least one.

    The rule of facebookresearch/pycls, pycls/models/blocks.py, adjust_block_compatibility. It grows with the width.
    """
    group = min(group_width, width)
    return max(group, round(width / group) * group), group
