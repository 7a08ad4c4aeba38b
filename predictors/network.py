"""A graph network: the predictor of BRP-NAS (Dudziak et al. 2020, arXiv:2007.08668), several of them side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nas.errors import UserError
from nas.roles import Array, Prediction
from nas.space import Architecture, Space
from predictors.graphs import LARGEST, Batch, Graphs
from predictors.scales import Places, Scores, checked
from predictors.wiring import NUMBERS

ASKED, CELLS = 512, 4_000_000
"""How many architectures are predicted at a time, at most, and how many entries their edges may have."""


@final
@dataclass(frozen=True)
class Size:
    """How large graph networks are, and how they are trained.

    The released ones (1 member, 4 layers, width 600, dropout 0.2, lr 3.5e-4, weight decay 5e-4, batch 64, 250 epochs)
    take minutes where these take seconds.
    """

    members: int = 4
    layers: int = 4
    width: int = 64
    dropout: float = 0.1
    lr: float = 5e-3
    decay: float = 5e-4
    batch: int = 32
    steps: int = 500


SIZES = (
    (12, Size()),
    (32, Size(layers=3, width=48, steps=400)),
    (64, Size(members=3, layers=3, width=32, steps=400)),
    (128, Size(members=2, layers=3, width=32, steps=300)),
    (LARGEST + 1, Size(members=2, layers=3, width=32, batch=16, steps=200)),
)
"""The size for graphs of at most so many vertices: learning takes at most some ten seconds on one core."""


def sized(vertices: int) -> Size:
    """The size of networks that learn in seconds from graphs of so many vertices."""
    return next(size for most, size in SIZES if vertices <= most)


@final
class GraphNetwork:
    """Graph convolutions over the vertices of a network, read at a vertex that all others feed.

    A layer sums what comes along the edges, against them and from the vertex itself, each through weights of its own
    and divided by the number of edges, then normalises (layer norm), cuts (ReLU) and drops out. Features join at the
    readout, by their places among those learnt from; a missing one is in the middle. The mean and the standard
    deviation are those over the members, which differ in their first weights and batches.
    ranks: learn normal scores of the ranks of the values, for values with a long tail; what is said is turned back.
    Raises ValueError for fewer than 3 samples, or values that are not finite.
    """

    def __init__(
        self, space: Space, size: Size | None = None, *, ranks: bool = True, graphs: Graphs | None = None, seed: int = 0
    ) -> None:
        self._space, self._size, self._ranks, self._seed = space, size, ranks, seed
        self._graphs = graphs or Graphs(space)

    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> GraphNetwork:
        """Learn from rated architectures."""
        values = checked(archs, y, "a graph network")
        made = GraphNetwork(self._space, self._size, ranks=self._ranks, graphs=self._graphs, seed=self._seed)
        order = np.argsort([a.key for a in archs], kind="stable")  # batches are drawn by place
        made._scores = Scores(values, ranks=self._ranks)
        made._rows = Rows(self._graphs, archs, features)
        targets = torch.from_numpy(made._scores.of[order]).float()
        made._net = learnt(
            made._rows(archs, features, order), targets, self._size or sized(made._rows.most), self._seed, _apart
        )
        return made

    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """The mean of the members, and their standard deviation, never below a hundredth of the data's."""
        said = np.stack([self._scores.back(one) for one in asked(self._net, self._rows, archs, features)])
        return Prediction(said.mean(0), np.maximum(said.std(0), self._scores.floor))

    _scores: Scores
    _rows: Rows
    _net: Net


def _apart(said: Tensor, targets: Tensor) -> Tensor:
    """The mean of Huber's errors, summed over the members: (members, n) and (members, n)."""
    return F.huber_loss(said, targets, reduction="none").mean(1).sum()


@final
@dataclass(frozen=True, eq=False)
class Inputs:
    """What a network reads. vertices: (n, N, columns); ahead, back: (n, N, N), rows add up to 1; features: (n, f)."""

    vertices: Tensor
    ahead: Tensor
    back: Tensor
    features: Tensor

    def at(self, index: Tensor) -> Inputs:
        """Some of the rows."""
        return Inputs(self.vertices[index], self.ahead[index], self.back[index], self.features[index])


@final
class Rows:
    """Architectures as the inputs of a network, by the kinds and scales of those learnt from."""

    def __init__(self, graphs: Graphs, archs: Sequence[Architecture], features: Array | None) -> None:
        self._graphs, self._kinds = graphs, graphs.kinds(archs)
        self.most = max(len(graphs.of(arch).kinds) for arch in archs) + 1
        if self.most > LARGEST:
            what = f"graphs of {self.most:,} vertices are too large for a graph network"
            raise UserError(what, fix="take another predictor, such as forest")
        made = graphs(archs, self._kinds)
        there = made.numbers[made.mask > 0]
        self._centre, self._spread = there.mean(0), there.std(0)
        self._spread[self._spread < 1e-6] = 1.0
        self._places = None if features is None else Places(features)

    @property
    def columns(self) -> int:
        """How many numbers there are of a vertex."""
        return len(self._kinds) + len(NUMBERS) + 1

    def __call__(
        self, archs: Sequence[Architecture], features: Array | None, order: NDArray[np.intp] | None = None
    ) -> Inputs:
        """The inputs; order: in which the architectures are to stand."""
        at = np.arange(len(archs)) if order is None else order
        made = self._graphs([archs[int(k)] for k in at], self._kinds)
        places = np.zeros((len(at), 0))
        if features is not None and self._places is not None:
            places = 3.0 * (np.nan_to_num(self._places(np.asarray(features)[at]), nan=0.5) - 0.5)
        vertices, ahead, back = self._tensors(made)
        return Inputs(vertices, ahead, back, torch.from_numpy(places).float())

    def _tensors(self, made: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """One more vertex, the last, that all others feed."""
        n, most = made.kinds.shape
        columns = len(self._kinds)
        vertices = np.zeros((n, most + 1, self.columns), np.float32)
        hot = np.eye(columns + 1, dtype=np.float32)[made.kinds]
        vertices[:, :-1, :columns] = hot[:, :, 1:]
        vertices[:, :-1, columns:-1] = (made.numbers - self._centre) / self._spread * made.mask[:, :, None]
        vertices[:, -1, -1] = 1.0
        edges = np.zeros((n, most + 1, most + 1), np.float32)
        edges[:, :-1, :-1], edges[:, :-1, -1] = made.edges, made.mask
        into, out = edges.transpose(0, 2, 1), edges.copy()
        out[:, :, -1] = 0.0
        both = [torch.from_numpy(m / np.maximum(m.sum(2, keepdims=True), 1.0)).float() for m in (into, out)]
        return torch.from_numpy(vertices), both[0], both[1]


@final
class Net:
    """The weights of several networks, and what they say: all leading axes are (members, n)."""

    def __init__(self, columns: int, features: int, size: Size, generator: torch.Generator) -> None:
        members, width = size.members, size.width
        sizes = [columns, *[width] * size.layers]
        self.size, self.weights = size, list[Tensor]()
        for inputs, outputs in pairwise(sizes):
            bound = math.sqrt(2 / inputs)
            weight = torch.randn(members, 3 * inputs, outputs, generator=generator) * bound / math.sqrt(3)
            self.weights += [weight, torch.ones(members, 1, outputs), torch.zeros(members, 1, outputs)]
        joined = width + features
        first = torch.randn(members, joined, width, generator=generator) / math.sqrt(joined)
        self.weights += [
            first,
            torch.zeros(members, 1, width),
            torch.randn(members, width, 1, generator=generator) / width,
        ]
        for weight in self.weights:
            weight.requires_grad_()

    def __call__(self, given: Inputs, generator: torch.Generator | None = None) -> Tensor:
        """What each member says: (members, n); given: rows of (members, n, ...) or (n, ...); generator: drops out."""
        members, size = self.size.members, self.size
        each = given.vertices.dim() == 4
        x = given.vertices if each else given.vertices.expand(members, -1, -1, -1)
        for layer in range(size.layers):
            weight, scale, shift = self.weights[3 * layer : 3 * layer + 3]
            ahead, back = given.ahead @ x, given.back @ x
            whole = torch.cat([x, ahead, back], -1)
            m, n, most, columns = whole.shape
            x = torch.bmm(whole.reshape(m, n * most, columns), weight)
            x = torch.addcmul(shift, F.layer_norm(x, x.shape[-1:]), scale).relu()
            x = _dropped(x, size.dropout, generator).reshape(m, n, most, -1)
        read = x[:, :, -1]
        features = given.features if each else given.features.expand(members, -1, -1)
        first, bias, last = self.weights[-3:]
        hidden = torch.baddbmm(bias, torch.cat([read, features], -1), first).relu()
        return torch.bmm(_dropped(hidden, size.dropout, generator), last)[..., 0]


def _dropped(x: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    if generator is None or not share:
        return x
    return x * (torch.rand(x.shape, generator=generator) >= share) / (1 - share)


Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Of what is said and what is true, each (members, n)."""


def learnt(given: Inputs, targets: Tensor, size: Size, seed: int, loss: Loss, left: Tensor | None = None) -> Net:
    """Networks trained by AdamW, whose learning rate falls to 0 by half a cosine; each has batches of its own.

    left: (members, n), which rows a member never sees.
    """
    generator = torch.Generator().manual_seed(seed)
    net = Net(given.vertices.shape[-1], given.features.shape[-1], size, generator)
    adam = torch.optim.AdamW(net.weights, lr=size.lr, weight_decay=size.decay, fused=True)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, size.steps)
    count = len(targets)
    room = min(size.batch, count if left is None else count - int(left.sum(1).max()))
    for _ in range(size.steps):
        turns = torch.rand(size.members, count, generator=generator)
        at = (turns if left is None else turns + left).argsort(1)[:, :room]
        error = loss(net(given.at(at), generator), targets[at])
        for weight, slope in zip(net.weights, torch.autograd.grad(error, net.weights), strict=True):
            weight.grad = slope
        adam.step()
        falling.step()
    net.weights = [weight.detach() for weight in net.weights]
    return net


def asked(net: Net, rows: Rows, archs: Sequence[Architecture], features: Array | None) -> Array:
    """What each member says of architectures: (members, n)."""
    said, step = [], max(1, min(ASKED, CELLS // rows.most**2))
    with torch.no_grad():
        for k in range(0, len(archs), step):
            some = None if features is None else features[k : k + step]
            said.append(net(rows(archs[k : k + step], some)).double().numpy())
    return np.concatenate(said, axis=1)
