"""The first weights of shared tensors."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import nn

from nas.tree import Call
from nas.weights.crop import Part, crop


def first_weights(calls: Mapping[Call, Mapping[str, Part]]) -> dict[str, nn.Parameter]:
    """The first weights of a path: as torch initialises its largest layer; where none is, what each one uses.

    calls: what may build the layer at this path, and the tensors of what it builds. Draws from torch's generator.
    """
    sizes = {call: {name: part.shape for name, part in own.items()} for call, own in calls.items()}
    most: dict[str, tuple[int, ...]] = {}
    for size in sizes.values():
        for name, shape in size.items():
            most[name] = tuple(map(max, shape, most.get(name, shape)))
    if not most:
        return {}
    whole = [call for call in calls if sizes[call] == most]
    if whole:
        return dict(whole[0]().named_parameters())
    made = {name: nn.Parameter(torch.zeros(shape)) for name, shape in most.items()}
    for call in sorted(calls, key=lambda call: sum(map(prod, sizes[call].values()))):
        for name, tensor in call().named_parameters():
            crop(made[name].data, tensor.shape, calls[call][name].axes).copy_(tensor.data)
    return made
