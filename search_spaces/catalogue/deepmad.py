"""The networks of DeepMAD, as its code's configs/classification/models/*.txt write them."""

from __future__ import annotations

from collections.abc import Sequence

from nas.paper import Published
from search_spaces.deepmad import deepmad_mobile, deepmad_resnet

SOURCE = "Shen et al. 2023, arXiv:2303.02165"
CODE = "alibaba/lightweight-neural-architecture-search, configs/classification/models/deepmad-{}.txt"
Block = tuple[int, int, int, int, int]
"""Of a super-block: how many blocks, their inner channels, their channels, their kernel and the first one's stride."""


def _resnet(name: str, stem: int, blocks: Sequence[Block]) -> Published:
    return Published(f"deepmad-{name}", deepmad_resnet, {}, _labels(stem, blocks), SOURCE, CODE.format(name.upper()))


def _mobile(name: str, file: str, stem: int, blocks: Sequence[Block], head: int) -> Published:
    """Their stems, strides, depths and widths lie off the ranges of the released search; the options hold them."""
    side = 288 if file.endswith("288") else 224
    settings = {
        "input": (3, side, side),
        "strides": [stride for *_, stride in blocks],
        "stem": sorted({16, 24, 32, stem}),
        "channels": [sorted({out - 8, out, out + 8}) for _, _, out, _, _ in blocks],
        "bottlenecks": [sorted({2 * out // 8 * 8, inner}) for _, inner, out, _, _ in blocks],
        "depths": [tuple(range(1, max(3, deep) + 1)) for deep, *_ in blocks],
        "head": head,
    }
    return Published(f"deepmad-{name}", deepmad_mobile, settings, _labels(stem, blocks), SOURCE, CODE.format(file))


def _labels(stem: int, blocks: Sequence[Block]) -> dict[str, int]:
    labels = {"stem.channels": stem}
    for s, (depth, inner, out, kernel, _) in enumerate(blocks, 1):
        stage = {"channels": out, "bottleneck": inner, "kernel": kernel, "depth": depth}
        labels |= {f"stage{s}.{what}": value for what, value in stage.items()}
    return labels


NETWORKS: tuple[Published, ...] = (
    _resnet(
        "r18",
        32,
        ((1, 40, 96, 5, 2), (6, 40, 384, 5, 2), (9, 64, 384, 5, 2), (10, 104, 1024, 3, 1), (12, 104, 672, 5, 2)),
    ),
    _resnet(
        "r34",
        24,
        ((1, 24, 128, 5, 2), (10, 48, 512, 5, 2), (13, 88, 896, 5, 2), (11, 104, 1024, 5, 1), (14, 128, 616, 5, 2)),
    ),
    _resnet(
        "r50",
        32,
        ((1, 40, 128, 5, 2), (11, 48, 512, 5, 2), (12, 88, 872, 5, 2), (13, 104, 1024, 5, 1), (15, 120, 1232, 5, 2)),
    ),
    _mobile(
        "29m",
        "29M-224",
        40,
        ((2, 240, 40, 5, 1), (4, 512, 85, 5, 2), (6, 800, 134, 5, 2), (6, 1208, 201, 5, 2), (5, 1872, 312, 5, 2)),
        1792,
    ),
    _mobile(
        "29m-288",
        "29M-288",
        40,
        ((4, 368, 61, 5, 2), (4, 576, 96, 5, 2), (5, 872, 145, 5, 2), (6, 1304, 217, 5, 1), (4, 1968, 328, 5, 2)),
        1792,
    ),
    _mobile(
        "50m",
        "50M",
        48,
        ((7, 672, 112, 5, 2), (9, 1008, 168, 5, 2), (7, 1512, 252, 5, 2), (3, 2272, 378, 5, 2), (1, 3456, 576, 3, 1)),
        2048,
    ),
    _mobile(
        "89m",
        "89M",
        56,
        ((10, 816, 136, 5, 2), (9, 1224, 204, 5, 2), (7, 1952, 326, 5, 2), (4, 2944, 490, 5, 2), (1, 4464, 744, 3, 1)),
        2560,
    ),
)
"""The published networks of this family."""
