"""HyTra, a fabric of convolutions and attention whose scale may fall at any layer (Li et al. 2021, arXiv:2103.12424).

Read from the public code changlin31/BossNAS, which tells positions by depthwise convolutions in each layer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias, final

from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Identity, Label, Node, Sum
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.hytra_blocks import Enter, Reach, ResAtt, ResConv, Shortcut
from search_spaces.ops.pool import Classifier, MaxPool
from search_spaces.ops.residual import SqueezeExcite

Scales: TypeAlias = tuple[int, ...]
"""The scale of each layer; 0 is the finest, a quarter of the image's sides."""
RELAXES = "its scales put out different shapes"


@recorded
def hytra(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    channels: tuple[int, ...] = (256, 512, 1024, 2048),
    scales: tuple[int, ...] = (4, 3, 2, 2),
    layers: int = 4,
    restricted: bool = True,
    attention: int = 2,
    head_dim: int = 64,
    stem: int = 64,
    act: str = "relu",
    squeeze: float = 0.0,
    form: Literal["searched", "retrained"] = "searched",
    last_stride: int = 2,
) -> Space:
    """Blocks of layers; each layer is at the scale of the one before or at the next coarser one.

    channels: at each scale; scales: how many of the coarsest ones each block may use, `restricted` to the two finest of
    them in its first layer; layers: of a block; attention: how many of the coarsest scales may attend, in heads of
    `head_dim`. form: "retrained" has pooled shortcuts, and at a scale without layers a strided convolution. squeeze: of
    convolutions; last_stride: 1 keeps the last scale as fine as the one before it.
    """
    paths = tuple(_paths(scales, layers, len(channels), restricted=restricted))
    labels = tuple(_label(path, len(channels)) for path in paths)
    fabric = _Fabric(
        paths, labels, tuple(channels), attention, head_dim, act, squeeze, form == "retrained", last_stride
    )
    if form not in {"searched", "retrained"} or not paths:
        raise ValueError(f"form must be searched or retrained and some path must exist, got {form!r}, scales {scales}")
    body = {f"layer{n + 1}": fabric.layer(n) for n in range(len(paths[0]))}
    root = Chain.of(
        stem=ConvNormAct(stem, 7, 2, act),
        pool=MaxPool(3, 2),
        **fabric.empty("before", lambda path: range(path[0])),
        **body,
        **fabric.empty("behind", lambda path: range(path[-1] + 1, len(channels))),
        head=Classifier(classes),
    )
    codes = _Codes(labels, len(channels), attention, layers)
    spelling = Spelling(partial(_spell, codes), partial(_parse, codes))
    return Space("hytra", root, tuple(input), relaxes=RELAXES, spelling=spelling)


@final
@dataclass(frozen=True)
class _Fabric:
    """Makes the layers; the scales of all layers are one decision, so that each layer has its own weights at each."""

    paths: tuple[Scales, ...]
    labels: tuple[str, ...]
    channels: tuple[int, ...]
    attention: int
    head_dim: int
    act: str
    squeeze: float
    retrained: bool
    last_stride: int

    def layer(self, n: int) -> Node:
        """A layer at every scale that it may be at."""
        there = sorted({path[n] for path in self.paths})
        return self.one(lambda path: f"scale{path[n] + 1}", **{f"scale{s + 1}": self.at(n, s) for s in there})

    def at(self, n: int, scale: int) -> Node:
        """A layer at one scale: a convolution, or at a coarse one a hole over attention and convolution."""
        channels, act = self.channels[scale], self.act
        enter, shortcut = (self.source(n, scale, shortcut=part) for part in (False, True))
        squeeze = SqueezeExcite(self.squeeze, gate="sigmoid") if self.squeeze else Identity()
        made: dict[str, Node] = {"conv": ResConv(channels, enter, shortcut, squeeze, act)}
        reach = Reach(channels // 4, 1 << scale) if n == 0 and not self.retrained else None
        if scale < len(self.channels) - self.attention:
            return Chain.of(reach=reach, **made)
        heads = max(1, channels // 4 // self.head_dim)
        made = {"att": ResAtt(channels, heads, enter, shortcut, act), **made}
        return Chain.of(reach=reach, op=Choice.over(f"layer{n + 1}.op", **made))

    def source(self, n: int, scale: int, *, shortcut: bool) -> Node:
        """How a layer enters, or its shortcut: by whether it reads the stem, its own scale or the finer one."""

        def reads(path: Scales) -> str:
            if n == 0:
                return "down" if self.retrained and path[0] else "first"
            return "same" if path[n - 1] == path[n] else "down"

        channels, stride = self.channels[scale], self.last_stride if scale == len(self.channels) - 1 else 2
        made: dict[str, Node] = {}
        for name in sorted({reads(path) for path in self.paths if path[n] == scale}):
            step = stride if name == "down" else 1
            if not shortcut:
                made[name] = Enter(channels // 4, step)
            else:
                made[name] = Identity() if name == "same" else Shortcut(channels, step, self.retrained, self.act)
        return self.one(reads, **made)

    def empty(self, name: str, scales: Callable[[Scales], range]) -> dict[str, Node]:
        """A strided convolution for each scale without layers; none in a supernet."""
        there = sorted({s for path in self.paths for s in scales(path)}) if self.retrained else []
        made = {}
        for s in there:
            conv = ConvNormAct(self.channels[s], 3, 2, self.act)
            made[f"{name}{s + 1}"] = self.one(
                lambda path, s=s: "conv" if s in scales(path) else "none",  # type: ignore[misc]  # the default binds the loop's value
                none=Identity(),
                conv=conv,
            )
        return made

    def one(self, name: Callable[[Scales], str], **items: Node) -> Node:
        """The item that has the name of the path taken."""
        if len(items) == 1:
            return Sum.of(**items)
        return Sum.of(Choice("scales", tuple((name(path),) for path in self.paths), self.labels), **items)


def _paths(scales: tuple[int, ...], layers: int, many: int, *, restricted: bool) -> Iterator[Scales]:
    """The scales of all layers, in every way that there is."""

    def grow(path: Scales) -> Iterator[Scales]:
        block, n = divmod(len(path), layers)
        if block == len(scales):
            yield path
            return
        finest = many - scales[block]
        coarsest = finest + 1 if restricted and n == 0 else many - 1
        for scale in range(path[-1], path[-1] + 2) if path else range(many):
            if finest <= scale <= min(coarsest, many - 1):
                yield from grow((*path, scale))

    return grow(())


def _label(path: Scales, many: int) -> str:
    """How many layers there are at each scale, the finest first: "1_1_5_9"."""
    return "_".join(str(path.count(scale)) for scale in range(many))


@final
@dataclass(frozen=True)
class _Codes:
    """The codes of operations: from the coarsest scale on, attention and convolution, or convolution alone."""

    labels: tuple[str, ...]
    many: int
    attention: int
    layers: int

    def table(self) -> list[tuple[int, str]]:
        """Scale and operation by code."""
        made = []
        for scale in reversed(range(self.many)):
            ops = ("att", "conv") if scale >= self.many - self.attention else ("conv",)
            made += [(scale, op) for op in ops]
        return made


def _spell(codes: _Codes, arch: Architecture) -> str:
    """The codes of each block's layers, as in the released lists of paths."""
    table = codes.table()
    made: list[int] = []
    for scale, times in enumerate(str(arch.labels.get("scales", codes.labels[0])).split("_")):
        for _ in range(int(times)):
            made.append(table.index((scale, str(arch.labels.get(f"layer{len(made) + 1}.op", "conv")))))
    return json.dumps([made[k : k + codes.layers] for k in range(0, len(made), codes.layers)])


def _parse(codes: _Codes, text: str) -> Mapping[str, Label]:
    table = codes.table()
    try:
        layers = [table[code] for block in json.loads(text) for code in block]
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(f"{text!r} is no network of hytra; one is [[5, 4, 3, 3], [3, 2, 3, 0], ...]") from error
    scales = [scale for scale, _ in layers]
    label = _label(tuple(scales), codes.many)
    if scales != sorted(scales) or label not in codes.labels:
        raise ValueError(f"{text!r} is no path of this fabric: a scale gets finer, leaps, or is not its block's")
    made: dict[str, Label] = {"scales": label} if len(codes.labels) > 1 else {}
    held = codes.many - codes.attention
    return made | {f"layer{n}.op": op for n, (scale, op) in enumerate(layers, 1) if scale >= held}
