"""The released networks of D-DARTS and DARTOpti (Heuillet et al. 2021, arXiv:2108.09306), cell by cell.

A line per cell, of its edges: operation, node, source. "sparse" and "edge" are the two ways in which the authors derive
cells by a threshold, of 0.85. The three depths of D-DARTS are made of the same eight cells, and reduce at the cells 2
and 6, as their released texts say.
"""

from __future__ import annotations

from nas.paper import Published
from search_spaces.dartopti import BASELINES, dartopti
from search_spaces.ddarts import ddarts

PAPER = "Heuillet et al. 2021, arXiv:2108.09306, released genotypes"
CODE = "aheuillet/D-DARTS e3ad5d9, genotypes"
SPARSE = (
    "sep_conv_3x3 2 1, max_pool_3x3 2 0, sep_conv_3x3 3 0, max_pool_3x3 3 2, sep_conv_3x3 4 0, max_pool_3x3 4 2, "
    "max_pool_3x3 5 0, dil_conv_5x5 5 4",
    "skip_connect 2 0, dil_conv_5x5 2 1, sep_conv_5x5 3 1, sep_conv_5x5 3 2, dil_conv_3x3 4 3, sep_conv_5x5 4 2, "
    "sep_conv_5x5 5 4, sep_conv_5x5 5 0",
    "sep_conv_5x5 2 1, sep_conv_5x5 2 0, sep_conv_3x3 3 1, max_pool_3x3 3 2, sep_conv_5x5 4 1, skip_connect 4 0, "
    "dil_conv_3x3 5 2, sep_conv_5x5 5 0",
    "sep_conv_5x5 2 0, sep_conv_5x5 2 1, sep_conv_5x5 3 2, sep_conv_5x5 3 1, dil_conv_3x3 4 2, dil_conv_3x3 4 1, "
    "dil_conv_5x5 5 2, sep_conv_5x5 5 1",
    "dil_conv_5x5 2 1, max_pool_3x3 2 0, sep_conv_5x5 3 2, max_pool_3x3 3 0, sep_conv_5x5 4 1, sep_conv_5x5 4 3, "
    "dil_conv_3x3 5 3, sep_conv_5x5 5 2",
    "sep_conv_5x5 2 1, sep_conv_5x5 2 0, sep_conv_5x5 3 1, sep_conv_5x5 3 2, sep_conv_5x5 4 2, dil_conv_3x3 4 1, "
    "sep_conv_3x3 5 1, sep_conv_3x3 5 3",
    "sep_conv_3x3 2 0, sep_conv_5x5 2 1, dil_conv_3x3 3 1, skip_connect 3 2, skip_connect 4 2, skip_connect 4 0, "
    "dil_conv_3x3 5 0, sep_conv_5x5 5 1",
    "sep_conv_5x5 2 1, sep_conv_3x3 2 0, sep_conv_5x5 3 2, dil_conv_5x5 3 0, sep_conv_5x5 4 3, dil_conv_3x3 4 2, "
    "sep_conv_3x3 5 2",
)
EDGE = (
    "dil_conv_3x3 2 0, max_pool_3x3 2 0, dil_conv_3x3 2 1, sep_conv_3x3 2 1, max_pool_3x3 3 0, sep_conv_3x3 3 0, "
    "dil_conv_3x3 3 1, sep_conv_3x3 3 1, dil_conv_5x5 3 2, max_pool_3x3 3 2, max_pool_3x3 4 0, sep_conv_3x3 4 0, "
    "sep_conv_3x3 4 1, max_pool_3x3 4 1, sep_conv_5x5 4 2, max_pool_3x3 4 2, sep_conv_3x3 4 3, dil_conv_3x3 4 3, "
    "dil_conv_5x5 5 0, max_pool_3x3 5 0, max_pool_3x3 5 1, sep_conv_5x5 5 1, sep_conv_5x5 5 2, max_pool_3x3 5 2, "
    "max_pool_3x3 5 3, dil_conv_5x5 5 3, max_pool_3x3 5 4, dil_conv_5x5 5 4",
    "sep_conv_5x5 2 0, skip_connect 2 0, sep_conv_3x3 2 1, dil_conv_5x5 2 1, max_pool_3x3 3 0, dil_conv_3x3 3 0, "
    "dil_conv_3x3 3 1, sep_conv_5x5 3 1, dil_conv_3x3 3 2, sep_conv_5x5 3 2, dil_conv_3x3 4 0, dil_conv_5x5 4 0, "
    "dil_conv_5x5 4 1, sep_conv_5x5 4 1, sep_conv_3x3 4 2, sep_conv_5x5 4 2, sep_conv_3x3 4 3, dil_conv_3x3 4 3, "
    "max_pool_3x3 5 0, sep_conv_5x5 5 0, sep_conv_5x5 5 1, skip_connect 5 1, skip_connect 5 2, dil_conv_3x3 5 2, "
    "dil_conv_3x3 5 3, sep_conv_3x3 5 3, dil_conv_3x3 5 4, sep_conv_5x5 5 4",
    "dil_conv_5x5 2 0, sep_conv_5x5 2 0, dil_conv_3x3 2 1, sep_conv_5x5 2 1, skip_connect 3 0, sep_conv_3x3 3 0, "
    "sep_conv_5x5 3 1, sep_conv_3x3 3 1, sep_conv_5x5 3 2, max_pool_3x3 3 2, sep_conv_3x3 4 0, skip_connect 4 0, "
    "dil_conv_5x5 4 1, sep_conv_5x5 4 1, dil_conv_3x3 4 2, sep_conv_3x3 4 2, dil_conv_5x5 4 3, sep_conv_3x3 4 3, "
    "skip_connect 5 0, sep_conv_5x5 5 0, max_pool_3x3 5 1, sep_conv_3x3 5 1, max_pool_3x3 5 2, dil_conv_3x3 5 2, "
    "skip_connect 5 3, dil_conv_5x5 5 3, skip_connect 5 4, sep_conv_5x5 5 4",
    "skip_connect 2 0, sep_conv_5x5 2 0, max_pool_3x3 2 1, sep_conv_5x5 2 1, sep_conv_5x5 3 0, sep_conv_3x3 3 0, "
    "max_pool_3x3 3 1, sep_conv_5x5 3 1, dil_conv_5x5 3 2, sep_conv_5x5 3 2, sep_conv_3x3 4 0, sep_conv_5x5 4 0, "
    "dil_conv_3x3 4 1, sep_conv_5x5 4 2, dil_conv_3x3 4 2, dil_conv_3x3 4 3, dil_conv_5x5 4 3, dil_conv_5x5 5 0, "
    "sep_conv_3x3 5 0, dil_conv_3x3 5 1, sep_conv_5x5 5 1, dil_conv_3x3 5 2, dil_conv_5x5 5 2, sep_conv_3x3 5 3, "
    "dil_conv_5x5 5 3, sep_conv_5x5 5 4",
    "dil_conv_5x5 2 0, max_pool_3x3 2 0, sep_conv_3x3 2 1, dil_conv_5x5 2 1, avg_pool_3x3 3 0, max_pool_3x3 3 0, "
    "dil_conv_5x5 3 1, sep_conv_5x5 3 1, sep_conv_3x3 3 2, sep_conv_5x5 3 2, skip_connect 4 0, dil_conv_5x5 4 0, "
    "dil_conv_3x3 4 1, sep_conv_5x5 4 1, sep_conv_3x3 4 2, sep_conv_5x5 4 2, skip_connect 4 3, sep_conv_5x5 4 3, "
    "dil_conv_3x3 5 0, max_pool_3x3 5 0, dil_conv_5x5 5 2, sep_conv_5x5 5 2, dil_conv_5x5 5 3, dil_conv_3x3 5 3, "
    "dil_conv_5x5 5 4, sep_conv_3x3 5 4",
    "dil_conv_5x5 2 0, sep_conv_5x5 2 0, sep_conv_3x3 2 1, sep_conv_5x5 2 1, max_pool_3x3 3 0, sep_conv_5x5 3 0, "
    "sep_conv_3x3 3 1, sep_conv_5x5 3 1, sep_conv_3x3 3 2, sep_conv_5x5 3 2, skip_connect 4 0, dil_conv_3x3 4 0, "
    "sep_conv_3x3 4 1, dil_conv_3x3 4 1, dil_conv_5x5 4 2, sep_conv_5x5 4 2, sep_conv_3x3 4 3, dil_conv_3x3 4 3, "
    "skip_connect 5 0, dil_conv_5x5 5 0, dil_conv_3x3 5 1, sep_conv_3x3 5 1, sep_conv_3x3 5 2, dil_conv_5x5 5 2, "
    "dil_conv_5x5 5 3, sep_conv_3x3 5 3, sep_conv_5x5 5 4, dil_conv_3x3 5 4",
    "dil_conv_5x5 2 0, sep_conv_3x3 2 0, sep_conv_3x3 2 1, sep_conv_5x5 2 1, sep_conv_3x3 3 0, skip_connect 3 0, "
    "sep_conv_3x3 3 1, dil_conv_3x3 3 1, dil_conv_5x5 3 2, skip_connect 3 2, dil_conv_3x3 4 0, skip_connect 4 0, "
    "sep_conv_5x5 4 1, sep_conv_3x3 4 1, dil_conv_5x5 4 2, skip_connect 4 2, skip_connect 4 3, dil_conv_5x5 4 3, "
    "skip_connect 5 0, dil_conv_3x3 5 0, skip_connect 5 1, sep_conv_5x5 5 1, dil_conv_5x5 5 2, skip_connect 5 2, "
    "skip_connect 5 3, sep_conv_3x3 5 3, skip_connect 5 4, dil_conv_3x3 5 4",
    "dil_conv_3x3 2 0, sep_conv_3x3 2 0, sep_conv_5x5 2 1, sep_conv_5x5 3 0, dil_conv_5x5 3 0, sep_conv_5x5 3 2, "
    "dil_conv_3x3 4 2, dil_conv_5x5 4 3, sep_conv_5x5 4 3, sep_conv_3x3 5 2",
)
SPARSE_100 = (
    "sep_conv_3x3 2 1, max_pool_3x3 2 0, sep_conv_3x3 3 0, sep_conv_5x5 3 2, sep_conv_5x5 4 3, sep_conv_5x5 4 1, "
    "dil_conv_3x3 5 3, max_pool_3x3 5 0",
    "max_pool_3x3 2 0, dil_conv_5x5 2 1, max_pool_3x3 3 0, max_pool_3x3 3 2, sep_conv_5x5 4 0, sep_conv_3x3 4 3, "
    "max_pool_3x3 5 4, sep_conv_3x3 5 3",
    "avg_pool_3x3 2 0, sep_conv_5x5 2 1, sep_conv_5x5 3 1, sep_conv_5x5 3 2, sep_conv_5x5 4 3, sep_conv_5x5 4 1, "
    "sep_conv_5x5 5 2, sep_conv_5x5 5 3",
    "max_pool_3x3 2 1, sep_conv_5x5 2 0, sep_conv_5x5 3 1, dil_conv_5x5 3 2, sep_conv_5x5 4 1, sep_conv_5x5 4 2, "
    "sep_conv_5x5 5 2, sep_conv_5x5 5 4",
    "max_pool_3x3 2 1, max_pool_3x3 2 0, sep_conv_5x5 3 2, max_pool_3x3 3 0, sep_conv_5x5 4 1, avg_pool_3x3 4 0, "
    "sep_conv_3x3 5 4, dil_conv_3x3 5 3",
    "sep_conv_5x5 2 0, sep_conv_5x5 2 1, sep_conv_5x5 3 2, sep_conv_5x5 3 0, sep_conv_5x5 4 3, sep_conv_5x5 4 0, "
    "sep_conv_5x5 5 3, sep_conv_5x5 5 4",
    "sep_conv_5x5 2 1, sep_conv_5x5 2 0, sep_conv_5x5 3 2, sep_conv_5x5 3 0, sep_conv_3x3 4 3, sep_conv_3x3 4 2, "
    "sep_conv_5x5 5 4, sep_conv_5x5 5 3",
    "max_pool_3x3 2 0, dil_conv_5x5 3 2, max_pool_3x3 3 0, sep_conv_3x3 4 3, sep_conv_5x5 4 2, skip_connect 5 4, "
    "sep_conv_3x3 5 3",
)
RESNET18_SPARSE = (
    "bottleneck_1x3x1 2 1, simple_conv_3x3 2 0, bottleneck_1x3x1 3 2, max_pool_3x3 3 1, bottleneck_1x3x1 4 3, "
    "conv_7x1_1x7 4 2, conv_3x1_1x3 5 4, bottleneck_1x3x1 5 3",
)
RESNET18_EDGE = (
    "max_pool_3x3 2 0, simple_conv_3x3 2 0, max_pool_3x3 2 1, bottleneck_1x3x1 2 1, skip_connect 3 0, max_pool_3x3 "
    "3 1, dil_conv_5x5 3 2, bottleneck_1x3x1 3 2, sep_conv_5x5 4 1, dil_conv_5x5 4 2, conv_7x1_1x7 4 2, "
    "conv_7x1_1x7 4 3, bottleneck_1x3x1 4 3, conv_7x1_1x7 5 2, simple_conv_3x3 5 3, bottleneck_1x3x1 5 3, "
    "simple_conv_3x3 5 4, conv_3x1_1x3 5 4",
)
RESNET50_SPARSE = (
    "bottleneck_1x3x1 2 0, bottleneck_1x3x1 2 1, bottleneck_1x3x1 3 2, bottleneck_1x3x1 3 1, bottleneck_1x3x1 4 3, "
    "bottleneck_1x3x1 4 1, bottleneck_1x3x1 5 3, bottleneck_1x3x1 5 4, bottleneck_1x3x1 6 5, bottleneck_1x3x1 6 4, "
    "bottleneck_1x3x1 7 5, bottleneck_1x3x1 7 1",
    "bottleneck_1x3x1 2 0, bottleneck_1x3x1 2 1, bottleneck_1x3x1 3 2, bottleneck_1x3x1 3 0, bottleneck_1x3x1 4 3, "
    "bottleneck_1x3x1 4 2, conv_7x1_1x7 5 3, max_pool_3x3 5 4, bottleneck_1x3x1 6 5, dil_conv_3x3 6 4, max_pool_3x3 "
    "7 5, conv_7x1_1x7 7 3",
    "bottleneck_1x3x1 2 0, bottleneck_1x3x1 2 1, bottleneck_1x3x1 3 2, bottleneck_1x3x1 3 1, bottleneck_1x3x1 4 3, "
    "bottleneck_1x3x1 4 2, bottleneck_1x3x1 5 3, bottleneck_1x3x1 5 4, max_pool_3x3 6 4, max_pool_3x3 6 5, "
    "max_pool_3x3 7 6, max_pool_3x3 7 4",
)
RESNET50_EDGE = (
    "skip_connect 2 0, bottleneck_1x3x1 2 0, bottleneck_1x3x1 2 1, bottleneck_1x3x1 3 1, skip_connect 3 2, "
    "bottleneck_1x3x1 3 2, bottleneck_1x3x1 4 0, bottleneck_1x3x1 4 1, skip_connect 4 3, bottleneck_1x3x1 4 3, "
    "bottleneck_1x3x1 5 3, bottleneck_1x3x1 5 4, bottleneck_1x3x1 6 1, sep_conv_3x3 6 3, bottleneck_1x3x1 6 3, "
    "sep_conv_5x5 6 4, bottleneck_1x3x1 6 4, bottleneck_1x3x1 6 5, simple_conv_1x1 7 0, bottleneck_1x3x1 7 1, "
    "bottleneck_1x3x1 7 5, bottleneck_1x3x1 7 6",
    "skip_connect 2 0, bottleneck_1x3x1 2 0, bottleneck_1x3x1 2 1, skip_connect 3 0, bottleneck_1x3x1 3 0, "
    "conv_7x1_1x7 3 1, bottleneck_1x3x1 3 1, conv_7x1_1x7 3 2, bottleneck_1x3x1 3 2, max_pool_3x3 4 0, "
    "simple_conv_3x3 4 0, dil_conv_3x3 4 1, bottleneck_1x3x1 4 1, conv_7x1_1x7 4 2, bottleneck_1x3x1 4 2, "
    "max_pool_3x3 4 3, bottleneck_1x3x1 4 3, bottleneck_1x3x1 5 0, conv_3x1_1x3 5 0, max_pool_3x3 5 1, "
    "bottleneck_1x3x1 5 1, conv_7x1_1x7 5 2, bottleneck_1x3x1 5 2, avg_pool_3x3 5 3, conv_7x1_1x7 5 3, "
    "bottleneck_1x3x1 5 4, max_pool_3x3 5 4, dil_conv_3x3 6 0, sep_conv_3x3 6 0, conv_3x1_1x3 6 1, conv_7x1_1x7 6 "
    "1, sep_conv_3x3 6 2, conv_7x1_1x7 6 2, bottleneck_1x3x1 6 3, conv_7x1_1x7 6 3, max_pool_3x3 6 4, dil_conv_3x3 "
    "6 4, max_pool_3x3 6 5, bottleneck_1x3x1 6 5, conv_7x1_1x7 7 0, bottleneck_1x3x1 7 0, bottleneck_1x3x1 7 1, "
    "conv_3x1_1x3 7 1, max_pool_3x3 7 2, sep_conv_3x3 7 2, sep_conv_3x3 7 3, conv_7x1_1x7 7 3, max_pool_3x3 7 4, "
    "conv_7x1_1x7 7 4, bottleneck_1x3x1 7 5, max_pool_3x3 7 5, dil_conv_3x3 7 6, dil_conv_5x5 7 6",
    "conv_7x1_1x7 2 0, bottleneck_1x3x1 2 0, conv_7x1_1x7 2 1, bottleneck_1x3x1 2 1, bottleneck_1x3x1 3 0, "
    "conv_7x1_1x7 3 1, bottleneck_1x3x1 3 1, conv_7x1_1x7 3 2, bottleneck_1x3x1 3 2, bottleneck_1x3x1 4 0, "
    "conv_7x1_1x7 4 1, bottleneck_1x3x1 4 1, conv_7x1_1x7 4 2, bottleneck_1x3x1 4 2, conv_7x1_1x7 4 3, "
    "bottleneck_1x3x1 4 3, sep_conv_5x5 5 0, conv_7x1_1x7 5 0, bottleneck_1x3x1 5 1, dil_conv_5x5 5 1, conv_7x1_1x7 "
    "5 2, bottleneck_1x3x1 5 2, conv_7x1_1x7 5 3, bottleneck_1x3x1 5 3, max_pool_3x3 5 4, bottleneck_1x3x1 5 4, "
    "dil_conv_5x5 6 0, skip_connect 6 0, simple_conv_1x1 6 1, bottleneck_1x3x1 6 1, simple_conv_1x1 6 2, "
    "conv_7x1_1x7 6 2, bottleneck_1x3x1 6 3, sep_conv_3x3 6 3, bottleneck_1x3x1 6 4, max_pool_3x3 6 4, conv_7x1_1x7 "
    "6 5, max_pool_3x3 6 5, dil_conv_5x5 7 0, conv_3x1_1x3 7 0, simple_conv_3x3 7 1, conv_7x1_1x7 7 1, "
    "simple_conv_1x1 7 2, sep_conv_3x3 7 2, max_pool_3x3 7 3, conv_7x1_1x7 7 3, dil_conv_5x5 7 4, max_pool_3x3 7 4, "
    "bottleneck_1x3x1 7 5, max_pool_3x3 7 5, skip_connect 7 6, max_pool_3x3 7 6",
)


def _genes(cells: tuple[str, ...]) -> str:
    edges = [[edge.split() for edge in cell.split(", ")] for cell in cells]
    return str([[(op, int(n), int(k)) for op, n, k in cell] for cell in edges])


def _nested(way: str, layers: int, cells: tuple[str, ...], file: str, classes: int = 10) -> Published:
    name = f"d-darts-{way}-cifar{'' if classes == 10 else classes}-{layers}"
    settings = {
        "input": (3, 32, 32),
        "classes": classes,
        "cells": 8,
        "layers": layers,
        "channels": 36,
        "reductions": (2, 6),
        "auxiliary": True,
        "drop_path": 0.2,
    }
    text = f"Genotype_nested(genes={_genes(cells)}, concat=range(2, 6), reductions=[2, 6])"
    return Published(name, ddarts, settings, text, PAPER, f"{CODE}/{file}.txt, model.py")


def _opt(baseline: str, way: str, cells: tuple[str, ...]) -> Published:
    made, settings = BASELINES[baseline], {"input": (3, 32, 32), "classes": 10, "baseline": baseline, "channels": 36}
    rest = f"seq={list(made.seq)}, concat=range({made.nodes - 2}, {made.nodes + 2}), reductions=[1, 2, 3]"
    text = f"Genotype_opt(genes={_genes(cells)}, {rest})"
    file = f"{baseline.replace('resnet', 'ResNet')}_cifar10_threshold_{way}_0.85.txt"
    settings |= {"auxiliary": True, "drop_path": 0.2}
    return Published(f"dartopti-{baseline}-{way}", dartopti, settings, text, PAPER, f"{CODE}/{file}, model.py")


NETWORKS: tuple[Published, ...] = (
    *(_nested("sparse", n, SPARSE, "D-DARTS_threshold_sparse_cifar10_0.85_50") for n in (8, 14, 20)),
    *(_nested("edge", n, EDGE, "D-DARTS_threshold_edge_cifar10_0.85_50") for n in (8, 14, 20)),
    _nested("sparse", 8, SPARSE_100, "D-DARTS_threshold_sparse_abl0.5_fair7_cifar100_0.85_50", 100),
    _opt("resnet18", "sparse", RESNET18_SPARSE),
    _opt("resnet18", "edge", RESNET18_EDGE),
    _opt("resnet50", "sparse", RESNET50_SPARSE),
    _opt("resnet50", "edge", RESNET50_EDGE),
)
"""The released networks for CIFAR, at the 36 channels of the documented command."""
