"""Which axes of shared tensors hold the same channels: what each layer does with those that it reads."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

import torch
from torch import fx, nn
from torch.nn import functional

Kind: TypeAlias = Literal["image", "row", "tokens", "other"]
"""Where a value has its channels: (C, H, W) first, (F,) alone, (T, D) last; nobody knows in others."""
KINDS: dict[int, Kind] = {3: "image", 1: "row", 2: "tokens"}
"""By how many axes a value has without the batch."""
EACH = (
    *(nn.Identity, nn.Dropout, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Mish, nn.Softplus),
)
"""Layers that treat each number by itself."""
PLANES = (
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ZeroPad2d, nn.Upsample),
    *(nn.Dropout2d, nn.ReflectionPad2d, nn.ReplicationPad2d),
)
"""Layers that treat each channel of an image by itself."""
ALIKE = {
    *(operator.add, operator.mul, operator.sub, operator.iadd, operator.imul, torch.add, torch.mul, torch.sub),
    *(torch.relu, torch.sigmoid, torch.tanh, functional.relu, functional.relu6, functional.silu, functional.gelu),
    *(functional.sigmoid, functional.hardswish, functional.hardsigmoid),
}
"""Functions that join values number by number."""


@final
@dataclass(eq=False)
class Group:
    """Channels that stand in one order in all places where they stand; fixed: in no other order than theirs."""

    size: int
    fixed: bool = False
    within: Group | None = None

    def root(self) -> Group:
        """The group that this one has become a part of."""
        group = self
        while group.within is not None:
            group = group.within
        return group

    def fix(self) -> None:
        """Keep the order as it is."""
        self.root().fixed = True

    def join(self, other: Group) -> None:
        """Give both one order; groups of different sizes have none in common and are fixed."""
        a, b = self.root(), other.root()
        if a.size != b.size:
            a.fixed = b.fixed = True
        elif a is not b:
            a.fixed = a.fixed or b.fixed
            b.within = a


@final
@dataclass(frozen=True)
class Axis:
    """An axis of a shared tensor.

    reads: whether a layer's inputs are counted on it, not its outputs; inner: whether the layer stands within a module
    of several, as those of squeeze-and-excitation do.
    """

    key: str
    axis: int
    reads: bool = False
    inner: bool = False


@final
@dataclass
class Channels:
    """The groups of all axes; shapes: of the shared tensors by key."""

    shapes: Mapping[str, tuple[int, ...]]
    axes: dict[Axis, Group] = field(default_factory=dict)

    def through(self, module: nn.Module, group: Group, kind: Kind, path: str, *, inner: bool = False) -> Group:
        """The channels that a module puts out for those that it reads; fixed ones where nothing is known of it."""
        match module:
            case nn.modules.conv._ConvNd() if kind == "image":
                return self._convolved(module, group, path, inner)
            case nn.Linear() if kind in ("row", "tokens"):
                self._have(Axis(f"{path}.weight", 1, True, inner), module.in_features, group)
                return self._made(path, module.out_features, inner)
            case nn.modules.batchnorm._BatchNorm() if kind in ("image", "row"):
                return self._scaled(path, module.num_features, group, inner)
            case nn.LayerNorm() if kind in ("row", "tokens") and len(module.normalized_shape) == 1:
                return self._scaled(path, module.normalized_shape[0], group, inner)
            case _ if isinstance(module, EACH) or (kind == "image" and isinstance(module, PLANES)):
                return group
        return self._traced(module, group, kind, path)

    def free(self) -> list[list[Axis]]:
        """The axes of each group that may stand in another order."""
        found: dict[int, list[Axis]] = {}
        for axis, group in self.axes.items():
            if not group.root().fixed:
                found.setdefault(id(group.root()), []).append(axis)
        return list(found.values())

    def _convolved(self, conv: nn.modules.conv._ConvNd, group: Group, path: str, inner: bool) -> Group:
        if conv.groups == 1:
            self._have(Axis(f"{path}.weight", 1, True, inner), conv.in_channels, group)
            return self._made(path, conv.out_channels, inner)
        if conv.groups == conv.in_channels == conv.out_channels:
            return self._scaled(path, conv.out_channels, group, inner)
        group.fix()
        return Group(conv.out_channels, fixed=True)

    def _made(self, path: str, size: int, inner: bool) -> Group:
        """New channels, which a layer's weight and bias make."""
        return self._scaled(path, size, Group(size), inner)

    def _scaled(self, path: str, size: int, group: Group, inner: bool) -> Group:
        """The same channels, for each of which a layer has an entry of its weight and of its bias."""
        for name in ("weight", "bias"):
            self._have(Axis(f"{path}.{name}", 0, False, inner), size, group)
        return group

    def _have(self, axis: Axis, size: int, group: Group) -> None:
        """Note that an axis, which is `size` long in this layer, holds a group's channels."""
        shape = self.shapes.get(axis.key)
        if shape is None:
            return
        if size != group.root().size or size != shape[axis.axis]:
            group.fix()
        self.axes.setdefault(axis, group).join(group)

    def _traced(self, module: nn.Module, group: Group, kind: Kind, path: str) -> Group:
        """The same for a module that is made of others."""
        try:
            traced = fx.symbolic_trace(module.eval())
        except Exception:  # whatever a module's own code raises on a value that is no tensor
            group.fix()
            return Group(0, fixed=True)
        at: dict[fx.Node, Group] = {}
        for node in traced.graph.nodes:
            read = [at[some] for some in node.all_input_nodes]
            if node.op == "placeholder":
                at[node] = group
            elif node.op == "call_module" and len(read) == 1:
                part = module.get_submodule(node.target)
                at[node] = self.through(part, read[0], kind, f"{path}.{node.target}", inner=True)
            elif node.op == "call_function" and node.target in ALIKE:
                for some in read[1:]:
                    read[0].join(some)
                at[node] = read[0]
            elif node.op == "output" and len(read) == 1:
                return read[0]
            else:
                for some in read:
                    some.fix()
                at[node] = Group(0, fixed=True)
        group.fix()
        return Group(0, fixed=True)
