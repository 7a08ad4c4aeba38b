"""What several proxies read of one network: made when it is first asked for, timed once, its time shared."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.graph import Graph
from nas.tree import Shape

T = TypeVar("T")
Fact: TypeAlias = "Callable[[Facts], Any]"
Batch: TypeAlias = tuple[Tensor, Tensor]
"""Images (B, C, H, W) as a network takes them, and labels (B,) int64, on the network's device."""
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


class Score(NamedTuple):
    """What a proxy says of a network, larger for better, and the seconds that it took; why: the reason of a NaN."""

    value: float
    seconds: float
    why: str = ""


@final
@dataclass(frozen=True, eq=False)
class _Made:
    value: Any
    error: Exception | None
    reads: frozenset[Fact]


@final
class Facts:
    """One untrained network, and what proxies read of it.

    module: a copy of its own, in which norms take the statistics of the batch and nothing is dropped at random.
    batches: all of one size; names: the proxies that will ask. A fact that raises does so for each that reads it.
    """

    def __init__(
        self,
        module: nn.Module,
        batches: Sequence[Batch],
        names: Collection[str],
        *,
        seed: int,
        shape: Shape,
        flat: Graph | None,
    ) -> None:
        self.module = deepcopy(module).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as documented
        _twice(listening(self.module))
        self.batches = tuple((images.to(memory_format=_layout(images)), labels) for images, labels in batches)
        self.names, self.seed, self.shape, self.flat = frozenset(names), seed, shape, flat
        first = next(iter(self.module.parameters()), torch.zeros(()))
        self.device = first.device
        self._made: dict[Fact, _Made] = {}
        self._spent: dict[Fact, float] = {}
        self._inner = 0.0
        self._touched: list[set[Fact]] = []

    @property
    def images(self) -> Tensor:
        """Those of the first batch."""
        return self.batches[0][0]

    @property
    def labels(self) -> Tensor:
        """Those of the first batch."""
        return self.batches[0][1]

    def get(self, make: Callable[[Facts], T]) -> T:
        """The fact that a function makes of these facts."""
        if make not in self._made:
            value, error, reads, self._spent[make] = self._timed(make)
            self._made[make] = _Made(value, error, reads)
        found = self._made[make]
        if self._touched:
            self._touched[-1] |= {make, *found.reads}
        if found.error is not None:
            raise found.error
        made: T = found.value
        return made

    def scores(self, proxies: dict[str, Callable[[Facts], float]]) -> dict[str, Score]:
        """The score of each proxy; a fact's seconds are shared equally by the proxies that read it."""
        found = {name: self._timed(proxy) for name, proxy in proxies.items()}
        users = {fact: sum(fact in reads for _, _, reads, _ in found.values()) for fact in self._made}
        made = {}
        for name, (value, error, reads, own) in found.items():
            seconds = own + sum(self._spent[fact] / users[fact] for fact in reads)
            made[name] = _score(value, error, seconds)
        return made

    def _timed(self, make: Callable[[Facts], T]) -> tuple[T | None, Exception | None, frozenset[Fact], float]:
        """What a function gives or raises, the facts that it reads, and its seconds without those of new facts."""
        outer, self._inner, value, error = self._inner, 0.0, None, None
        self._touched.append(set())
        begun = self._now()
        try:
            value = make(self)
        except Exception as raised:  # one proxy, or one network, must not end the scoring of others
            error = raised.with_traceback(None)  # its frames hold these facts
        spent = self._now() - begun
        own, self._inner = spent - self._inner, outer + spent
        return value, error, frozenset(self._touched.pop()), own

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def layers(module: nn.Module) -> list[nn.Module]:
    """The convolutions and linear layers whose weights learn, in the order of the module."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    return [part for part in module.modules() if isinstance(part, kinds) and part.weight.requires_grad]


def weights(module: nn.Module) -> list[Tensor]:
    """Their weights."""
    return [layer.weight for layer in layers(module)]  # type: ignore[misc]  # they have one


def norms(module: nn.Module) -> list[nn.Module]:
    """The normalisations."""
    return [part for part in module.modules() if isinstance(part, NORMS)]


def listening(module: nn.Module) -> nn.Module:
    """The module as proxies run it: norms by the batch, as in training; no dropout, no path drop, no train head."""
    module.eval()
    for norm in norms(module):
        norm.train()
    return module


def _twice(module: nn.Module) -> None:
    """Hard sigmoids written by ReLU6, the same numbers: torch cannot differentiate its own one twice."""
    for part in module.modules():
        if isinstance(part, nn.Hardsigmoid):
            setattr(part, "forward", lambda x: functional.relu6(x + 3) / 6)  # noqa: B010  # see synflow.py


def logits(module: nn.Module, images: Tensor) -> Tensor:
    """The first output (B, classes); ValueError where it is of another shape."""
    out = module(images)
    first = out[0] if isinstance(out, tuple) else out
    if not isinstance(first, Tensor) or first.dim() != 2:
        raise ValueError(f"the network must put out (B, classes), got {tuple(getattr(first, 'shape', ()))}")
    return first


def _layout(images: Tensor) -> torch.memory_format:
    return torch.channels_last if images.dim() == 4 else torch.contiguous_format


def _score(value: float | None, error: Exception | None, seconds: float) -> Score:
    if error is not None or value is None:
        line = " ".join(str(error).split()) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return Score(float("nan"), seconds, " ".join(line.split())[:300])
    if not math.isfinite(value):
        return Score(float("nan"), seconds, f"it came to {value}")
    return Score(float(value), seconds)
