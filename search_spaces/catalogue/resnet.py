"""Residual networks: of ImageNet, of CIFAR, Once-for-all's largest, and two placings of ResNet-20's poolings."""

from __future__ import annotations

from collections.abc import Sequence

from nas.paper import Published
from search_spaces.pooling import pooling
from search_spaces.resnet import resnet
from search_spaces.resnet50d import resnet50d

PAPER = "He et al. 2016, arXiv:1512.03385"
TORCHVISION = "torchvision, models/resnet.py (the stride is that of the 3x3 convolution)"
DEEP = ((3,), (4, 8), (6, 23, 36), (3,))
"""Depths of ResNet-50, -101 and -152 together."""


def _labels(widths: Sequence[int], depths: Sequence[int]) -> dict[str, int]:
    return {f"stage{s}.width": w for s, w in enumerate(widths, 1)} | {
        f"stage{s}.depth": d for s, d in enumerate(depths, 1)
    }


def _imagenet(layers: int, block: str, depths: Sequence[int]) -> Published:
    settings = {"block": block} | ({"depths": DEEP} if layers > 50 else {})
    labels = _labels((64, 128, 256, 512), depths)
    return Published(f"resnet-{layers}", resnet, settings, labels, f"{PAPER}, table 1", TORCHVISION)


def _cifar(layers: int) -> Published:
    n = (layers - 2) // 6
    settings = {
        "input": (3, 32, 32),
        "classes": 10,
        "stem": "cifar",
        "shortcuts": "padded",
        "widths": ((8, 12, 16), (16, 24, 32), (32, 48, 64)),
        "depths": ((max(1, n // 3), 2 * n // 3, n),) * 3,
    }
    labels = _labels((16, 32, 64), (n, n, n))
    return Published(
        f"resnet-{layers}-cifar", resnet, settings, labels, f"{PAPER}, section 4.2 and table 6", "the paper"
    )


def _pooling(lengths: str) -> Published:
    return Published(
        f"resnet-20-pooling-{lengths}",
        pooling,
        {"norm": "plain"},
        f"[{','.join(lengths)}]",
        "Roshtkhari et al. 2023, arXiv:2306.11982",
        "mehravehj/Balanced-Mixture-of-SuperNets, resnet20/Balanced Mixture/create_model.py",
    )


def _largest() -> Published:
    names = resnet50d().choices.values()
    return Published(
        "ofa-resnet50d-max",
        resnet50d,
        {},
        {c.name: max(c.labels) for c in names},
        "Cai et al. 2020, arXiv:1908.09791",
        "mit-han-lab/once-for-all, ofa/imagenet_classification/elastic_nn/networks/ofa_resnets.py",
    )


NETWORKS: tuple[Published, ...] = (
    _imagenet(18, "basic", (2, 2, 2, 2)),
    _imagenet(34, "basic", (3, 4, 6, 3)),
    _imagenet(50, "bottleneck", (3, 4, 6, 3)),
    _imagenet(101, "bottleneck", (3, 4, 23, 3)),
    _imagenet(152, "bottleneck", (3, 8, 36, 3)),
    *(_cifar(layers) for layers in (20, 32, 44, 56, 110)),
    _largest(),
    _pooling("433"),
    _pooling("532"),
    _pooling("712"),
)
"""The published networks of these spaces."""
