"""RegNetX and RegNetY (Radosavovic et al. 2020, arXiv:2003.13678)."""

from __future__ import annotations

from nas.paper import Published
from search_spaces.regnet import around, labels, regnet

X: dict[str, tuple[int, float, float, int, int]] = {
    "200MF": (24, 36.44, 2.49, 13, 8),
    "400MF": (24, 24.48, 2.54, 22, 16),
    "600MF": (48, 36.97, 2.24, 16, 24),
    "800MF": (56, 35.73, 2.28, 16, 16),
    "1.6GF": (80, 34.01, 2.25, 18, 24),
    "3.2GF": (88, 26.31, 2.25, 25, 48),
    "4.0GF": (96, 38.65, 2.43, 23, 40),
    "6.4GF": (184, 60.83, 2.07, 17, 56),
    "8.0GF": (80, 49.56, 2.88, 23, 120),
    "12GF": (168, 73.36, 2.37, 19, 112),
    "16GF": (216, 55.59, 2.1, 22, 128),
    "32GF": (320, 69.86, 2.0, 23, 168),
}
Y: dict[str, tuple[int, float, float, int, int]] = {
    "200MF": (24, 36.44, 2.49, 13, 8),
    "400MF": (48, 27.89, 2.09, 16, 8),
    "600MF": (48, 32.54, 2.32, 15, 16),
    "800MF": (56, 38.84, 2.4, 14, 16),
    "1.6GF": (48, 20.71, 2.65, 27, 24),
    "3.2GF": (80, 42.63, 2.66, 21, 24),
    "4.0GF": (96, 31.41, 2.24, 22, 64),
    "6.4GF": (112, 33.22, 2.27, 25, 72),
    "8.0GF": (192, 76.82, 2.19, 17, 56),
    "12GF": (168, 73.36, 2.37, 19, 112),
    "16GF": (200, 106.23, 2.48, 18, 112),
    "32GF": (232, 115.89, 2.53, 20, 232),
}
"""w_0, w_a, w_m, d and g of each network, as its configuration file gives them."""


def _network(letter: str, size: str, given: tuple[int, float, float, int, int]) -> Published:
    settings = {"input": [3, 224, 224], "classes": 1000, "squeeze": 0.25 if letter == "y" else 0, **around(*given)}
    file = f"configs/dds_baselines/regnet{letter}/RegNet{letter.upper()}-{size}_dds_8gpu.yaml"
    return Published(
        f"regnet{letter}-{size.lower().replace('.0gf', 'gf')}",
        regnet,
        settings,
        labels(*given),
        f"Radosavovic et al. 2020, arXiv:2003.13678, appendix, RegNet{letter.upper()}-{size}",
        f"facebookresearch/pycls, {file}",
    )


NETWORKS = tuple(
    _network(letter, size, given) for letter, sizes in (("x", X), ("y", Y)) for size, given in sizes.items()
)
