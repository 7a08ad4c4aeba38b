"""Layer-wise adaptive rates for large batches (You et al. 2017, arXiv:1708.03888)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, final

import torch
from torch.optim import Optimizer


@final
class Lars(Optimizer):
    """Descent whose rate for each tensor is in proportion to its norm over that of its gradient (algorithm 1).

    A group with `adapts` False, for norms and biases, is plain descent with momentum. trust: the paper's eta.
    """

    def __init__(
        self, params: Iterable[dict[str, Any]], *, lr: float, momentum: float = 0.9, trust: float = 0.001
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "trust": trust, "weight_decay": 0.0, "adapts": True}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # nobody gives a closure
        """One step down for every tensor that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                lr, decay = group["lr"], group["weight_decay"]
                if group["adapts"]:
                    norm, slope = weight.norm(), weight.grad.norm()
                    ratio = group["trust"] * norm / (slope + decay * norm)
                    lr = lr * torch.where((norm > 0) & (slope > 0), ratio, torch.ones_like(ratio))
                held = self.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
                held.mul_(group["momentum"]).add_((weight.grad + decay * weight) * lr)
                weight.sub_(held)
