"""Cropping: the part of a shared tensor that a smaller layer uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from torch import Tensor, nn

Axis: TypeAlias = Literal["leading", "central"]


@final
@dataclass(frozen=True)
class Part:
    """One tensor of a module: its shape, and how each axis of it is cropped, () where nothing says how.

    fixed: an axis that no crop may shorten, None for none.
    """

    shape: tuple[int, ...]
    axes: tuple[Axis, ...] = ()
    fixed: int | None = None


def crop(tensor: Tensor, shape: Sequence[int], axes: Sequence[Axis] = ()) -> Tensor:
    """The part of a shared tensor that a smaller layer uses, as a view.

    tensor: (O, I, *kernel), (C,), or any rank where `axes` says how each axis is cropped; shape: no axis larger.
    Leading entries of the first two axes, central entries of the others (Cai et al. 2020, arXiv:1908.09791, fig. 3).
    Raises ValueError naming the axis that is too small.
    """
    if len(shape) != tensor.dim():
        raise ValueError(f"a tensor of shape {tuple(tensor.shape)} cannot be cropped to {tuple(shape)}: other axes")
    start = tensor.storage_offset()
    for axis, (have, want) in enumerate(zip(tensor.shape, shape, strict=True)):
        if want > have:
            raise ValueError(f"axis {axis} of a tensor of shape {tuple(tensor.shape)} is too small for {tuple(shape)}")
        if want != have and (axes[axis] == "central" if axes else axis > 1):
            start += (have - want) // 2 * tensor.stride(axis)
    # One view, not one for each axis: so its gradient is laid out like the tensor at once, and is not copied again.
    return tensor.as_strided(shape, tensor.stride(), start) if tuple(shape) != tuple(tensor.shape) else tensor


def tensors(module: nn.Module) -> dict[str, Part]:
    """The learned tensors of a module by name, and how each is cropped.

    A class whose tensors are not (C,), (O, I) or (O, I, *kernel) says so in a class attribute, an axis a word:
    `crops = (("position", ("leading", "central", "central")),)`.
    """
    found = {}
    owners = dict(module.named_modules())
    for name, tensor in module.named_parameters():
        owner, _, own = name.rpartition(".")
        part, shape = owners[owner], tuple(tensor.shape)
        axes = dict(getattr(type(part), "crops", ())).get(own, ())
        if axes and len(axes) != len(shape):
            raise ValueError(f"{type(part).__name__}.crops has {len(axes)} axes for {own}, which has {len(shape)}")
        if not axes and (len(shape) <= 2 or isinstance(part, nn.modules.conv._ConvNd)):
            axes = ("leading", "leading", *["central"] * (len(shape) - 2))[: len(shape)]
        # Channels of a group are counted from its own first one: leading channels of the whole are others.
        grouped = isinstance(part, nn.modules.conv._ConvNd) and part.groups > 1 and len(shape) > 1
        found[name] = Part(shape, tuple(axes), 1 if grouped else None)
    return found


def part_of(tensor: Tensor, part: Part) -> Tensor:
    """What a module's tensor is of a shared one; ValueError where nothing says which part that would be."""
    have = tuple(tensor.shape)
    if have == part.shape:
        return tensor
    if part.fixed is not None and have[part.fixed] != part.shape[part.fixed]:
        raise ValueError(
            f"a grouped convolution has {part.shape[part.fixed]} channels a group here, {have[part.fixed]} elsewhere: "
            "make the groups a choice of nodes"
        )
    if not part.axes:
        raise ValueError(f"nothing says how {have} is cropped to {part.shape}: give its class `crops`")
    return crop(tensor, part.shape, part.axes)
