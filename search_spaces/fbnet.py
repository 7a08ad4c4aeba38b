"""One inverted residual of several for each layer: FBNet, and with other candidates Single-Path NAS.

Wu et al. 2019 (arXiv:1812.03443, tables 1 and 2); Stamoulis et al. 2019 (arXiv:1904.02877).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from nas.recorded import recorded
from nas.space import Space
from nas.tree import Chain, Choice, Identity, Node, Shape, Tree
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.pool import Classifier
from search_spaces.ops.residual import MBConv

STAGES = ((16, 1, 1), (24, 4, 2), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1))
"""Channels, layers and stride of each stage that is searched: 22 layers."""
CANDIDATES = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")
"""Kernel, expansion and groups of each candidate, as the authors call them."""
CANDIDATE = re.compile(r"k(\d+)_e(\d+)(?:_g(\d+))?\Z")


@recorded
def fbnet(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    stages: Sequence[Sequence[int]] = STAGES,
    candidates: tuple[str, ...] = CANDIDATES,
    stem: int = 16,
    first: int = 0,
    head: int = 1984,
    dropout: float = 0.0,
) -> Space:
    """A stem, layers that each are one of the candidates, and a classifier: 9^22 architectures.

    stages: channels, layers and stride of each; candidates: k3_e6_g2 is a kernel of 3, an expansion of 6 and 2 groups,
    "skip" passes on what comes in. first: channels of a block without expansion behind the stem, 0 for none.
    """
    body: dict[str, Tree] = {"stem": ConvNormAct(stem, 3, 2)}
    if first:
        body["first"] = MBConv(first, 3, None, act="relu")
    layers = [(c, stride if k == 0 else 1) for c, count, stride in stages for k in range(count)]
    for n, (channels, stride) in enumerate(layers, 1):
        nodes = {candidate: _candidate(candidate, channels, stride) for candidate in candidates}
        body[f"layer{n}"] = Choice.over(f"layer{n}", **nodes)
    root = Chain.of(**body, last=ConvNormAct(head, 1), classifier=Classifier(classes, dropout))
    return Space("fbnet", root, tuple(input))


@final
@dataclass(frozen=True)
class Skip(Node):
    """What comes in, unchanged; where the shape changes a 1x1 convolution, norm and activation, as the authors do."""

    channels: int
    stride: int = 1

    def lower(self, shape: Shape) -> Node:
        whole = self.stride == 1 and shape[0] == self.channels
        return Identity() if whole else ConvNormAct(self.channels, 1, self.stride)


def _candidate(name: str, channels: int, stride: int) -> Node:
    if name == "skip":
        return Skip(channels, stride)
    found = CANDIDATE.match(name)
    if found is None:
        raise ValueError(f"no candidate is called {name!r}; one is skip, or kernel, expansion and groups as k3_e6_g2")
    kernel, expand, groups = (int(text or 1) for text in found.groups())
    return MBConv(channels, kernel, expand, stride, act="relu", groups=groups)
