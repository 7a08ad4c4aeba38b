"""How long modules take on the device at hand, and what memory they need.

This file needs PyTorch alone: `nas latency SPACE --script` copies it to where there is no nas.
"""

from __future__ import annotations

import math
import platform
import statistics
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

if sys.platform == "linux":
    import resource

Shape: TypeAlias = tuple[Any, ...]
WARM, TIMES = 5, 20
BLOCK = 5e-4
"""Seconds for which a layer is called at least between two looks at the clock."""
ROUNDS = 5
"""How often each of several whole networks is measured, a round of all of them after another."""
KEEP = 2.0
"""Seconds after which what was measured is written again."""
MEMORY = {"cpu": "weights and live values, as torch hands them out", "cuda": "torch.cuda.max_memory_allocated"}
"""How the memory of a network is found; work space inside a kernel is not seen on a CPU."""


@final
@dataclass(frozen=True)
class Timed:
    """The median of a call's seconds, its quartiles, how many times the clock was read, and the calls between."""

    seconds: float
    low: float
    high: float
    times: int
    calls: int = 1


@final
@dataclass(frozen=True)
class Asked:
    """A module that is to be measured: a name, what makes it, and the shape (or shapes) that it reads.

    about: what is written beside its latency.
    """

    key: str
    make: Callable[[], nn.Module]
    shape: Shape
    about: Mapping[str, Any]


def latency(module: nn.Module, shape: Shape, device: torch.device) -> float:
    """The median of 20 forward passes in evaluation mode, in seconds: batch 1, one thread, after 5 to warm up."""
    return measure(module, shape, device).seconds


def measure(
    module: nn.Module,
    shape: Shape,
    device: torch.device,
    *,
    threads: int = 1,
    batch: int = 1,
    times: int = TIMES,
    block: float = 0.0,
) -> Timed:
    """The seconds of a forward pass in evaluation mode, after 5 to warm up.

    On one thread of a CPU, a pass during which another process took the core counts by the thread's own time.
    block: seconds for which it is called at least between two looks at the clock, 0 for a single call.
    """
    before, training = torch.get_num_threads(), module.training
    torch.set_num_threads(threads)
    module.eval()
    x = inputs(shape, batch, device)
    try:
        with torch.inference_mode():
            once = [_clocked(module, x, device, 1) for _ in range(WARM)]
            calls = max(1, math.ceil(block / max(min(once), 1e-9))) if block else 1
            seconds = [_clocked(module, x, device, calls) for _ in range(times)]
    finally:
        torch.set_num_threads(before)
        module.train(training)
    low, middle, high = statistics.quantiles(seconds, n=4) if times > 1 else seconds * 3
    return Timed(middle, low, high, times, calls)


def _clocked(module: nn.Module, x: Sequence[Tensor], device: torch.device, calls: int) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    aside, wall, own = _put_aside(), time.perf_counter(), time.thread_time()
    for _ in range(calls):
        module(*x)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    wall, own = time.perf_counter() - wall, time.thread_time() - own
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return (own if alone and _put_aside() > aside else wall) / calls


def _put_aside() -> int:
    """How often another process took this thread's core from it; 0 where the system does not say."""
    if sys.platform != "linux":
        return 0
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def inputs(shape: Shape, batch: int, device: torch.device) -> tuple[Tensor, ...]:
    """What a module reads, in place of a batch of images: one tensor for each shape."""
    shapes = shape if shape and isinstance(shape[0], tuple) else (shape,)
    return tuple(torch.full((batch, *s), 0.5, device=device) for s in shapes)


def memory(module: nn.Module, shape: Shape, device: torch.device, *, batch: int = 1) -> int:
    """The most bytes that a forward pass needs at a time, its weights and its input included; see MEMORY."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            if device.type == "cuda":
                torch.cuda.synchronize(device)
                torch.cuda.reset_peak_memory_stats(device)
                module(*inputs(shape, batch, device))
                torch.cuda.synchronize(device)
                return int(torch.cuda.max_memory_allocated(device))
            weights = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in _tensors(module)}
            with _Live(set(weights)) as live:
                module(*inputs(shape, batch, device))
            return int(live.most + sum(weights.values()))
    finally:
        module.train(training)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


@final
class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Counts the bytes of the tensors that operations make and that are not yet let go."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.known, self.now, self.most = known, 0, 0
        self.holders: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for t in made if isinstance(made, tuple | list) else (made,):
            if isinstance(t, Tensor):
                self.hold(t)
        return made

    def hold(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        at, size = storage.data_ptr(), storage.nbytes()
        if not size or at in self.known:
            return
        if not self.holders.get(at):
            self.now += size
            self.most = max(self.most, self.now)
        self.holders[at] = self.holders.get(at, 0) + 1
        weakref.finalize(tensor, self.drop, at, size)

    def drop(self, at: int, size: int) -> None:
        self.holders[at] -= 1
        if not self.holders[at]:
            self.now -= size


def called(device: torch.device) -> str:
    """What a device is called by its maker, so that its latencies are not taken for another's."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    said = Path("/proc/cpuinfo")
    lines = said.read_text(encoding="utf-8").splitlines() if said.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def header(device: torch.device, *, threads: int, batch: int) -> dict[str, Any]:
    """What a device file says of the device and of how it was measured."""
    return {
        "format": 1,
        "device": called(device),
        "on": device.type,
        "threads": threads,
        "batch": batch,
        "dtype": "float32",
        "unit": "s",
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def other(made: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """The first thing in which a device file is not what a measurement would go on with; "" where there is none."""
    for name, here in head.items():
        if name != "date" and made.get(name) != here:
            return f"{name} is {made.get(name)} there, {here} here"
    return ""


@final
class Session:
    """Measures layers and whole networks into a device file that is written as it grows, and goes on with one.

    made: what the file holds so far; write: writes it; say: is told how many are done, of how many, and the seconds
    that are left.
    """

    def __init__(
        self,
        made: MutableMapping[str, Any],
        device: torch.device,
        write: Callable[[Mapping[str, Any]], None],
        say: Callable[[str, int, int, float], None],
    ) -> None:
        self.made, self.device, self._write, self._say = made, device, write, say
        self._written = time.monotonic()

    def layers(self, asked: Sequence[Asked]) -> None:
        """Each layer once, of those that the file lacks; one that raises is written with its error."""
        rows = self.made.setdefault("layers", [])
        there = {row["key"] for row in rows}
        todo, began = [one for one in asked if one.key not in there], time.monotonic()
        try:
            for n, one in enumerate(todo, 1):
                rows.append({"key": one.key, **self._row(one), **one.about})
                self._keep("layers", n, len(todo), began)
        finally:
            self._write(self.made)

    def networks(self, asked: Sequence[Asked], *, times: int = TIMES) -> None:
        """Whole networks in rounds, one after another, so that a disturbance meets all of them.

        The least of the rounds' medians counts, since what else runs only adds, and the largest stands beside it; then
        the memory of each.
        """
        rows = self.made.setdefault("networks", [])
        there = {row["key"] for row in rows}
        todo, began = [one for one in asked if one.key not in there], time.monotonic()
        modules = [one.make().to(self.device) for one in todo]
        found: list[list[float]] = [[] for _ in todo]
        for r in range(ROUNDS):
            for n, (one, module) in enumerate(zip(todo, modules, strict=True)):
                found[n].append(self._measured(module, one.shape, times=times, block=0.0).seconds)
                self._told("networks", r * len(todo) + n + 1, ROUNDS * len(todo), began)
        for one, module, seconds in zip(todo, modules, found, strict=True):
            need = memory(module, one.shape, self.device, batch=self.made["batch"])
            row = {"key": one.key, "seconds": min(seconds), "high": max(seconds), "memory_bytes": need}
            rows.append({**row, **one.about})
        self._write(self.made)

    def _row(self, one: Asked) -> dict[str, Any]:
        try:
            found = self._measured(one.make().to(self.device), one.shape, times=TIMES, block=BLOCK)
        except Exception as error:  # one layer that does not run ends no table
            return {"seconds": None, "error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        return {"seconds": found.seconds, "low": found.low, "high": found.high}

    def _measured(self, module: nn.Module, shape: Shape, *, times: int, block: float) -> Timed:
        how = {"threads": self.made["threads"], "batch": self.made["batch"]}
        return measure(module, shape, self.device, times=times, block=block, **how)

    def _keep(self, what: str, done: int, of: int, began: float) -> None:
        if time.monotonic() - self._written > KEEP:
            self._write(self.made)
            self._written = time.monotonic()
        self._told(what, done, of, began)

    def _told(self, what: str, done: int, of: int, began: float) -> None:
        self._say(what, done, of, (time.monotonic() - began) / done * (of - done))
