"""Learned kernel transforms: a small kernel is a matrix times the centre of a larger one.

Cai et al. 2020, arXiv:1908.09791, section 3.3 ("Elastic Kernel Size"): the matrices are a layer's own, shared by its
channels, and a 3x3 kernel starts from the 5x5 one that was made of the 7x7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.space import Space
from nas.tree import Call
from nas.weights.crop import crop
from nas.weights.largest import largest

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
Steps: TypeAlias = tuple[tuple[int, str], ...]
"""What makes a kernel smaller, step by step: the side that it then has, and the key of the step's matrix."""


@final
class _Marked(int):
    """The largest of a choice of numbers, which remembers all of them."""

    options: tuple[int, ...]


def elastic(space: Space) -> dict[str, tuple[int, ...]]:
    """The sides of the kernel of each convolution in which they are a choice, by its path, from large to small."""
    found = {}
    for path, calls in largest(space.root, space.input, _most).items():
        options = {some for call in calls for some in _options(call)}
        if len(options) > 1:
            found[path] = tuple(sorted(options, reverse=True))
    return found


def _most(options: Sequence[Any]) -> Any:
    if not all(isinstance(option, int) for option in options):
        return max(options)
    most = _Marked(max(options))
    most.options = tuple(options)
    return most


def _options(call: Call) -> tuple[int, ...]:
    if call.make not in CONVOLUTIONS:
        return ()
    kernel = call.args[2] if len(call.args) > 2 else dict(call.kwargs)["kernel_size"]
    sides = kernel if isinstance(kernel, tuple) else (kernel,)
    same = len(sides) == 1 or (len(set(sides)) == 1 and len(sides) == CONVOLUTIONS.index(call.make) + 1)
    return sides[0].options if same and all(isinstance(side, _Marked) for side in sides) else ()


def matrices(path: str, sides: Sequence[int], axes: int) -> dict[str, nn.Parameter]:
    """The matrices of a layer whose kernel has several `axes`, by key beside its weight; identities at first."""
    return {_key(path, a, b): nn.Parameter(torch.eye(b**axes)) for a, b in pairwise(sides)}


def steps(path: str, sides: Sequence[int], side: int) -> Steps:
    """What makes a kernel of one side from the largest one."""
    return tuple((b, _key(path, a, b)) for a, b in pairwise(sides) if b >= side)


def turned(weight: Tensor, some: Steps, held: Mapping[str, Tensor]) -> Tensor:
    """A kernel (O, I, *largest) made smaller by its steps."""
    for side, key in some:
        shape = (*weight.shape[:2], *[side] * (weight.dim() - 2))
        weight = functional.linear(crop(weight, shape).flatten(2), held[key]).view(shape)
    return weight


def _key(path: str, large: int, small: int) -> str:
    return f"{path}.weight_{large}to{small}"
