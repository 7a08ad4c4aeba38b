"""A leaf of any PyTorch module: a user's own class in a tree, without a Node of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

from nas.tree import Call, Cost, Node, Shape


@final
@dataclass(frozen=True)
class _Channels:
    def __repr__(self) -> str:
        return "CHANNELS"


CHANNELS = _Channels()
"""Stands for the number of channels that arrive: C of (C, H, W) or (F,), D of (T, D)."""


@final
@dataclass(frozen=True)
class Module(Node):
    """A module class called with keyword arguments, which may be holes; see `Module.of`.

    Its output shape is found on the meta device, its cost by torch's flop counter.
    """

    make: Callable[..., Any]
    args: tuple[tuple[str, Any], ...] = ()

    @staticmethod
    def of(make: Callable[..., Any], **args: Any) -> Module:
        """The leaf that builds `make(**args)`; where an argument is CHANNELS, the number of channels that arrive."""
        return Module(make, tuple(args.items()))

    def call(self, shape: Shape) -> Call:
        channels = shape[0] if len(shape) in (1, 3) else shape[-1]
        return Call(self.make, (), tuple((k, channels if v == CHANNELS else v) for k, v in self.args))

    def out(self, shape: Shape) -> Shape:
        return _probe(self.call(shape), shape)[0]

    def cost(self, shape: Shape) -> Cost:
        return _probe(self.call(shape), shape)[1]


@lru_cache(maxsize=4096)
def _probe(call: Call, shape: Shape) -> tuple[Shape, Cost]:
    import torch  # noqa: PLC0415  # the engine's description needs no torch until a module is asked for
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415  # the same

    written = f"{getattr(call.make, '__name__', call.make)}({', '.join(f'{k}={v}' for k, v in call.kwargs)})"
    try:
        with torch.device("meta"), torch.no_grad():
            module = call()
            made = [0]
            for part in module.modules():
                if isinstance(part, torch.nn.modules.conv._ConvNd):
                    part.register_forward_hook(lambda _, __, y: made.append(y[0].numel()))
            with FlopCounterMode(display=False) as flops:
                out = module.eval()(torch.empty(2, *shape))
    except Exception as error:
        raise ValueError(f"{written} does not take an input of shape {shape}: {error}") from error
    if not isinstance(out, torch.Tensor):
        raise ValueError(f"{written} must put out one tensor, got {type(out).__name__}")
    params = sum(p.numel() for p in module.parameters())
    return tuple(out.shape[1:]), Cost(params, flops.get_total_flops() // 4, sum(made))
