"""Scores of one network, and of many architectures of a space."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import nn

from nas.build import Network
from nas.data import Data, batches
from nas.graph import Graph, graph, signature
from nas.profile import measure
from nas.proxies.facts import Batch, Facts, Score
from nas.proxies.known import PROXIES
from nas.roles import Array, one_line
from nas.space import Architecture, Space
from nas.training import seeded
from nas.training.measure import Normal
from nas.training.speed import PLAIN
from nas.tree import Shape

BATCH = 64
"""Images of a batch, as in NAS-Bench-Suite-Zero."""


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """Scores of n architectures by k proxies: values and seconds (n, k); why: the reason of each NaN, by (row, name).

    Equal networks are scored once: `scored` says how many were; the seconds of the others are those of their equal.
    """

    names: tuple[str, ...]
    values: Array
    seconds: Array
    why: Mapping[tuple[int, str], str]
    scored: int

    def column(self, name: str) -> Array:
        """The scores of one proxy, (n,)."""
        made: Array = self.values[:, self.names.index(name)]
        return made


def score(
    module: nn.Module,
    batch: Batch | Sequence[Batch],
    names: Sequence[str],
    *,
    seed: int,
    shape: Shape = (),
    flat: Graph | None = None,
) -> dict[str, Score]:
    """What proxies say of an untrained module, which is left as it was: (value, seconds, why it is NaN) by name.

    batch: images (B, C, H, W), scaled as for training, and labels; a list of batches for what needs several, or none.
    seed: of what a proxy draws itself. shape: of one image, where there is no batch; flat: the graph that the module
    was built from, for what reads it. Raises KeyError for an unknown name, ValueError where batches are missing.
    """
    some = [batch] if isinstance(batch, tuple) and len(batch) == 2 and isinstance(batch[0], torch.Tensor) else batch
    given: Sequence[Batch] = some
    _check(names, given)
    if not shape and not given:
        raise ValueError("without a batch, the shape of an image must be given")
    size = tuple(shape or given[0][0].shape[1:])
    facts = Facts(module, given, names, seed=seed, shape=size, flat=flat)
    with torch.enable_grad():
        return facts.scores({name: PROXIES[name].of for name in names})


def scored(
    space: Space,
    archs: Sequence[Architecture],
    names: Sequence[str],
    data: Sequence[Batch] = (),
    *,
    seed: int,
    device: torch.device | str = "cpu",
    report: Callable[[int, int], None] = lambda done, networks: None,
) -> Rows:
    """What proxies say of architectures of a space, each built with fresh weights of its own seed.

    The order of the architectures changes nothing; of equal networks the one with the least key is scored for all. A
    network that cannot be built or run has NaN and a reason. report: told how many of how many networks are done. On a
    CPU one thread does it: several wait for each other longer than they work, and round in another order.
    Raises KeyError and ValueError as `score`.
    """
    _check(names, data)
    device = torch.device(device)
    given = [(images.to(device), labels.to(device)) for images, labels in data]
    equal: dict[str, list[int]] = {}
    for row in sorted(range(len(archs)), key=lambda n: archs[n].key):
        equal.setdefault(_same(space, archs[row]), []).append(row)
    values, seconds = np.full((2, len(archs), len(names)), np.nan)
    why: dict[tuple[int, str], str] = {}
    threads = torch.get_num_threads()
    for done, rows in enumerate(equal.values()):
        report(done, len(equal))
        torch.set_num_threads(1 if device.type == "cpu" else threads)
        try:
            found = _one(space, archs[rows[0]], names, given, seed, device)
        finally:
            torch.set_num_threads(threads)
        for row in rows:
            values[row], seconds[row] = zip(*((found[name].value, found[name].seconds) for name in names), strict=True)
            why |= {(row, name): found[name].why for name in names if found[name].why}
    report(len(equal), len(equal))
    return Rows(tuple(names), values, seconds, why, len(equal))


def draw(
    data: Data, count: int = 2, *, seed: int, size: int = BATCH, device: torch.device | str = "cpu"
) -> list[Batch]:
    """So many batches of different random training images, scaled as for training."""
    device, wanted = torch.device(device), count * size
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))[:wanted]
    normal = Normal(data.info, device, PLAIN)
    found = [(normal(images), labels) for images, labels in batches(data.train, size, order=order, device=device)]
    return [batch for batch in found if len(batch[1]) == size] or found[:1]


def weight_seed(arch: Architecture, seed: int) -> int:
    """The seed of an architecture's first weights, whatever else is scored."""
    text = f"{seed} {arch.to_json()}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def _check(names: Sequence[str], given: Sequence[Batch]) -> None:
    for name in names:
        if PROXIES[name].batches > len(given):
            raise ValueError(f"{name} needs {PROXIES[name].batches} batches of images, got {len(given)}")


def _one(
    space: Space, arch: Architecture, names: Sequence[str], given: Sequence[Batch], seed: int, device: torch.device
) -> dict[str, Score]:
    own = weight_seed(arch, seed)
    try:
        flat = graph(space.network(arch), space.input)
        with seeded(own):
            module = Network(flat)
        for op in flat.ops:
            if op.train and op.kind == "node":  # what only training has is no part of the network in use
                module.get_submodule(op.path).requires_grad_(False)
        return score(module.to(device), given, names, seed=own, shape=space.input, flat=flat)
    except Exception as error:  # one bad network must not end the scoring of others
        return {name: Score(float("nan"), float("nan"), one_line(error)) for name in names}


def _same(space: Space, arch: Architecture) -> str:
    """A name that equal networks share, those of other costs apart: a part that nothing reads has weights too."""
    try:
        flat = graph(space.network(arch), space.input)
        total = measure(flat).total
        return f"{signature(flat)[0]} {total.params} {total.macs}"
    except Exception:  # it is scored alone, and its reason told there
        return arch.key
