"""One forward of a batch that every proxy of a batch goes back from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from nas.proxies.facts import Facts, layers, logits

SPLITS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
)
"""Activations that treat what is above zero otherwise than what is below: their inputs' signs are a network's code."""


@final
@dataclass(eq=False)
class Taps:
    """For each layer, 1/2 mean_n (sum_hw a dL/da)^2 by output channel, of what went back while it was open.

    It knows no graph: a graph's hooks hold it, and a circle would keep the memory of every network that was scored.
    """

    channels: dict[nn.Module, Tensor] = field(default_factory=dict)
    open: bool = False


@final
@dataclass(frozen=True, eq=False)
class Forward:
    """logits (B, classes) of images (B, C, H, W), with their graph.

    signs: for each call of an activation, whether its input is above zero, (B, units).
    """

    images: Tensor
    logits: Tensor
    signs: list[Tensor]
    taps: Taps


CODES = frozenset({"nwot", "regions"})
JACOBIANS = frozenset({"jacob_cov", "epe_nas"})


def forward(facts: Facts) -> Forward:
    """The forward of the first batch; it records only what the proxies that will ask need."""
    images = facts.images.detach().clone().requires_grad_(bool(JACOBIANS & facts.names))
    signs: list[Tensor] = []
    taps = Taps()
    handles: list[RemovableHandle] = []
    if CODES & facts.names:
        splits = [part for part in facts.module.modules() if isinstance(part, SPLITS)]
        handles += [part.register_forward_pre_hook(_recorder(signs)) for part in splits]
    if "fisher" in facts.names:
        handles += [layer.register_forward_hook(_tap(taps)) for layer in layers(facts.module)]
    try:
        return Forward(images, logits(facts.module, images), signs, taps)
    finally:
        for handle in handles:
            handle.remove()


def _recorder(signs: list[Tensor]) -> Any:
    def record(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        signs.append((inputs[0].detach() > 0).flatten(1))

    return record


def _tap(taps: Taps) -> Any:
    def tap(layer: nn.Module, _inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
        if not out.requires_grad:
            return out
        kept = out.detach()

        def back(gradient: Tensor) -> None:
            if taps.open:
                value = _information(kept * gradient.detach(), linear=isinstance(layer, nn.Linear))
                taps.channels[layer] = taps.channels[layer] + value if layer in taps.channels else value

        out.register_hook(back)  # type: ignore[no-untyped-call]  # torch says no types here
        return out.clone()  # an activation in place must not change what was kept

    return tap


def _information(product: Tensor, *, linear: bool) -> Tensor:
    """1/2 mean_n (sum a dL/da)^2 of a dL/da: (B, C, H, W), or (B, ..., C) of a linear layer, to (C,)."""
    channels = product.movedim(-1, 1) if linear else product
    summed = channels.flatten(2).sum(2) if channels.dim() > 2 else channels
    return 0.5 * summed.double().square().mean(0)
