"""The clock that scheduled parts of a network read: how much of the training is done."""

from __future__ import annotations

from torch import Tensor, nn


def clocks(module: nn.Module) -> list[Tensor]:
    """The buffers, called `progress`, into which a training writes its share that is done, in [0, 1].

    ScheduledDropPath reads one (Zoph et al. 2018, arXiv:1707.07012, section 3).
    """
    return [part.get_buffer("progress") for part in module.modules() if getattr(part, "scheduled", False)]
