"""The entropy score of DeepMAD (Shen et al. 2023, arXiv:2303.02165, section 3), for any network with a graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from nas.graph import Graph, Op
from nas.proxies.facts import Facts

LAST = 8.0
"""The weight of the last stage; all others have 1 (the alphas of the released settings)."""


def entropy(facts: Facts) -> float:
    """The sum over stages of alpha_s log(r_s^2 c_s) 1/2 sum log w: see `stages`."""
    if facts.flat is None:
        raise ValueError("the entropy is read from a network's graph, and this module has none")
    found = stages(facts.flat)
    return sum(found) + (LAST - 1) * found[-1] if found else 0.0


def stages(flat: Graph) -> list[float]:
    """The entropy of each stage: log(area times channels at its end) times 1/2 sum log w up to there.

    w is a layer's channels in, over its groups, times its kernel's area; the sum goes along the path on which it is
    largest, so shortcuts do not count, nor gates inside a module. A stage ends at the last point of its image's size
    that everything passes; what follows the mean over the image is in none. Nothing where no path reaches the output.
    For the bottlenecks of `deepmad_resnet` this is the objective of `nas.programs.deepmad` without its penalty.
    """
    reads = [tuple(i for i in op.inputs if flat.ops[i].kind != "zero") for op in flat.ops]
    sums: list[float] = []
    for n, op in enumerate(flat.ops):
        start = 0.0 if op.kind == "input" else -math.inf
        sums.append(max((sums[i] for i in reads[n]), default=start) + _log_width(op))
    if sums[flat.outputs[0]] == -math.inf:
        return []
    ends: dict[int, float] = {}
    for n in _passed(reads, flat.outputs):
        channels, area = _size(flat.ops[n])
        if area > 1 and flat.ops[n].kind != "input":
            ends[area] = 0.5 * sums[n] * math.log(area * channels)
    return list(ends.values())


def _passed(reads: Sequence[tuple[int, ...]], outputs: tuple[int, ...]) -> list[int]:
    """The operations that every path from the input to the output passes: no value is read across them."""
    live = set(outputs)
    for n in reversed(range(len(reads))):
        if n in live:
            live |= set(reads[n])
    last = {i: n for n in sorted(live) for i in reads[n]}
    found, reach = [], 0
    for n in sorted(live):
        if reach <= n:
            found.append(n)
        reach = max(reach, last.get(n, n))
    return found


def _log_width(op: Op) -> float:
    if op.kind != "node" or op.node is None:
        return 0.0
    call = op.node.call(op.reads)
    if call.make not in (nn.Conv2d, nn.Linear):
        return 0.0
    with torch.device("meta"):
        return math.log(call().weight[0].numel())


def _size(op: Op) -> tuple[int, int]:
    """The channels and the positions of a value: of an image (C, H, W), or of tokens (T, D)."""
    shape: Sequence[int] = op.shape
    if len(shape) == 3:
        return shape[0], shape[1] * shape[2]
    return (shape[1], shape[0]) if len(shape) == 2 else (shape[-1], 1)
