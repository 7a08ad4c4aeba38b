"""Once-for-all (Cai et al. 2020, arXiv:1908.09791): elastic depth, kernel, expansion and resolution.

Over the networks of MobileNetV3 and of ProxylessNAS; a unit of depth d keeps its first d blocks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Identity, Label, Node, Tree
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.last_stage import LastStage
from search_spaces.ops.pool import Classifier
from search_spaces.ops.residual import MBConv, SqueezeExcite, round_to
from search_spaces.ops.resize import Resize

RESOLUTIONS = tuple(range(128, 225, 4))
"""The 25 sides of images in the paper."""


@final
@dataclass(frozen=True)
class Unit:
    """Blocks of one width: channels, the stride of the first block, activation, squeeze-and-excitation."""

    channels: int
    stride: int
    act: str
    squeeze: bool = False


@final
@dataclass(frozen=True)
class Macro:
    """What is fixed around the blocks that are searched, at width 1.

    single: a last unit of one block, None for none; last: channels before the pooling; head: after it, 0 for none.
    """

    stem: int
    first: Unit
    units: tuple[Unit, ...]
    single: Unit | None
    last: int
    head: int
    act: str


MACROS = {
    "mobilenetv3": Macro(
        stem=16,
        first=Unit(16, 1, "relu"),
        units=(
            Unit(24, 2, "relu"),
            Unit(40, 2, "relu", squeeze=True),
            Unit(80, 2, "hardswish"),
            Unit(112, 1, "hardswish", squeeze=True),
            Unit(160, 2, "hardswish", squeeze=True),
        ),
        single=None,
        last=960,
        head=1280,
        act="hardswish",
    ),
    "proxyless": Macro(
        stem=32,
        first=Unit(16, 1, "relu6"),
        units=tuple(Unit(c, s, "relu6") for c, s in ((24, 2), (40, 2), (80, 2), (96, 1), (192, 2))),
        single=Unit(320, 1, "relu6"),
        last=1280,
        head=0,
        act="relu6",
    ),
}
"""From `ofa_mbv3.py` and `ofa_proxyless.py` of mit-han-lab/once-for-all."""


@recorded
def ofa(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    macro: str = "mobilenetv3",
    width: float = 1.0,
    depths: tuple[int, ...] = (2, 3, 4),
    kernels: tuple[int, ...] = (3, 5, 7),
    expands: tuple[float, ...] = (3, 4, 6),
    resolutions: tuple[int, ...] = (),
    dropout: float = 0.1,
) -> Space:
    """Five units of 7,371 choices each, in the network named by `macro`: mobilenetv3, or proxyless (one block more).

    width: the multiplier of all channels: 1.0 and 1.2 in the released mobilenetv3, 1.3 in proxyless. depths: of each
    unit; kernels, expands: of each block. resolutions: sides that images are brought to, () for as they come; the
    paper's are RESOLUTIONS.
    """
    if macro not in MACROS:
        raise ValueError(f"no macro is called {macro!r}; there are {', '.join(MACROS)}")
    made = MACROS[macro]
    body: dict[str, Tree] = {}
    if resolutions:
        body["resize"] = Resize(Choice("resolution", tuple(resolutions)))
    body["stem"] = ConvNormAct(round_to(made.stem * width, 8), 3, 2, made.act)
    body["first"] = MBConv(round_to(made.first.channels * width, 8), 3, None, act=made.first.act)
    for u, unit in enumerate(made.units, 1):
        nodes = [_block(unit, width, f"unit{u}.block{b}", b, kernels, expands) for b in range(1, max(depths) + 1)]
        names = tuple(f"block{b}" for b in range(1, len(nodes) + 1))
        body[f"unit{u}"] = Chain(names, tuple(nodes), Choice(f"unit{u}.depth", tuple(depths)))
    if made.single is not None:
        name = f"unit{len(made.units) + 1}"
        body[name] = Chain.of(block1=_block(made.single, width, f"{name}.block1", 1, kernels, expands))
    body["last"] = ConvNormAct(round_to(made.last * width, 8), 1, act=made.act)
    body["classifier"] = _head(made, width, classes, dropout)
    reason = "depths, kernels and expansions are numbers"
    blocks = (max(depths),) * len(made.units)
    side = None if resolutions else int(input[-1])
    written = Subnets(blocks, made.single is not None, side, kernels[0], expands[0])
    spelling = Spelling(written.spell, written.parse)
    return Space("ofa", Chain.of(**body), tuple(input), relaxes=reason, spelling=spelling)


def _block(
    unit: Unit, width: float, name: str, number: int, kernels: tuple[int, ...], expands: tuple[float, ...]
) -> MBConv:
    return MBConv(
        round_to(unit.channels * width, 8),
        Choice(f"{name}.kernel", tuple(kernels)),
        Choice(f"{name}.expand", tuple(expands)),
        unit.stride if number == 1 else 1,
        SqueezeExcite() if unit.squeeze else Identity(),
        unit.act,
        divisor=8,
    )


def _head(macro: Macro, width: float, classes: int, dropout: float) -> Node:
    if not macro.head:
        return Classifier(classes, dropout)
    return LastStage(round_to(macro.head * width, 8), classes, macro.act, bias=False, dropout=dropout)


@final
@dataclass(frozen=True)
class Subnets:
    """How the authors write a sub-network: {"ks", "e", "d", "r"}, kernels and expansions of all blocks, closed or not.

    blocks: the most of each unit; single: whether one block more follows; side: of images, None where it is a choice.
    kernel, expand: what is written for a closed block.
    """

    blocks: tuple[int, ...]
    single: bool
    side: int | None
    kernel: int
    expand: float

    def names(self) -> list[tuple[int, int]]:
        """The unit and the block of each place of a list, from 1."""
        made = [(u, b) for u, most in enumerate(self.blocks, 1) for b in range(1, most + 1)]
        return [*made, (len(self.blocks) + 1, 1)] if self.single else made

    def spell(self, arch: Architecture) -> str:
        """The JSON of an architecture."""
        labels, names = arch.labels, [f"unit{u}.block{b}" for u, b in self.names()]
        made = {
            "ks": [labels.get(f"{name}.kernel", self.kernel) for name in names],
            "e": [labels.get(f"{name}.expand", self.expand) for name in names],
            "d": [labels[f"unit{u}.depth"] for u, _ in enumerate(self.blocks, 1)],
            "r": [labels["resolution"] if self.side is None else self.side],
        }
        return json.dumps(made)

    def parse(self, text: str) -> Mapping[str, Label]:
        """The labels of JSON; those of closed blocks are left out. ValueError where it is no sub-network."""
        try:
            made = json.loads(text)
            kernels, expands, depths = ([_number(n) for n in made[name]] for name in ("ks", "e", "d"))
            side = made.get("r", self.side)
            side = side[0] if isinstance(side, list) else side
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            kernels, expands, depths, side = [], [], [], None
        names = self.names()
        if not len(kernels) == len(expands) == len(names) or len(depths) != len(self.blocks):
            what = f"{len(names)} kernels ks, {len(names)} expansions e, {len(self.blocks)} depths d"
            raise ValueError(f"{text!r} is no sub-network of ofa; one is JSON of {what} and the side r of images")
        if self.side is not None and side != self.side:
            raise ValueError(f"the sub-network is for images of side {side}, the space for {self.side}")
        labels: dict[str, Label] = {f"unit{u}.depth": depth for u, depth in enumerate(depths, 1)}
        if self.side is None:
            labels["resolution"] = _number(side)
        for (u, b), kernel, expand in zip(names, kernels, expands, strict=True):
            if u > len(depths) or b <= depths[u - 1]:
                labels |= {f"unit{u}.block{b}.kernel": kernel, f"unit{u}.block{b}.expand": expand}
        return labels


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return value
