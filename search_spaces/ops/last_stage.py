"""The last stage of MobileNetV3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.tree import Chain, Node, Shape
from search_spaces.ops.conv import Conv, Linear
from search_spaces.ops.norm import Act, Dropout
from search_spaces.ops.pool import Flatten, GlobalPool


@final
@dataclass(frozen=True)
class LastStage(Node):
    """Pooling before the widest layer, which then costs little: (C, H, W) to (classes,).

    From Howard et al. 2019, arXiv:1905.02244, figure 5. features: channels of the widest layer; bias: whether it has
    one (there it has; in Once-for-all, arXiv:1908.09791, it has none).
    """

    features: int
    classes: int
    act: str = "hardswish"
    bias: bool = True
    dropout: float = 0.0

    def lower(self, shape: Shape) -> Node:
        return Chain.of(
            pool=GlobalPool(),
            conv=Conv(self.features, 1, bias=self.bias),
            act=Act(self.act),
            flatten=Flatten(),
            dropout=Dropout(self.dropout) if self.dropout else None,
            linear=Linear(self.classes),
        )
