"""How long a network takes for one input, on the device at hand."""

from __future__ import annotations

import platform
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from nas.errors import ENVIRONMENT, UserError
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


def device(name: str) -> torch.device:
    """The device that a person names, cpu or cuda; UserError where this machine shows none."""
    if name not in ("cpu", "cuda"):
        raise UserError(f"latency is measured on cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        fix = "give cpu; `nas doctor` says what is seen"
        raise UserError("latency was to be measured on cuda, and this machine shows no GPU", fix=fix, code=ENVIRONMENT)
    return torch.device(name)


def called(device: torch.device) -> str:
    """What a device is called by its maker, so that its latencies are not taken for another's."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    said = Path("/proc/cpuinfo")
    lines = said.read_text(encoding="utf-8").splitlines() if said.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
