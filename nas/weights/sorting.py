"""Sorting: the channels that matter most come first, so that a narrow network keeps them."""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nas.graph import join
from nas.space import Space
from nas.weights.channels import Axis, Channels
from nas.weights.crop import tensors
from nas.weights.groups import followed
from nas.weights.largest import largest
from nas.weights.supernet import Supernet


def sortable(space: Space, shapes: dict[str, tuple[int, ...]]) -> list[list[Axis]]:
    """The axes of shared tensors that hold the same channels, for each group of channels that may be sorted.

    These are the groups of which some network takes the leading channels alone, and which no join, flattening, input
    or output keeps in their order. shapes: of the shared tensors by key.
    """
    channels = Channels(shapes)
    try:
        least = _least(space)
        cropped = {(key, k) for key, shape in shapes.items() for k, n in enumerate(least.get(key, ())) if n < shape[k]}
        met = followed(space.root, space.input, channels) if cropped else set()
    except ValueError:
        return []
    if not all(any(path in met for path in accumulate(key.split("."), join)) for key in shapes):
        return []  # what was not met may read any of these channels
    return [axes for axes in channels.free() if any((axis.key, axis.axis) in cropped for axis in axes)]


@torch.no_grad()
def sort(supernet: Supernet, optimiser: Optimizer | None = None) -> int:
    """Sort the channels of a supernet by importance, the largest first; how many groups of channels changed.

    The importance of a channel is the L1 norm of the weights by which the next layers read it (Cai et al. 2020,
    arXiv:1908.09791, section 3.3, "Elastic Width"). All that makes or scales a channel moves with it, an optimiser's
    moments too; so networks of the largest widths stay what they are, and narrower ones become others. Running
    statistics that were taken before it are of another order.
    """
    held = dict(supernet.shared.named_parameters())
    shapes = {key: tuple(tensor.shape) for key, tensor in held.items()}
    done = 0
    for axes in sortable(supernet.space, shapes) if supernet.parts["partial"] == 1 else ():
        readers = [axis for axis in axes if axis.reads]
        # What gates the channels, and puts them out again, is no next layer (released code of Once-for-all).
        readers = [axis for axis in readers if not axis.inner] or readers
        if not readers:
            continue
        importance = torch.stack([_read(held[some.key], some.axis) for some in readers]).sum(0)
        order = importance.argsort(descending=True, stable=True)
        if torch.equal(order, torch.arange(len(order), device=order.device)):
            continue
        for axis in axes:
            for tensor in (held[axis.key], *_moments(held[axis.key], optimiser)):
                tensor.copy_(tensor.index_select(axis.axis, order))
        done += 1
    return done


def _read(weight: Tensor, axis: int) -> Tensor:
    return weight.abs().transpose(0, axis).flatten(1).sum(1)


def _moments(tensor: nn.Parameter, optimiser: Optimizer | None) -> list[Tensor]:
    kept = {} if optimiser is None else optimiser.state.get(tensor, {})
    return [value for value in kept.values() if isinstance(value, Tensor) and value.shape == tensor.shape]


def _least(space: Space) -> dict[str, tuple[int, ...]]:
    """The smallest shape of each tensor, by key."""
    found: dict[str, tuple[int, ...]] = {}
    with torch.device("meta"):
        for path, calls in largest(space.root, space.input, min).items():
            for name, part in (pair for call in calls for pair in tensors(call()).items()):
                key = f"{path}.{name}"
                found[key] = tuple(map(min, part.shape, found.get(key, part.shape)))
    return found
