"""First weights and learning rate by the architecture (Chen et al. 2024, arXiv:2402.17440).

The learning rate of a network of L weight layers on each of its paths falls as (sum of L^3 over all paths)^(-1/2), and
weights that feed a sum are the smaller, the more terms it has. A recipe's `lr` is then that of the smallest network of
its kind, with one hidden layer (or cells that are one skip), for which it was found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import nn

from nas.graph import Graph, Op, graph, several
from nas.training.recipe import Recipe
from nas.tree import Chain, Concat, Dag, Each, Node, Scan, Shape, Sum, Take, TrainHead

LAYERS = 3
"""Weight layers of the network with one hidden layer: the stem, it, and the readout."""
KERNEL = 3
"""The kernel for which the learning rate of a convolutional network was found."""


@final
@dataclass(frozen=True)
class Paths:
    """How many paths lead to a value, and the sums over them of L, L^2 and L^3, where L counts their weight layers."""

    count: int = 0
    sum1: int = 0
    sum2: int = 0
    sum3: int = 0

    def __add__(self, other: Paths) -> Paths:
        return Paths(self.count + other.count, self.sum1 + other.sum1, self.sum2 + other.sum2, self.sum3 + other.sum3)

    def longer(self, by: int) -> Paths:
        """The same paths with so many weight layers more on each."""
        n, s1, s2, s3 = self.count, self.sum1, self.sum2, self.sum3
        return Paths(n, s1 + by * n, s2 + 2 * by * s1 + by**2 * n, s3 + 3 * by * s2 + 3 * by**2 * s1 + by**3 * n)

    def ratio(self, base: int, added: int = 0) -> float:
        """The learning rate as a share of that of one path of `base` layers (eq. 8), `added` layers being on each path.

        Raises ValueError where there is no path at all. The sums are whole numbers of any size.
        """
        if not self.count:
            raise ValueError("no path leads from the input to the output, so there is no learning rate for it")
        return math.exp((3 * math.log(base) - math.log(max(1, self.longer(added).sum3))) / 2)


def paths(flat: Graph) -> Paths:
    """All paths of a graph from its inputs to its outputs, by a recursion over moments instead of over paths."""
    seen: list[Paths] = []
    for op in flat.ops:
        here = Paths(1) if op.kind == "input" else sum((seen[i] for i in op.inputs), Paths())
        seen.append(Paths() if op.kind == "zero" else here.longer(int(weighs(op))))
    return sum((seen[i] for i in flat.outputs), Paths())


def weighs(op: Op) -> bool:
    """Whether an operation is a weight layer: it multiplies with what it learns."""
    if op.node is None:
        return False
    cost = op.node.cost(op.reads)
    return cost.params > 0 and cost.macs > 0


def share(network: Node, shape: Shape) -> float:
    """The learning rate of a network as a share of its recipe's.

    A network of several cells: by the paths of a cell with one layer more on each, against one layer, as the authors do
    in NAS-Bench-201; the geometric mean over its cells. Any other: by the paths of the whole network, against three
    layers, and by its kernels (eq. 8 and 9). Layers are counted as they are; the released code counts one more.
    """
    found = [paths(graph(node, read)) for node, read in cells(network, shape)]
    found = [cell for cell in found if cell.count]
    if len(found) > 1:
        return math.exp(sum(math.log(cell.ratio(1, added=1)) for cell in found) / len(found))
    flat = graph(network, shape)
    return paths(flat).ratio(LAYERS) * kernels(flat)


def kernels(flat: Graph) -> float:
    """The kernel's share of the learning rate, 3 / k for convolutions of k x k; k is their geometric mean (eq. 9)."""
    sides: list[float] = []
    for op in flat.ops:
        call = op.node.call(op.reads) if op.node is not None and not op.train else None
        if call is not None and call.make is nn.Conv2d:
            kernel = call.args[2]
            sides.append(math.log(math.sqrt(math.prod(kernel)) if isinstance(kernel, tuple) else kernel))
    return KERNEL / math.exp(sum(sides) / len(sides)) if sides else 1.0


def cells(network: Node, shape: Shape) -> list[tuple[Node, Shape]]:
    """The cells of a network with what they read: its innermost Dags, or where it has none, Sums and Concats."""
    found = list(_inside(network, shape))
    return [cell for cell in found if isinstance(cell[0], Dag)] or found


def _inside(node: Node, shape: Shape) -> Iterator[tuple[Node, Shape]]:
    match node:
        case Chain():
            for item in node.items:
                yield from _inside(item, shape)
                shape = graph(item, shape).out
        case Sum() | Concat() | Dag():
            dag = isinstance(node, Dag)
            sight: Shape = (shape,) if dag and not several(shape) else shape
            inner: list[tuple[Node, Shape]] = []
            for item in node.items:
                inner += _inside(item, sight)
                sight = (*sight, graph(item, sight).out) if dag else sight
            whole = not any(isinstance(cell, Dag) for cell, _ in inner) if dag else not inner and len(node.items) > 1
            yield from [(node, shape)] if whole else inner
        case Take():
            source = node.source
            yield from _inside(
                node.node, tuple(shape[k] for k in source) if isinstance(source, tuple) else shape[source]
            )
        case Each():
            yield from _inside(node.node, shape[0])
        case Scan():
            yield from _inside(node.node, ((shape[1],), *((width,) for width in node.state)))
        case TrainHead():
            return
        case _:
            lower = node.lower(shape)
            if lower is not None:
                yield from _inside(lower, shape)


def degrees(flat: Graph) -> dict[str, int]:
    """For each weight layer by its path: how many terms the sum has that it feeds, 1 where it feeds none (eq. 4).

    What stands between them (norm, activation, pooling) does not matter; terms that no input reaches do not count. The
    released code takes the terms of the sum that a layer reads instead.
    """
    users: list[list[int]] = [[] for _ in flat.ops]
    alive: list[bool] = []
    for n, op in enumerate(flat.ops):
        alive.append(op.kind == "input" or (op.kind != "zero" and any(alive[i] for i in op.inputs)))
        for i in op.inputs if not op.train else ():
            users[i].append(n)

    def terms(n: int) -> int:
        own = (i for i in flat.ops[n].inputs if alive[i])
        return sum(terms(i) if flat.ops[i].kind == "sum" and users[i] == [n] else 1 for i in own)

    made: dict[str, int] = {}
    for n, op in enumerate(flat.ops):
        if not weighs(op):
            continue
        at, degree = n, 1
        while len(users[at]) == 1:
            at = users[at][0]
            if flat.ops[at].kind == "sum":
                degree = terms(at)
            elif flat.ops[at].kind != "node" or weighs(flat.ops[at]) or degree > 1:
                break
        made[op.path] = max(made.get(op.path, 1), degree)
    return made


def readouts(flat: Graph) -> set[str]:
    """The paths of the weight layers behind which there is no other one."""
    found: set[str] = set()
    seen: set[int] = set()
    for end in (*flat.outputs, *flat.heads):
        todo = [end]
        while todo:
            n = todo.pop()
            op = flat.ops[n]
            if n in seen or op.train != flat.ops[end].train:
                continue
            seen.add(n)
            if weighs(op):
                found.add(op.path)
            else:
                todo += op.inputs
    return found


@torch.no_grad()
def initialise(module: nn.Module, flat: Graph, generator: torch.Generator) -> None:
    """Draw the weights of a module's layers with variance 2 / (fan-in * degree) (eq. 4); biases are 0.

    Those of the readout get the square of that deviation. Layers inside of a user's own module stay as they are.
    """
    last = readouts(flat)
    for path, degree in degrees(flat).items():
        layer = module.get_submodule(path or "node")
        if not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            continue
        std = math.sqrt(2 / (layer.weight[0].numel() * degree))
        layer.weight.copy_(
            torch.empty(layer.weight.shape).normal_(0, std**2 if path in last else std, generator=generator)
        )
        if layer.bias is not None:
            layer.bias.zero_()


def aware(module: nn.Module, network: Node, shape: Shape, recipe: Recipe, *, seed: int) -> Recipe:
    """Draw a new module's weights by its architecture, and give the recipe its learning rate, if the recipe asks so."""
    if recipe.scaling != "aware":
        return recipe
    initialise(module, graph(network, shape), torch.Generator().manual_seed(seed))
    return replace(recipe, lr=recipe.peak * share(network, shape))
