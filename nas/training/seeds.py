"""Seeds with an end: random numbers that leave the global generators as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """A scope in which torch's global generators start from a seed; afterwards they are as before.

    For code that can only draw from them: the first weights of modules, and dropout.
    device: a GPU whose generator is put back as well; the CPU's always is.
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
