"""The number format and the memory layout that train a network fastest on this device, found by timing it."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, cast, final

import torch
from torch import Tensor, nn

from nas.training.recipe import Recipe
from nas.training.seeds import seeded

SHORT = 30.0
"""Seconds of training below which nothing is probed: a probe would cost more than it gains."""
LONG = 300.0
"""Seconds of training on a GPU above which compiling, a minute of work, repays."""
GAIN = 1.15
"""How many times faster than plain a way must be to be taken."""
MARGIN = 1.05
"""How many times faster than the best before it a further way must be."""
_STEPS = 5
_PRECISIONS: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16")
_LAYOUTS: tuple[Literal["contiguous", "channels_last"], ...] = ("contiguous", "channels_last")


@final
@dataclass(frozen=True)
class Speed:
    """The way a network is trained: number format, memory layout, compiled or not.

    images_per_second: what each way that was timed reached, by name; empty where nothing was.
    """

    precision: Literal["fp32", "bf16"] = "fp32"
    layout: Literal["contiguous", "channels_last"] = "contiguous"
    compiled: bool = False
    images_per_second: Mapping[str, float] = field(default_factory=dict)

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout, as torch calls it."""
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The scope in which a forward pass uses the number format."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(device.type, dtype=torch.bfloat16)

    def json(self) -> dict[str, Any]:
        """The speed as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def read(cls, record: object) -> Self | None:
        """The speed in a record that `json` wrote, or None if it is none."""
        match record:
            case {
                "precision": "fp32" | "bf16" as precision,
                "layout": "contiguous" | "channels_last" as layout,
                "compiled": bool(compiled),
                "images_per_second": dict(rates),
            } if all(isinstance(value, float) for value in rates.values()):
                return cls(precision, layout, compiled, rates)
        return None


PLAIN = Speed()
"""In fp32 and contiguous, as it comes."""


def arranged(images: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Images (B, C, H, W) in a memory format, in their strides as well.

    With one channel the formats share one order in memory, so that torch leaves the strides, from which convolutions
    read the format, as they happen to be; a network of depthwise convolutions then runs at two thirds of its speed.
    """
    images = images.contiguous(memory_format=memory_format)
    if images.shape[1] > 1:
        return images
    batch, _, height, width = images.shape
    if memory_format == torch.channels_last:
        return images.view(batch, height, width, 1).permute(0, 3, 1, 2)
    return images.flatten().view(batch, 1, height, width)


def reshaped(module: nn.Module, memory_format: torch.memory_format) -> nn.Module:
    """The module itself, its weights brought to a memory format."""
    # The types of torch know no such call of a module, though its documentation does.
    moved: nn.Module = cast("Any", module).to(memory_format=memory_format)
    return moved


def native_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware; where torch cannot tell, it does not."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(bool(supported()) for supported in asked if supported is not None)


def choose(
    module: nn.Module, shape: tuple[int, int, int, int], *, recipe: Recipe, steps: int, device: torch.device
) -> Speed:
    """The fastest way to train a module among those that a recipe leaves open.

    A training that is estimated, from two plain steps, to last less than `SHORT` seconds is taken as it is, in fp32
    and contiguous, so that short runs give the same numbers each time. Longer ones time a few steps on copies of the
    module; it and the global generators stay as they were.

    shape: (B, C, H, W) of a batch.
    """
    both = native_bf16(device)
    precisions = _PRECISIONS[: 1 + both] if recipe.precision == "auto" else (recipe.precision,)
    layouts = _LAYOUTS if recipe.layout == "auto" else (recipe.layout,)
    plain = Speed(precisions[0], layouts[0], recipe.compile == "on")
    ways = [Speed(precision, layout) for precision in precisions for layout in layouts]
    if len(precisions) == len(layouts) == 2:
        ways.remove(Speed("bf16", "contiguous"))
    may_compile = recipe.compile == "auto" and device.type == "cuda"
    if recipe.compile == "on" or (len(ways) == 1 and not may_compile):
        return plain
    seconds = _step_seconds(module, shape, ways[0], device, steps=2)
    if seconds * steps < SHORT:
        return plain
    best, rates = _race(module, shape, ways, device)
    if may_compile and shape[0] / rates[_name(best)] * steps > LONG:
        best, more = _race(module, shape, [best, Speed(best.precision, best.layout, True)], device)
        rates |= more
    return Speed(best.precision, best.layout, best.compiled, rates)


def _race(
    module: nn.Module, shape: tuple[int, int, int, int], ways: list[Speed], device: torch.device
) -> tuple[Speed, dict[str, float]]:
    """The fastest way, where it gains enough on the first, and the images per second of each that works."""
    rates = {_name(ways[0]): shape[0] / _step_seconds(module, shape, ways[0], device)}
    best, bar = ways[0], rates[_name(ways[0])] * GAIN
    for way in ways[1:]:
        try:
            rates[_name(way)] = reached = shape[0] / _step_seconds(module, shape, way, device)
        except (RuntimeError, NotImplementedError, TypeError):  # an operation may know no other format, nor compile
            continue
        if reached > bar:
            best, bar = way, reached * MARGIN
    return best, rates


def _step_seconds(
    module: nn.Module, shape: tuple[int, int, int, int], way: Speed, device: torch.device, *, steps: int = _STEPS
) -> float:
    """Seconds of one training step on random images: the least of several, after one that warms up."""
    trial = reshaped(copy.deepcopy(module).to(device), way.memory_format).train()
    forward = torch.compile(trial) if way.compiled else trial
    generator = torch.Generator().manual_seed(0)
    images = arranged(torch.randn(shape, generator=generator).to(device), way.memory_format)
    times = []
    with seeded(0, device):  # a probe may draw for dropout, and must not change what the training draws
        for _ in range(1 + steps):
            _wait(device)
            start = time.perf_counter()
            with way.autocast(device):
                made = forward(images)
            outputs = made if isinstance(made, tuple) else (made,)
            torch.autograd.backward([output.float().square().mean() for output in outputs])
            trial.zero_grad(set_to_none=True)
            _wait(device)
            times.append(time.perf_counter() - start)
    return min(times[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _name(speed: Speed) -> str:
    return f"{speed.precision} {speed.layout}" + (" compiled" if speed.compiled else "")
