"""EfficientNet-B0 to B7: one architecture at eight scales."""

from __future__ import annotations

from nas.paper import Published
from nas.tree import Label
from search_spaces.efficientnet import CHANNELS, LAYERS, efficientnet

KERNELS = (3, 3, 5, 3, 5, 5, 3)
SCALES = (
    (1.0, 1.0, 224, 0.2),
    (1.0, 1.1, 240, 0.2),
    (1.1, 1.2, 260, 0.3),
    (1.2, 1.4, 300, 0.3),
    (1.4, 1.8, 380, 0.4),
    (1.6, 2.2, 456, 0.4),
    (1.8, 2.6, 528, 0.5),
    (2.0, 3.1, 600, 0.5),
)
"""Width, depth, resolution and dropout of B0 to B7."""


def _b0() -> dict[str, Label]:
    labels: dict[str, Label] = {}
    for s, (channels, layers, kernel) in enumerate(zip(CHANNELS, LAYERS, KERNELS, strict=True), 2):
        said: dict[str, Label] = {"op": "mbconv", "expand": 6, "kernel": kernel, "squeeze": "se25", "skip": "identity"}
        labels |= {f"stage{s}.{what}": label for what, label in said.items()}
        labels |= {f"stage{s}.channels": channels, f"stage{s}.layers": layers}
    labels["stage2.op"] = "sepconv"  # MBConv1, whose expanding convolution the authors leave out
    del labels["stage2.expand"]
    return labels


NETWORKS: tuple[Published, ...] = tuple(
    Published(
        f"efficientnet-b{n}",
        efficientnet,
        {"input": [3, side, side], "classes": 1000, "width": width, "depth": depth, "dropout": dropout},
        _b0(),
        "Tan and Le 2019, arXiv:1905.11946, tables 1 and 2",
        "tensorflow/tpu models/official/efficientnet/efficientnet_builder.py",
    )
    for n, (width, depth, side, dropout) in enumerate(SCALES)
)
