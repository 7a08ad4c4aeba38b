"""The widest network of a path's wiring, and what of a wide tensor a narrow layer uses, by a rule of the laws' own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.build import Network, build
from nas.fill import fill
from nas.graph import Graph, Op, graph
from nas.space import Architecture, Space
from nas.tree import Choice
from nas.weights import Supernet

NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)
SMOOTH: dict[type[nn.Module], type[nn.Module]] = {
    nn.ReLU: nn.SiLU,
    nn.ReLU6: nn.SiLU,
    nn.Hardswish: nn.SiLU,
    nn.Hardsigmoid: nn.Sigmoid,
}
"""What stands for an activation whose gradient is zero somewhere."""
Shapes = Mapping[str, tuple[int, ...]]


def bare(flat: Graph, *, smooth: bool = False) -> Network:
    """The network of a graph without norms, in eval mode and float64; its train heads are outputs like the others."""

    def without(module: nn.Module) -> nn.Module:
        if isinstance(module, NORMS):
            return nn.Identity()
        if smooth and type(module) in SMOOTH:
            return SMOOTH[type(module)]()
        for name, child in module.named_children():
            setattr(module, name, without(child))
        return module

    def make(op: Op) -> nn.Module:
        if op.node is None:
            raise ValueError(f"{op.path} is no layer")
        return without(op.node.call(op.reads)())

    whole = Graph(tuple(replace(op, train=False) for op in flat.ops), flat.outputs + flat.heads, True)
    return Network(whole, make).double().eval()


def run(network: Network, weights: Mapping[str, Tensor], x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a network makes of x with these weights; those of norms that it lacks are left."""
    out: tuple[Tensor, ...] = functional_call(network, {k: weights[k] for k, _ in network.named_parameters()}, x)
    return out


def sizes(flat: Graph) -> dict[str, tuple[int, ...]]:
    """The shapes of the learned tensors of a graph's module, by key."""
    with torch.device("meta"):
        return {key: tuple(p.shape) for key, p in Network(flat).named_parameters()}


def inside(have: Sequence[int], want: Sequence[int], axes: Sequence[str]) -> list[Tensor]:
    """Which entries of each axis of a shared tensor a layer uses: leading ones, or those nearest to the centre."""
    lists = []
    for n, m, axis in zip(have, want, axes or ["leading"] * len(have), strict=True):
        central = axis == "central"
        order = sorted(range(n), key=lambda i, n=n, central=central: (abs(2 * i - n + 1), i) if central else i)  # type: ignore[misc]  # the defaults bind the loop's values
        lists.append(torch.tensor(sorted(order[:m])))
    return lists


def masked(shared: Tensor, want: Sequence[int], axes: Sequence[str]) -> Tensor:
    """Whether each entry of a shared tensor is one that a layer of this shape uses."""
    mask = torch.ones((), dtype=torch.bool)
    for axis, kept in enumerate(inside(shared.shape, want, axes)):
        line = torch.zeros(shared.shape[axis], dtype=torch.bool)
        line[kept] = True
        mask = mask & line.view(-1, *[1] * (shared.dim() - axis - 1))
    return mask.expand(shared.shape)


def entries(shared: Tensor, want: Sequence[int], axes: Sequence[str]) -> Tensor:
    """A copy of the entries of a shared tensor that a layer of this shape uses."""
    for axis, kept in enumerate(inside(shared.shape, want, axes)):
        shared = shared.index_select(axis, kept)
    return shared


def growing(space: Space, arch: Architecture, cuts: set[str]) -> list[str]:
    """The numbers of an architecture that are not the largest, and of which a larger one makes some tensor larger."""
    own = sizes(graph(space.network(arch), space.input))
    names = [n for n, c in space.choices.items() if n in arch.labels and n not in cuts and _number(c)]
    small = [n for n in names if arch[n] != max(space.choices[n].labels, key=_key(space.choices[n]))]
    return [name for name in small if sizes(_raised(space, arch, {name})) != own]


def widest(space: Space, arch: Architecture, names: Iterable[str]) -> tuple[Graph, list[str]]:
    """The graph of an architecture with the layers of the largest of these numbers, and which of them it has.

    Its wiring stays: what joins what may depend on whether two widths are equal. A number that leaves a sum of
    unequal widths stays as it is.
    """
    path, names = graph(space.network(arch), space.input), list(names)
    wide = _rewired(path, _raised(space, arch, names))
    if wide is not None:
        return wide, names
    best, taken = path, list[str]()
    for name in names:
        wide = _rewired(path, _raised(space, arch, [*taken, name]))
        if wide is not None:
            best = wide
            taken.append(name)
    return best, taken


def _number(choice: Choice) -> bool:
    return isinstance(choice.options[0], int | float)


def _key(choice: Choice) -> Callable[[object], float]:
    return lambda label: float(choice.options[choice.labels.index(label)])


def _raised(space: Space, arch: Architecture, names: Iterable[str]) -> Graph:
    names = set(names)

    def pick(choice: Choice) -> int:
        if choice.name in names:
            return max(range(len(choice.options)), key=lambda k: choice.options[k])
        return choice.index(arch[choice.name])

    return graph(fill(space.root, pick), space.input)


def _rewired(path: Graph, wide: Graph) -> Graph | None:
    """The path's graph with the wide one's layers; None where they do not fit."""
    there: dict[tuple[str, str], list[Op]] = {}
    for op in wide.ops:
        there.setdefault((op.kind, op.path), []).append(op)
    ops: list[Op] = []
    for op in path.ops:
        reads = [ops[i].shape for i in op.inputs]
        if op.kind == "sum":
            if any(shape != reads[0] for shape in reads):
                return None
            ops.append(replace(op, shape=reads[0]))
        elif op.kind == "concat":
            ops.append(replace(op, shape=(sum(shape[0] for shape in reads), *reads[0][1:])))
        else:
            if not there.get((op.kind, op.path)):
                return None
            new = there[op.kind, op.path].pop(0)
            if new.node is not None and new.reads not in (tuple(reads), *reads[:1]):
                return None
            ops.append(replace(op, node=new.node, reads=new.reads, shape=new.shape))
    return replace(path, ops=tuple(ops))


def scatter(supernet: Supernet, generator: torch.Generator, gain: float) -> None:
    """New weights for a supernet: normal, gain^2 over what each output reads; biases small, scales near 1."""
    with torch.no_grad():
        for name, tensor in supernet.named_parameters():
            draw = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            if tensor.dim() < 2:
                tensor.copy_(0.1 * draw + (name.endswith("weight") and tensor.dim() == 1))
            else:
                tensor.copy_(draw * gain / tensor[0].numel() ** 0.5)


def alone(space: Space, arch: Architecture, weights: Mapping[str, Tensor]) -> Network:
    """The standalone network of an architecture with these weights, in float64."""
    network = build(space.network(arch), space.input).double()
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            tensor.copy_(weights[name])
    return network
