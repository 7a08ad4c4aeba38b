"""Once-for-all over mobile blocks: networks of one kernel, expansion and depth everywhere, and some of the released."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nas.paper import Published
from nas.tree import Label
from search_spaces.ofa import MACROS, ofa

EVEN = {
    ("mobilenetv3", 1.0): ((7, 6, 4), (3, 3, 2), (7, 3, 2), (3, 6, 4)),
    ("mobilenetv3", 1.2): ((7, 6, 4), (3, 3, 2), (5, 4, 3)),
    ("proxyless", 1.3): ((7, 6, 4), (3, 3, 2)),
}
"""Kernel, expansion and depth, by macro and width."""
RELEASED = {
    "595m": (1.2, 236, "33 54 33, 54 54 36 53, 76 56 33 54, 36 56 76 34, 36 36 56 33", "flops-595M_top1-80.0"),
    "482m": (1.2, 224, "53 33 33, 54 34 54 33, 54 56 33 33, 56 76 36 54, 76 36 36 33", "flops-482M_top1-79.6"),
    "389m": (1.2, 224, "33 33, 53 56 33, 54 54 33, 56 54 34 34, 36 36 76 33", "flops-389M_top1-79.1"),
    "lg-24": (1.0, 220, "33 33, 74 53 33, 56 54 53, 34 74 53, 56 76 36 34", "LG-G8_lat-24ms_top1-76.4"),
    "note10-64": (
        1.2,
        260,
        "33 36 33, 54 36 33 53, 56 56 34 74, 56 36 36 34, 36 36 56 33",
        "note10_lat-64ms_top1-80.2",
    ),
}
"""Width, resolution, kernel and expansion of each block by units, and how the folder of its net.config begins."""
CODE = {"mobilenetv3": "ofa_mbv3.py", "proxyless": "ofa_proxyless.py"}


def labels_of(macro: str, units: Sequence[Sequence[tuple[int, int]]]) -> dict[str, Label]:
    """The labels of a network of `ofa` from the kernel and the expansion of each block, by units."""
    labels: dict[str, Label] = {}
    for u, blocks in enumerate(units, 1):
        if u <= len(MACROS[macro].units):
            labels[f"unit{u}.depth"] = len(blocks)
        for b, (kernel, expand) in enumerate(blocks, 1):
            labels |= {f"unit{u}.block{b}.kernel": kernel, f"unit{u}.block{b}.expand": expand}
    return labels


def even(macro: str, kernel: int, expand: int, depth: int) -> dict[str, Label]:
    """The labels of a network with one kernel, expansion and depth everywhere."""
    made = MACROS[macro]
    units = [[(kernel, expand)] * depth] * len(made.units) + [[(kernel, expand)]] * (made.single is not None)
    return labels_of(macro, units)


def _even() -> Iterator[Published]:
    for (macro, width), picks in EVEN.items():
        family = "ofa" if macro == "mobilenetv3" else f"ofa-{macro}"
        for kernel, expand, depth in picks:
            yield Published(
                f"{family}-w{width}-k{kernel}e{expand}d{depth}",
                ofa,
                {"input": [3, 224, 224], "classes": 1000, "macro": macro, "width": width},
                even(macro, kernel, expand, depth),
                "Cai et al. 2020, arXiv:1908.09791, section 4.1",
                f"mit-han-lab/once-for-all ofa/imagenet_classification/elastic_nn/networks/{CODE[macro]}",
            )


def _released() -> Iterator[Published]:
    for name, (width, side, text, folder) in RELEASED.items():
        units = [[(int(block[0]), int(block[1])) for block in unit.split()] for unit in text.split(", ")]
        yield Published(
            f"ofa-{name}",
            ofa,
            {"input": [3, side, side], "classes": 1000, "width": width},
            labels_of("mobilenetv3", units),
            "Cai et al. 2020, arXiv:1908.09791, and the table in README.md of mit-han-lab/once-for-all",
            f"han-cai/files ofa/ofa_specialized/{folder}.../net.config",
        )


NETWORKS: tuple[Published, ...] = (*_even(), *_released())
