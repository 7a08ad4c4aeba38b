"""MobileNets, MnasNets, FBNet-C and the network of Single-Path NAS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas.paper import Published
from nas.space import Json
from nas.tree import Label
from search_spaces.fbnet import fbnet
from search_spaces.mnasnet import mnasnet
from search_spaces.mobilenet import LARGE, SMALL, V2, mobilenet

IMAGENET: Mapping[str, Json] = {"input": [3, 224, 224], "classes": 1000}
TIMM = "huggingface/pytorch-image-models timm/models/"
V3_PAPER = "Howard et al. 2019, arXiv:1905.02244, "
MNASNET_PAPER = "Tan et al. 2019, arXiv:1807.11626, "


def mobilenet_labels(
    stages: Sequence[Sequence[int]],
    blocks: Sequence[Sequence[tuple[int, float]]],
    squeezed: Sequence[int] = (),
    acts: Sequence[str] = (),
) -> dict[str, Label]:
    """The labels of a network of `mobilenet`.

    blocks: kernel and expansion of each block by stages (0 in the first one, which does not expand); squeezed: the
    stages with squeeze-and-excitation, from 1; acts: of each stage.
    """
    labels: dict[str, Label] = {}
    for s, ((channels, count, _), rows) in enumerate(zip(stages, blocks, strict=True), 1):
        labels |= {f"stage{s}.width": channels, f"stage{s}.depth": count, f"stage{s}.act": acts[s - 1]}
        for b, (kernel, expand) in enumerate(rows, 1):
            labels[f"stage{s}.block{b}.kernel"] = kernel
            labels[f"stage{s}.block{b}.squeeze"] = "se25" if s in squeezed else "none"
            if s > 1:
                labels[f"stage{s}.block{b}.expand"] = expand
    return labels


def mnasnet_labels(rows: Sequence[tuple[str, int, int, str, str, int, int]]) -> dict[str, Label]:
    """The labels of a network of `mnasnet`.

    rows: operation, expansion, kernel, squeeze-and-excitation, skip, filters and layers of each block.
    """
    labels: dict[str, Label] = {}
    for b, (op, expand, kernel, squeeze, skip, filters, layers) in enumerate(rows, 1):
        labels |= {f"block{b}.op": op, f"block{b}.kernel": kernel, f"block{b}.squeeze": squeeze}
        labels |= {f"block{b}.skip": skip, f"block{b}.filters": filters, f"block{b}.layers": layers}
        if op == "mbconv":
            labels[f"block{b}.expand"] = expand
    return labels


def layer_labels(candidates: Sequence[str]) -> dict[str, Label]:
    """The labels of a network of `fbnet`, layer by layer."""
    return {f"layer{n}": candidate for n, candidate in enumerate(candidates, 1)}


V2_LABELS = mobilenet_labels(V2, [[(3, 0)], *([(3, 6)] * count for _, count, _ in V2[1:])], acts=["relu6"] * len(V2))
V2_SETTINGS = {"stages": V2, "acts": ["relu6"], "squeezes": [0], "kernels": [3, 5], "expands": [3, 6]}
LARGE_EXPANDS = ((0,), (4, 3), (3, 3, 3), (6, 2.5, 2.3, 2.3), (6, 6), (6, 6, 6))
LARGE_KERNELS = (3, 3, 5, 3, 3, 5)
LARGE_LABELS = mobilenet_labels(
    LARGE,
    [[(k, e) for e in row] for k, row in zip(LARGE_KERNELS, LARGE_EXPANDS, strict=True)],
    squeezed=(3, 5, 6),
    acts=["relu"] * 3 + ["hardswish"] * 3,
)
MINIMAL_LABELS = mobilenet_labels(LARGE, [[(3, e) for e in row] for row in LARGE_EXPANDS], acts=["relu"] * 6)
SMALL_LABELS = mobilenet_labels(
    SMALL,
    [[(3, 0)], [(3, 4.5), (3, 3.67)], [(5, 4), (5, 6), (5, 6)], [(5, 3), (5, 3)], [(5, 6)] * 3],
    squeezed=(1, 3, 4, 5),
    acts=["relu"] * 2 + ["hardswish"] * 3,
)
SMALL_SETTINGS = {"stages": SMALL, "last": 576, "head": 1024}

A1_FILTERS = [16, 24, 40, 80, 112, 160, 320]
A1_LABELS = mnasnet_labels(
    [
        ("sepconv", 1, 3, "none", "none", 16, 1),
        ("mbconv", 6, 3, "none", "identity", 24, 2),
        ("mbconv", 3, 5, "se25", "identity", 40, 3),
        ("mbconv", 6, 3, "none", "identity", 80, 4),
        ("mbconv", 6, 3, "se25", "identity", 112, 2),
        ("mbconv", 6, 5, "se25", "identity", 160, 3),
        ("mbconv", 6, 3, "none", "identity", 320, 1),
    ]
)
B1_FILTERS = [16, 24, 40, 80, 96, 192, 320]
B1_LABELS = mnasnet_labels(
    [
        ("sepconv", 1, 3, "none", "none", 16, 1),
        ("mbconv", 3, 3, "none", "identity", 24, 3),
        ("mbconv", 3, 5, "none", "identity", 40, 3),
        ("mbconv", 6, 5, "none", "identity", 80, 3),
        ("mbconv", 6, 3, "none", "identity", 96, 2),
        ("mbconv", 6, 5, "none", "identity", 192, 4),
        ("mbconv", 6, 3, "none", "none", 320, 1),
    ]
)
MNASNET_SMALL_FILTERS = [8, 16, 16, 32, 32, 88, 144]
MNASNET_SMALL_LABELS = mnasnet_labels(
    [
        ("sepconv", 1, 3, "none", "identity", 8, 1),
        ("mbconv", 3, 3, "none", "identity", 16, 1),
        ("mbconv", 6, 3, "none", "identity", 16, 2),
        ("mbconv", 6, 5, "se25", "identity", 32, 4),
        ("mbconv", 6, 3, "se25", "identity", 32, 3),
        ("mbconv", 6, 5, "se25", "identity", 88, 3),
        ("mbconv", 6, 3, "none", "identity", 144, 1),
    ]
)

FBNET_C = layer_labels(
    ["k3_e1"]
    + ["k3_e6", "skip", "k3_e1", "k3_e1"]
    + ["k5_e6", "k5_e3", "k5_e6", "k3_e6"]
    + ["k5_e6", "k5_e3", "k5_e6", "k5_e6"]
    + ["k5_e6", "k5_e6", "k5_e6", "k5_e3"]
    + ["k5_e6"] * 4
    + ["k3_e6"]
)
SINGLE_PATH = layer_labels(
    ["k3_e3", "k3_e3", "k3_e3", "skip"]
    + ["k5_e6", "k3_e3", "k3_e3", "k3_e3"]
    + ["k5_e6", "k3_e3", "k3_e3", "k3_e3"]
    + ["k5_e6", "k5_e3", "k5_e3", "k5_e3"]
    + ["k5_e6"] * 4
    + ["k3_e6"]
)
SINGLE_PATH_SETTINGS = {
    "stages": [[24, 4, 2], [40, 4, 2], [80, 4, 2], [96, 4, 1], [192, 4, 2], [320, 1, 1]],
    "candidates": ["k3_e3", "k3_e6", "k5_e3", "k5_e6", "skip"],
    "stem": 32,
    "first": 16,
    "head": 1280,
}

NETWORKS: tuple[Published, ...] = (
    Published(
        "mobilenet-v2",
        mobilenet,
        {**IMAGENET, **V2_SETTINGS, "stem": 32, "last": 1280, "head": 0, "act": "relu6"},
        V2_LABELS,
        "Sandler et al. 2018, arXiv:1801.04381, table 2",
        "the paper's table 2",
    ),
    *(
        Published(
            f"mobilenet-v3-large{name}",
            mobilenet,
            {**IMAGENET, **settings},
            labels,
            f"{V3_PAPER}{where}",
            f"{TIMM}mobilenetv3.py, _gen_mobilenet_v3",
        )
        for name, settings, labels, where in (
            ("", {}, LARGE_LABELS, "table 1"),
            ("-0.75", {"width": 0.75}, LARGE_LABELS, "table 1, at width 0.75"),
            ("-minimal", {"act": "relu"}, MINIMAL_LABELS, "table 1, minimalistic"),
        )
    ),
    *(
        Published(
            f"mobilenet-v3-small{name}",
            mobilenet,
            {**IMAGENET, **SMALL_SETTINGS, **settings},
            SMALL_LABELS,
            f"{V3_PAPER}{where}",
            f"{TIMM}mobilenetv3.py, _gen_mobilenet_v3",
        )
        for name, settings, where in (("", {}, "table 2"), ("-0.75", {"width": 0.75}, "table 2, at width 0.75"))
    ),
    Published(
        "mnasnet-a1",
        mnasnet,
        {**IMAGENET, "filters": A1_FILTERS},
        A1_LABELS,
        f"{MNASNET_PAPER}figure 7",
        f"{TIMM}efficientnet.py, _gen_mnasnet_a1",
    ),
    Published(
        "mnasnet-b1",
        mnasnet,
        {**IMAGENET, "filters": B1_FILTERS},
        B1_LABELS,
        f"{MNASNET_PAPER}its network without squeeze-and-excitation",
        f"{TIMM}efficientnet.py, _gen_mnasnet_b1",
    ),
    Published(
        "mnasnet-small",
        mnasnet,
        {**IMAGENET, "filters": MNASNET_SMALL_FILTERS, "stem": 8},
        MNASNET_SMALL_LABELS,
        MNASNET_PAPER + "its small model",
        f"{TIMM}efficientnet.py, _gen_mnasnet_small",
    ),
    Published(
        "fbnet-c",
        fbnet,
        IMAGENET,
        FBNET_C,
        "Wu et al. 2019, arXiv:1812.03443, figure 4",
        f"{TIMM}efficientnet.py, _gen_fbnetc",
    ),
    Published(
        "spnasnet",
        fbnet,
        {**IMAGENET, **SINGLE_PATH_SETTINGS},
        SINGLE_PATH,
        "Stamoulis et al. 2019, arXiv:1904.02877",
        f"{TIMM}efficientnet.py, _gen_spnasnet",
    ),
)
