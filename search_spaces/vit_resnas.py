"""Multi-stage vision transformers with residual spatial reduction (Liao et al. 2021, arXiv:2109.00642).

The public code is yilunliao/vit-search; its three layers in one, query, key and value, are three layers here.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias, final

from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Identity, Label, Node, Shape, Sum, Tree
from search_spaces.ops.attention import ClassToken, FirstToken, PositionEmbedding, Tokens
from search_spaces.ops.conv import Conv, ConvNormAct, Linear
from search_spaces.ops.norm import LayerNorm
from search_spaces.ops.vit_blocks import PatchHead, SpatialReduction, TransformerBlock

Options: TypeAlias = tuple[tuple[int, ...], ...]
"""For each stage the options, the largest first."""
RELAXES = "widths, heads and features are numbers"


@recorded
def vit_resnas(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    embeds: Options = ((256, 224, 192, 176, 160), (512, 448, 384, 352, 320), (1024, 896, 768, 704, 640)),
    heads: Options = ((6, 5, 4, 3), (12, 10, 8, 6), (12, 10, 8, 6)),
    head_dims: tuple[int, ...] = (32, 48, 64),
    mlps: Options = (tuple(range(768, 383, -64)), tuple(range(1536, 767, -128)), tuple(range(3072, 1535, -256))),
    blocks: tuple[int, ...] = (6, 6, 6),
    patch: int | None = None,
    stem: int = 24,
    drop_path: float = 0.0,
    patch_head: bool = False,
) -> Space:
    """Patches, a class token and stages of transformer blocks, with a quarter of the patches in each next stage.

    embeds, heads, mlps: the options of each stage, which shares one width; head_dims: features of a head; blocks: how
    many there are at most, of which every second one may be skipped. patch: pixels on its side, None for a 16th of
    the image's; stem: channels of the convolutions before it, 0 for none. drop_path: of the last block; it grows
    linearly from 0. patch_head: a second classifier for training. The default is the super-net of ViT-ResNAS-Tiny.
    """
    _check(embeds, heads, head_dims, mlps, blocks)
    side = patch or max(1, round(min(input[1:]) / 16))
    widths = [Choice(f"stage{s}.embed", tuple(options)) for s, options in enumerate(embeds, 1)]
    rates = _rates(drop_path, sum(blocks))
    stages = []
    for s, many in enumerate(blocks, 1):
        made: dict[str, Tree] = {}
        for b in range(1, many + 1):
            name = f"stage{s}.block{b}"
            block = TransformerBlock(
                Choice(f"{name}.heads", tuple(heads[s - 1])),
                head_dims[s - 1],
                Choice(f"{name}.mlp", tuple(mlps[s - 1])),
                next(rates),
            )
            made[f"block{b}"] = Choice.over(f"{name}.layer", keep=block, skip=Identity()) if b % 2 == 0 else block
        stages.append(Chain.of(**made))
    root = Chain.of(
        **_patches(side, stem, widths[0]),
        body=Stages(tuple(stages), tuple(widths)),
        norm=LayerNorm(),
        patch_head=PatchHead(classes) if patch_head else None,
        token=FirstToken(),
        linear=Linear(classes),
    )
    form = _Form(tuple(blocks), tuple(head_dims), classes, 4 if stem else 0)
    spelling = Spelling(partial(_spell, form), partial(_parse, form))
    return Space("vit_resnas", root, tuple(input), relaxes=RELAXES, spelling=spelling)


@final
@dataclass(frozen=True)
class Stages(Node):
    """Patches as tokens behind a class token, and stages with a spatial reduction between them: (C, H, W) to (T, D)."""

    stages: tuple[Tree, ...]
    embeds: tuple[Tree, ...]

    def lower(self, shape: Shape) -> Node:
        _, height, width = shape
        made: dict[str, Node] = {"tokens": Tokens(), "token": ClassToken(), "position": PositionEmbedding()}
        for s, (stage, embed) in enumerate(zip(self.stages, self.embeds, strict=True), 1):
            if s > 1:
                made[f"reduction{s}"] = SpatialReduction(embed, height, width)
                height, width = -(-height // 2), -(-width // 2)
            made[f"stage{s}"] = stage
        return Chain.of(**made)


def _patches(side: int, stem: int, embed: Choice) -> dict[str, Node]:
    """An image in patches: behind a stem, which halves the image where the patches' side is even."""
    if not stem:
        return {"patches": Conv(embed, side, side, bias=True, padding=0)}
    stride = 1 + (side % 2 == 0)
    body = Chain.of(second=ConvNormAct(stem, 3), third=ConvNormAct(stem, 3))
    return {
        "stem": Chain.of(first=ConvNormAct(stem, 3, stride), rest=Sum.of(body=body, skip=Identity())),
        "patches": Conv(embed, side // stride, side // stride, bias=True, padding=0),
    }


def _rates(last: float, blocks: int) -> Iterator[float | None]:
    """From 0 to that of the last block, in equal steps; None for all where that is 0."""
    yield from (last * b / max(1, blocks - 1) if last else None for b in range(blocks))


def _check(embeds: Options, heads: Options, head_dims: tuple[int, ...], mlps: Options, blocks: tuple[int, ...]) -> None:
    if len({len(embeds), len(heads), len(head_dims), len(mlps), len(blocks)}) != 1:
        raise ValueError("embeds, heads, head_dims, mlps and blocks must name equally many stages")
    for s, (now, then) in enumerate(pairwise(embeds), 2):
        if max(now) > min(then):
            raise ValueError(f"stage {s} must be at least as wide as stage {s - 1}, got {min(then)} after {max(now)}")


@final
@dataclass(frozen=True)
class _Form:
    """What the text of an architecture holds besides its choices; first: how it writes the patches."""

    blocks: tuple[int, ...]
    head_dims: tuple[int, ...]
    classes: int
    first: int


def _spell(form: _Form, arch: Architecture) -> str:
    """The `network_def` of the public code; what is skipped ends with 0 and says nothing else."""
    before: Label = 0
    rows: list[Any] = []
    for s, (many, dim) in enumerate(zip(form.blocks, form.head_dims, strict=True), 1):
        embed = arch[f"stage{s}.embed"]
        rows.append((3, before, embed) if before else (form.first, embed))
        for b in range(1, many + 1):
            name = f"stage{s}.block{b}"
            kept = int(arch.labels.get(f"{name}.layer") != "skip")
            now = [arch[f"{name}.{part}"] if kept else 0 for part in ("heads", "mlp")]
            rows.append((1, (embed, now[0], dim), (embed, now[1]), kept))
        before = embed
    return str((*rows, (2, before, form.classes)))


def _parse(form: _Form, text: str) -> Mapping[str, Label]:
    """The labels of a `network_def`; blocks that it leaves out are the last ones that may be skipped."""
    try:
        stages: list[tuple[int, list[Any]]] = []
        for kind, *row in literal_eval(text.strip())[:-1]:
            if kind == 1:
                stages[-1][1].append(row)
            else:
                stages.append((row[-1], []))
        return dict(_labels(form, stages))
    except (ValueError, SyntaxError, TypeError, IndexError) as error:
        short = "((4, 176), (1, (176, 3, 32), (176, 704), 1), ..., (3, 176, 352), ..., (2, 704, 1000))"
        raise ValueError(f"no network of vit_resnas ({error}); one is written {short}") from error


def _labels(form: _Form, stages: list[tuple[int, list[Any]]]) -> Iterator[tuple[str, Label]]:
    for s, ((embed, rows), many, dim) in enumerate(zip(stages, form.blocks, form.head_dims, strict=True), 1):
        yield f"stage{s}.embed", embed
        for b, row in enumerate(_filled(rows, many), 1):
            name = f"stage{s}.block{b}"
            (_, heads, size), (_, mlp), kept = row or ((0, 0, dim), (0, 0), 0)
            if size != dim:
                raise ValueError(f"the heads of stage {s} have {dim} features, not {size}")
            if b % 2 == 0:
                yield f"{name}.layer", "keep" if kept else "skip"
            elif not kept:
                raise ValueError(f"block {b} of stage {s} cannot be skipped")
            if kept:
                yield from ((f"{name}.heads", heads), (f"{name}.mlp", mlp))


def _filled(rows: list[Any], many: int) -> list[Any]:
    """The rows of all blocks, None for those that are left out."""
    lacks, free = many - len(rows), range(2, many + 1, 2)
    if not 0 <= lacks <= len(free):
        raise ValueError(f"a stage has {many - len(free)} to {many} blocks, not {len(rows)}")
    gone, left = free[len(free) - lacks :], iter(rows)
    return [None if b in gone else next(left) for b in range(1, many + 1)]
