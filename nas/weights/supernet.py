"""The supernet: one table of shared tensors, of which each network of a space uses a part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.build import Network
from nas.errors import UserError
from nas.graph import Graph, Op, graph
from nas.space import Architecture, Space
from nas.tree import Call
from nas.weights.crop import Part, part_of, tensors
from nas.weights.first import first_weights
from nas.weights.largest import largest
from nas.weights.partial import around
from nas.weights.parts import Kernels, SearchOnly
from nas.weights.relaxed import agree, gathered, mixes, relax, unmixed, weighing
from nas.weights.transforms import Steps, elastic, matrices, steps, turned

KEPT = 256
"""How many networks stay built; a further one lets all go."""
LAYERS = 16_384
"""How many layers stay built, with the same rule."""

Statistics: TypeAlias = dict[str, Tensor]
"""The buffers of one network by key: its running statistics above all. A pass in train mode writes into them."""


@final
@dataclass(frozen=True, eq=False)
class _Ready:
    """A network on the meta device; the parts that it takes of the shared tensors, and its buffers at first, by key.

    turns: what makes those kernels smaller that are not cropped.
    """

    network: Network
    parts: Mapping[str, Part]
    buffers: Mapping[str, Tensor]
    turns: Mapping[str, Steps]


@final
class Supernet(nn.Module):
    """The shared tensors of a space, each as large as its largest use, and what its networks make of them.

    A network's tensor is a view of the shared one of its key, so gradients reach what is shared. Running statistics
    are not shared: they are fresh for each pass, or given. Raises UserError where the space cannot share.
    seed: of the first weights; each layer's depend on the seed and its own name alone.
    affine, norm_after_pool, kernels, partial: what the networks have only while they are searched (`SearchOnly`).
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        affine: bool = True,
        norm_after_pool: bool = False,
        kernels: Kernels = "crop",
        partial: int = 1,
    ) -> None:
        super().__init__()
        if space.shares:
            raise UserError(f"the networks of {space.name!r} cannot share weights: {space.shares}")
        self.space = space
        self.seed = seed
        self.shared = nn.Module()
        self._only = SearchOnly(affine, norm_after_pool, kernels, partial)
        self._owners: dict[str, tuple[nn.Module, str]] = {}
        self._parts: dict[Call, tuple[dict[str, Part], dict[str, Tensor]]] = {}
        self._layers: dict[tuple[str, Call], nn.Module] = {}
        self._ready: dict[str, _Ready] = {}
        self._sides = elastic(space) if kernels == "transform" else {}
        with torch.random.fork_rng(devices=()):
            for path, calls in self._calls().items():
                torch.default_generator.manual_seed(_seed(f"{seed} {path}"))
                for name, tensor in first_weights({call: self._of(call)[0] for call in calls}).items():
                    self._add(f"{path}.{name}", tensor)
        for path, sides in self._sides.items():
            axes = self._owners[f"{path}.weight"][0].get_parameter("weight").dim() - 2
            for key, matrix in matrices(path, sides, axes).items():
                self._add(key, matrix)

    def forward(self, x: Any, arch: Architecture, statistics: Statistics | None = None) -> Any:
        """What the network of an architecture makes of x, (B, ...), or of a tuple of such for several inputs.

        statistics: those of `statistics(arch)`, which a pass in train mode writes into; fresh ones if None.
        """
        return self._run(self._network(arch), x, statistics, {})

    def weights(self, arch: Architecture) -> dict[str, Tensor]:
        """The tensors of an architecture by the keys of its module: views of the shared ones."""
        return self._taken(self._network(arch))

    def given(self, x: Any, arch: Architecture, weights: Mapping[str, Tensor]) -> Any:
        """What the network of an architecture makes of x with these weights, by the keys of `weights(arch)`."""
        ready = self._network(arch)
        ready.network.train(self.training)
        held = {**weights, **self._fresh(ready)}
        return functional_call(ready.network, held, x if isinstance(x, tuple) else (x,))

    @torch.no_grad()
    def calibrated(self, arch: Architecture, batches: Iterable[Any]) -> Statistics:
        """The running statistics of an architecture: over the batches, each (B, ...), the plain mean, from nothing.

        Its norms alone are in train mode, so nothing is drawn at random.
        """
        ready = self._network(arch)
        statistics = self._fresh(ready)
        norms = [part for part in ready.network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        given = {**self._taken(ready), **statistics}
        ready.network.eval()
        before = [norm.momentum for norm in norms]
        try:
            for norm in norms:
                norm.momentum = None
                norm.train()
            for x in batches if norms else ():
                functional_call(ready.network, given, x if isinstance(x, tuple) else (x,))
        finally:
            for norm, momentum in zip(norms, before, strict=True):
                norm.momentum = momentum
        return statistics

    @property
    def parts(self) -> dict[str, Any]:
        """What it was given beside the space and the seed, as plain values."""
        return asdict(self._only)

    def statistics(self, arch: Architecture) -> Statistics:
        """Fresh buffers for an architecture by the keys of its module: the running statistics of no batch."""
        return self._fresh(self._network(arch))

    def relaxed(self, x: Any, mix: Mapping[str, Tensor], statistics: Statistics | None = None) -> Any:
        """What all options together make of x, each weighed.

        mix: for each choice a number for each option, (options,); for a choice of sets one for each item, (items,), as
        `mixes(space)` counts them. Raises UserError where the space cannot be relaxed.
        """
        ready, wanted = self._open
        agree(mix, self._counts)
        return self._run(ready, x, statistics, gathered(mix, wanted, next(self.parameters())))

    def mixed_statistics(self) -> Statistics:
        """Fresh buffers for the relaxed network, as `statistics` gives them for one architecture."""
        return self._fresh(self._open[0])

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name != "_open"}
        return {**kept, "_ready": {}, "_layers": {}}  # what can be built again stays behind

    def _run(self, ready: _Ready, x: Any, statistics: Statistics | None, more: Mapping[str, Tensor]) -> Any:
        if statistics is None:
            statistics = self._fresh(ready)
        elif statistics.keys() != ready.buffers.keys():
            raise ValueError(f"the statistics are of another network: {set(statistics) ^ set(ready.buffers)}")
        given = {**self._taken(ready), **statistics, **more}
        ready.network.train(self.training)
        return functional_call(ready.network, given, x if isinstance(x, tuple) else (x,))

    def _taken(self, ready: _Ready) -> dict[str, Tensor]:
        made = {}
        for key, part in ready.parts.items():
            try:
                made[key] = part_of(getattr(*self._owners[key]), part)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from error
        for key, some in ready.turns.items():
            made[key] = turned(made[key], some, {name: getattr(*self._owners[name]) for _, name in some})
        return made

    def _fresh(self, ready: _Ready) -> Statistics:
        like = next(self.parameters(), torch.empty(0))
        floats = {"device": like.device, "dtype": like.dtype}
        pairs = ready.buffers.items()
        return {k: b.to(**(floats if b.is_floating_point() else {"device": like.device}), copy=True) for k, b in pairs}

    def _network(self, arch: Architecture) -> _Ready:
        if self._only.partial > 1:
            raise UserError(
                "a supernet of partial channels has relaxed networks alone", fix="give partial=1 for single networks"
            )
        if arch.key not in self._ready:
            if len(self._ready) >= KEPT:
                self._ready.clear()
            self._ready[arch.key] = self._built(graph(self.space.network(arch), self.space.input))
        return self._ready[arch.key]

    @cached_property
    def _counts(self) -> dict[str, int]:
        return mixes(self.space)

    @cached_property
    def _open(self) -> tuple[_Ready, dict[str, Any]]:
        flat = self._relaxed()
        wanted = weighing(flat)
        ready = self._built(flat)
        return replace(ready, buffers={k: b for k, b in ready.buffers.items() if k not in wanted}), wanted

    def _relaxed(self) -> Graph:
        reason, share = unmixed(self.space), self._only.partial
        try:
            if not reason:
                return graph(relax(self.space.root, around(share) if share > 1 else None), self.space.input)
        except ValueError as error:
            reason = str(error)
        raise UserError(f"the space {self.space.name!r} cannot be relaxed: {reason}")

    def _calls(self) -> dict[str, tuple[Call, ...]]:
        """What is called at each path, at its largest: of partial channels there is the relaxed network alone."""
        if self._only.partial == 1:
            found = largest(self.space.root, self.space.input)
        else:
            ops = (op for op in self._relaxed().ops if op.node is not None)
            found = {op.path or "node": (op.node.call(op.reads),) for op in ops if op.node is not None}
        return {path: tuple(map(self._only.learned, calls)) for path, calls in found.items()}

    def _built(self, flat: Graph) -> _Ready:
        if len(self._layers) >= LAYERS:
            self._layers.clear()
        layers: dict[str, Call] = {}

        def make(op: Op) -> nn.Module:
            call = self._only.call(op.node.call(op.reads), op.reads)  # type: ignore[union-attr]  # it is of a node
            layers[op.path or "node"] = call
            if (op.path, call) not in self._layers:
                with torch.device("meta"):
                    self._layers[op.path, call] = call()
            return self._layers[op.path, call]

        network = Network(flat, make)
        parts, buffers = dict[str, Part](), dict[str, Tensor]()
        for path, call in layers.items():
            own, first = self._of(call)
            parts |= {f"{path}.{name}": part for name, part in own.items()}
            buffers |= {f"{path}.{name}": buffer for name, buffer in first.items()}
        if missing := [key for key in parts if key not in self._owners]:
            raise KeyError(f"{missing[0]!r} of a network of {self.space.name!r} is no shared tensor: the space's law 5")
        turns = {}
        for path, sides in self._sides.items():
            if (part := parts.get(f"{path}.weight")) and part.shape[-1] < sides[0]:
                turns[f"{path}.weight"] = steps(path, sides, part.shape[-1])
                whole = (*part.shape[:2], *[sides[0]] * (len(part.shape) - 2))
                parts[f"{path}.weight"] = replace(part, shape=whole)
        return _Ready(network, parts, buffers, turns)

    def _of(self, call: Call) -> tuple[dict[str, Part], dict[str, Tensor]]:
        """The learned tensors of what a call makes, and its buffers as they are at first."""
        if call not in self._parts:
            with torch.device("meta"):
                module = call()
            own = tensors(module)
            if any(True for _ in module.buffers()):
                with torch.random.fork_rng(devices=()):
                    module = call()
            self._parts[call] = own, {name: buffer.detach() for name, buffer in module.named_buffers()}
        return self._parts[call]

    def _add(self, key: str, tensor: nn.Parameter) -> None:
        *folders, name = key.split(".")
        owner = self.shared
        for folder in folders:
            if folder not in owner._modules:
                owner.add_module(folder, nn.Module())
            owner = owner.get_submodule(folder)
        owner.register_parameter(name, tensor)
        self._owners[key] = owner, name


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big")
