"""How long a network takes for one input, on the device at hand."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from nas.tree import Shape

WARM, TIMES = 5, 20


def latency(module: nn.Module, shape: Shape, device: torch.device) -> float:
    """The median of 20 forward passes in evaluation mode, in seconds: batch 1, one thread, after 5 to warm up."""
    threads, training = torch.get_num_threads(), module.training
    torch.set_num_threads(1)
    module.eval()
    x = torch.zeros(1, *shape, device=device)
    seconds = []
    try:
        with torch.inference_mode():
            for n in range(WARM + TIMES):
                start = time.perf_counter()
                module(x)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                if n >= WARM:
                    seconds.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
        module.train(training)
    return statistics.median(seconds)
