"""The networks of Single Path One-Shot (Guo et al. 2020, arXiv:1904.00420)."""

from __future__ import annotations

from nas.paper import Published
from search_spaces.shufflenet import SCALES, shufflenet

PAPER = "Guo et al. 2020, arXiv:1904.00420"
IMAGENET = {"input": [3, 224, 224], "classes": 1000}
BLOCKS = "[0, 0, 3, 1, 1, 1, 0, 0, 2, 0, 2, 1, 1, 0, 2, 0, 2, 1, 3, 2]"

NETWORKS = (
    Published(
        "spos-block",
        shufflenet,
        IMAGENET,
        BLOCKS,
        f"{PAPER}, the network of its block search, 319M",
        "megvii-model/ShuffleNet-Series, OneShot/network.py, its blocks at scale 1",
    ),
    Published(
        "spos-channel",
        shufflenet,
        {**IMAGENET, "scales": list(SCALES)},
        f"{BLOCKS} [6, 5, 3, 5, 2, 6, 3, 4, 2, 5, 7, 5, 4, 6, 7, 4, 4, 5, 4, 3]",
        f"{PAPER}, the network of its block and channel search, 328M",
        "megvii-model/ShuffleNet-Series, OneShot/network.py",
    ),
    Published(
        "spos-block-released",
        shufflenet,
        IMAGENET,
        "(2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)",
        f"{PAPER}, the network that its released code found, 323M",
        "megvii-model/SinglePathOneShot, README.md",
    ),
)
"""The networks of this family."""
