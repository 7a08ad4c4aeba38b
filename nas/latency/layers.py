"""The distinct layers of a network and of a space: what is run, with its arguments, on inputs of which shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, final

import numpy as np

from nas.build import reads
from nas.graph import Graph, Op, TooSmall, graph, several
from nas.latency.glue import Add, At, Join, Stack, Zeros
from nas.space import Architecture, Space
from nas.tree import Call, Shape

FEW = 2000
"""A space of at most so many architectures is walked whole."""
PATIENCE = 300
"""Random architectures in a row that bring no new layer, after which there are thought to be no more."""


@final
@dataclass(frozen=True)
class Layer:
    """What is run on inputs of which shapes: layers of one key take as long as each other.

    kind: the class alone; macs: of one input; elements: numbers that it reads and writes for one input, and weights.
    """

    key: str
    kind: str = field(compare=False)
    call: Call = field(compare=False)
    shape: Shape = field(compare=False)
    macs: int = field(compare=False)
    elements: int = field(compare=False)


@final
@dataclass(frozen=True, eq=False)
class Walk:
    """The distinct layers of a space, by key, and how they were found: of how many architectures, all or random."""

    layers: Mapping[str, Layer]
    by: Literal["all", "random"]
    architectures: int


def layers(space: Space, arch: Architecture) -> Counter[Layer]:
    """The layers that the network of an architecture runs in evaluation mode, and how often each."""
    return of_graph(graph(space.network(arch), space.input))


def of_graph(flat: Graph) -> Counter[Layer]:
    """The layers that a graph runs in evaluation mode, and how often each: what `nas.build.Network` does."""
    read = reads(flat)
    used = {i for n, some in enumerate(read) for i in some if not flat.ops[n].train} | set(flat.outputs)
    found: Counter[Layer] = Counter()
    for n, op in enumerate(flat.ops):
        if op.train or op.kind == "input" or (op.kind != "node" and n not in used):
            continue
        if op.kind == "sum" and len(read[n]) == 1:
            continue  # nothing is added
        found[_layer(flat, op, read[n])] += 1
    return found


def walk(space: Space, seed: int = 0) -> Walk:
    """The distinct layers of a space: of all architectures where there are few, else of random ones.

    Random ones are drawn until 300 in a row bring nothing new; a layer that was missed can still be estimated.
    """
    found: dict[str, Layer] = {}
    if space.accepts is None and space.size <= FEW:
        every = list(space)
        for arch in every:
            _take(space, arch, found)
        return Walk(found, "all", len(every))
    rng, since, drawn = np.random.default_rng(seed), 0, 0
    while since < PATIENCE:
        since = 0 if _take(space, space.sample(rng), found) else since + 1
        drawn += 1
    return Walk(found, "random", drawn)


def _take(space: Space, arch: Architecture, found: dict[str, Layer]) -> bool:
    """Whether an architecture has layers that were not found yet; they join. One without room has none."""
    try:
        new = {layer.key: layer for layer in layers(space, arch) if layer.key not in found}
    except TooSmall:
        return False
    found.update(new)
    return bool(new)


def _layer(flat: Graph, op: Op, read: tuple[int, ...]) -> Layer:
    shapes = tuple(flat.ops[i].shape for i in read)
    shape = shapes if len(shapes) > 1 else shapes[0]
    macs = weights = 0
    match op.kind:
        case "sum":
            call = Call.of(Add)
        case "concat":
            call = Call.of(Join)
        case "at":
            call = Call.of(At, op.index)
        case "stack":
            call = Call.of(Stack)
        case "zero":
            call = Call.of(Zeros, op.shape)
        case _:
            if op.node is None:
                raise ValueError(f"{op.path or 'the root'}: an operation of kind {op.kind} has no node")
            call, cost = op.node.call(op.reads), op.node.cost(op.reads)
            shape, macs, weights = op.reads, cost.macs, cost.params
    elements = weights + sum(map(prod, _each(shape))) + prod(op.shape)
    kind = _word(call.make)
    said = ", ".join([*map(_word, call.args), *(f"{k}={_word(v)}" for k, v in call.kwargs)])
    return Layer(f"{kind}({said}) {' '.join(map(_by, _each(shape)))}", kind, call, shape, macs, elements)


def _each(shape: Shape) -> Iterator[Shape]:
    yield from shape if several(shape) else (shape,)


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _word(value: Any) -> str:
    """A value as text that is the same in every process and on every machine."""
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_word, value))})"
    name = getattr(value, "__qualname__", "")
    if not name:
        return repr(value)
    return f"nn.{name}" if str(value.__module__).startswith("torch.nn") else name
