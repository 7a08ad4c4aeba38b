"""Batches of a part in a given order, with the next ones decoded meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from nas.data.part import Part, start, unit


def batches(
    part: Part, size: int, *, order: Tensor, device: torch.device | str, prefetch: int = 2
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (B, C, H, W) as float32 in [0, 1] and labels (B,) int64, on the device; the last batch may be smaller.

    order: (M,) int64, places in the part; all of them once, or any others.
    prefetch: how many batches of a part on disk are decoded ahead; a part in memory needs none.
    """
    if size < 1:
        raise ValueError(f"a batch has at least 1 image, not {size}")
    device = torch.device(device)
    labels = part.labels
    order = order.to(labels.device)
    ahead: deque[tuple[Callable[[], Tensor], Tensor]] = deque()
    for index in torch.split(order, size):
        ahead.append((start(part, index), labels[index]))
        if len(ahead) > prefetch:
            yield _finish(*ahead.popleft(), device)
    while ahead:
        yield _finish(*ahead.popleft(), device)


def _finish(wait: Callable[[], Tensor], labels: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    return unit(wait().to(device)), labels.to(device)
