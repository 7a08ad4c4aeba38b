"""Building: a filled tree becomes a PyTorch module whose state_dict keys are the paths of the tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn

from nas.graph import Graph, Op, graph
from nas.tree import Node, Shape

_Step: TypeAlias = tuple[str, nn.Module | None, tuple[int, ...], int, Op, tuple[int, ...]]


@final
class Network(nn.Module):
    """A network that runs the operations of a graph one after another.

    Its submodules stand under the paths of the tree. A value is let go as soon as nothing needs it any more.
    make: what gives the module of an operation, where it is not a new one.
    """

    def __init__(self, flat: Graph, make: Callable[[Op], nn.Module] | None = None) -> None:
        super().__init__()
        self._steps: list[_Step] = []
        made: dict[str, nn.Module] = {}
        read = reads(flat)
        last = {i: n for n, some in enumerate(read) for i in some}
        last |= dict.fromkeys((*flat.outputs, *flat.heads), len(flat.ops))
        for n, op in enumerate(flat.ops):
            module = made.get(op.path) if op.kind == "node" else None
            if op.kind == "node" and op.node is not None and module is None:
                module = made[op.path] = make(op) if make else op.node.call(op.reads)()
                _place(self, op.path, module)
            if op.kind != "input" and (n in last or op.kind == "node"):
                ends = tuple(i for i in {*read[n], n} if last.get(i, n) == n)
                self._steps.append((op.kind, module, read[n], n, op, ends))
        self._outputs, self._several, self._size = flat.outputs, flat.several, len(flat.ops)
        self._heads = flat.heads
        if self._heads and self._several:
            raise ValueError("a network of several outputs can have no TrainHead")

    def forward(self, *inputs: Tensor) -> Any:
        """The output for inputs of shape (B, ...); in train mode, the outputs of its train heads behind it."""
        values: list[Any] = [*inputs, *([None] * (self._size - len(inputs)))]
        for kind, module, reads, n, op, ends in self._steps:
            if op.train and not self.training:
                pass
            elif module is not None:
                values[n] = module(values[reads[0]]) if len(reads) == 1 else module(*[values[i] for i in reads])
            elif kind == "sum":
                total = values[reads[0]]
                for i in reads[1:]:
                    total = total + values[i]
                values[n] = total
            else:
                values[n] = _glue(op, [values[i] for i in reads])
            for i in ends:
                values[i] = None
        out = tuple(values[i] for i in self._outputs)
        if self._heads and self.training:
            return out + tuple(values[i] for i in self._heads)
        return out if self._several else out[0]


def build(tree: Node, shape: Shape) -> Network:
    """The module of a tree without holes, for inputs of this shape (without the batch axis).

    Build it under `torch.device("meta")` for shapes alone.
    """
    return Network(graph(tree, shape))


def reads(flat: Graph) -> list[tuple[int, ...]]:
    """What each operation really reads: a sum leaves its zero terms out, if it has others."""
    found = []
    for op in flat.ops:
        full = tuple(i for i in op.inputs if flat.ops[i].kind != "zero") if op.kind == "sum" else op.inputs
        found.append(full or op.inputs)
    return found


def _glue(op: Op, values: list[Tensor]) -> Tensor:
    if op.kind == "concat":
        return torch.cat(values, 1)
    if op.kind == "at":
        return values[0][:, op.index]
    if op.kind == "stack":
        return torch.stack(values, 1)
    return values[0].new_zeros(values[0].shape[0], *op.shape)


def _place(root: nn.Module, path: str, module: nn.Module) -> None:
    *folders, name = path.split(".") if path else ["node"]
    for folder in folders:
        if folder not in root._modules:
            _add(root, path, folder, nn.Module())
        root = root.get_submodule(folder)
    _add(root, path, name, module)


def _add(root: nn.Module, path: str, name: str, module: nn.Module) -> None:
    if hasattr(root, name):
        raise ValueError(f"{path}: an item named {name!r} hides a part of nn.Module; choose another name")
    root.add_module(name, module)
