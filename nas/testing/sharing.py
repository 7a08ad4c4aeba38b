"""The laws of spaces that share weights, 5 and 6, and of those that can be relaxed, 7."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from math import prod

import numpy as np
import torch
from torch import Tensor

from nas.build import Network
from nas.errors import UserError
from nas.graph import Graph, Op, graph, several
from nas.space import Architecture, Space
from nas.testing.check import check
from nas.testing.cuts import cutting
from nas.testing.widest import alone, bare, entries, growing, masked, run, scatter, sizes, widest
from nas.tree import Choice, Refused
from nas.weights import Supernet, one_hot
from nas.weights.crop import Part, tensors
from nas.weights.relaxed import unmixed

BATCH = 4
CLOSE = 1e-9
"""How far two results in float64 may lie apart, as a share of the largest number in them."""
ROUNDS = 6
"""How often weights and images are drawn again until every entry has had a gradient."""


def sharing_laws() -> Mapping[str, Callable[[Space], None]]:
    """Laws 5 to 7, by a sentence each; a space that does not share, or cannot be relaxed, keeps them by saying so."""
    return {
        "5 every network's tensors lie within the shared ones": lies,
        "6 a path is the widest network whose unused channels and outer taps are zero": nested,
        "6 a path reads nothing outside its part of the shared tensors": apart,
        "6 every entry of a path's part learns": learns,
        "6 after the same batches a path is the network alone": recalibrated,
        "7 relaxed, one-hot weights are the discrete network": relaxes,
    }


def lies(space: Space) -> None:
    """Law 5."""
    if space.shares:
        return
    supernet = Supernet(space)
    for arch in some(space, 6):
        try:
            weights = supernet.weights(arch)
        except (KeyError, ValueError) as error:
            raise AssertionError(f"{arch.to_json()} finds no weights: {error}") from error
        own = sizes(graph(space.network(arch), space.input))
        got = {key: tuple(tensor.shape) for key, tensor in weights.items()}
        check(got == own, f"{arch.to_json()} has {set(own.items()) ^ set(got.items())} once, not twice")


def nested(space: Space) -> None:
    """Law 6 without norms: a path's output against that of the widest network, cut by the law's own rule."""
    if space.shares:
        return
    supernet, draw, cuts = Supernet(space).double(), torch.Generator().manual_seed(0), cutting(space)
    grown, wanted, shared = set[str](), set[str](), dict(supernet.shared.named_parameters())
    for arch in some(space, 4):
        scatter(supernet, draw, 2**0.5)
        path, x = bare(graph(space.network(arch), space.input)), inputs(space, draw)
        own = parts(path)
        if all(part.shape == shared[key].shape for key, part in own.items()):
            continue
        names = growing(space, arch, cuts)
        flat, taken = widest(space, arch, names)
        wanted |= set(names)
        grown |= set(taken)
        wide, weights = bare(flat), {}
        for key, tensor in wide.named_parameters():
            mask = masked(shared[key], own[key].shape, own[key].axes)
            weights[key] = entries((shared[key] * mask).detach(), tensor.shape, own[key].axes)
        with torch.no_grad():
            ours, theirs = run(path, supernet.weights(arch), x), run(wide, weights, x)
        for mine, other in zip(ours, theirs, strict=True):
            check(bool(mine.isfinite().all()), f"{arch.to_json()} puts out numbers that are not finite")
            same = close(mine, other[:, : mine.shape[1]])
            check(same, f"{arch.to_json()} is not the widest network, {apart_by(mine, other)}")
    check(not wanted or bool(grown), f"no width of {sorted(wanted)} can be widened: the law has compared nothing")


def apart(space: Space) -> None:
    """Law 6: NaN in every shared entry that a path does not use changes nothing."""
    if space.shares:
        return
    supernet, draw = Supernet(space).double().eval(), torch.Generator().manual_seed(1)
    scatter(supernet, draw, 1)
    kept = {key: tensor.detach().clone() for key, tensor in supernet.shared.named_parameters()}
    for arch in some(space, 3):
        x, own = inputs(space, draw), parts(Network(graph(space.network(arch), space.input)))
        with torch.no_grad():
            before = supernet(x, arch)
            for key, tensor in supernet.shared.named_parameters():
                used = masked(tensor, own[key].shape, own[key].axes) if key in own else torch.zeros(())
                tensor.masked_fill_(used == 0, torch.nan)
            after = supernet(x, arch)
            for key, tensor in supernet.shared.named_parameters():
                tensor.copy_(kept[key])
        same = [torch.equal(a, b) for a, b in zip(each(before), each(after), strict=True)]
        check(all(same), f"{arch.to_json()} reads shared entries that are not its own")


def learns(space: Space) -> None:
    """Law 6: a gradient reaches every entry of a path's part that can matter, and no other."""
    if space.shares:
        return
    supernet, draw = Supernet(space).double(), torch.Generator().manual_seed(2)
    for arch in some(space, 3):
        flat = graph(space.network(arch), space.input)
        network = bare(flat, smooth=True)
        own = parts(network)
        shared = {key: tensor for key, tensor in supernet.shared.named_parameters() if key in own}
        dumb = {key: ~masked(t, own[key].shape, own[key].axes) for key, t in shared.items()}
        outside = {key: mask.clone() for key, mask in dumb.items()}
        for key, mask in dead(space, flat, draw).items():
            dumb[key][masked(shared[key], own[key].shape, own[key].axes)] |= mask.flatten()
        for _ in range(ROUNDS):
            scatter(supernet, draw, 0.5)
            out = run(network, supernet.weights(arch), inputs(space, draw))
            loss = sum((o * torch.randn(o.shape, generator=draw, dtype=o.dtype)).sum() for o in out)
            if not isinstance(loss, Tensor) or not loss.requires_grad:
                break
            for (key, mask), grad in zip(
                outside.items(), torch.autograd.grad(loss, list(shared.values()), allow_unused=True), strict=True
            ):
                if grad is not None:
                    check(not (grad[mask] != 0).any(), f"{key} of {arch.to_json()} learns outside of its part")
                    dumb[key] |= grad != 0
            if all(mask.all() for mask in dumb.values()):
                break
        for key, mask in dumb.items():
            check(bool(mask.all()), f"{int((~mask).sum())} entries of {key} never learn in {arch.to_json()}")


def recalibrated(space: Space) -> None:
    """Law 6 with norms: in eval mode, after both saw the same batches in train mode."""
    if space.shares:
        return
    supernet, draw = Supernet(space).double(), torch.Generator().manual_seed(3)
    scatter(supernet, draw, 1)
    for arch in some(space, 3):
        batches, x = [inputs(space, draw) for _ in range(3)], inputs(space, draw)
        network, statistics = alone(space, arch, supernet.weights(arch)), supernet.statistics(arch)
        with torch.no_grad():
            with torch.random.fork_rng(devices=()):
                torch.default_generator.manual_seed(0)
                for batch in batches:
                    supernet.train()(batch, arch, statistics)
                torch.default_generator.manual_seed(0)
                for batch in batches:
                    network.train()(*batch)
            ours, own = supernet.eval()(x, arch, statistics), network.eval()(*x)
        for a, b in zip(each(ours), each(own), strict=True):
            check(close(a, b), f"{arch.to_json()} is not the network alone, {apart_by(a, b)}")


def relaxes(space: Space) -> None:
    """Law 7."""
    if unmixed(space) or space.shares:
        return
    supernet, draw = Supernet(space).double().eval(), torch.Generator().manual_seed(4)
    scatter(supernet, draw, 1)
    for arch in some(space, 4):
        x = inputs(space, draw)
        with torch.no_grad():
            try:
                ours = supernet.relaxed(x, one_hot(space, arch))
            except UserError as error:
                raise AssertionError(f"the space says that it relaxes, but {error}") from error
            own = supernet(x, arch)
        for a, b in zip(each(ours), each(own), strict=True):
            check(close(a, b), f"{arch.to_json()} relaxed is not itself, {apart_by(a, b)}")


def some(space: Space, count: int) -> list[Architecture]:
    """The architecture of the smallest numbers, and random ones."""
    rng, found = np.random.default_rng(5), list[Architecture]()

    def least(choice: Choice) -> int:
        number = isinstance(choice.options[0], int | float)
        return min(range(len(choice.options)), key=lambda k: choice.options[k] if number else k)

    with suppress(Refused):
        found.append(space.decide(least))
    return found + [space.sample(rng) for _ in range(count - len(found))]


def inputs(space: Space, draw: torch.Generator) -> tuple[Tensor, ...]:
    """A batch for each input of a space, in float64."""
    shapes = space.input if several(space.input) else (space.input,)
    return tuple(torch.randn(BATCH, *shape, generator=draw, dtype=torch.float64) for shape in shapes)


def parts(network: Network) -> dict[str, Part]:
    """The learned tensors of a network by key, and how each is cropped."""
    return tensors(network)


def each(out: Tensor | tuple[Tensor, ...]) -> Iterator[Tensor]:
    """One output or several, one by one."""
    return iter(out if isinstance(out, tuple) else (out,))


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal but for rounding."""
    return a.shape == b.shape and bool((a - b).abs().max() <= CLOSE * a.abs().max().clamp(min=1e-30))


def apart_by(a: Tensor, b: Tensor) -> str:
    """How far two tensors lie apart, in words."""
    if a.shape != b.shape:
        return f"shapes {tuple(a.shape)} and {tuple(b.shape)}"
    return f"{float((a - b).abs().max()):.3g} apart at numbers up to {float(a.abs().max()):.3g}"


def dead(space: Space, flat: Graph, draw: torch.Generator) -> dict[str, Tensor]:
    """The entries that cannot learn in the network alone: where weights and images are all positive, nothing cancels.

    They read zeros or padding alone, or reach no output. A tensor that has none but these must stand in such a place:
    behind a zero, without a way out, or where one pixel or token is left.
    """
    network, masks = bare(flat, smooth=True), {}
    with torch.no_grad():
        for tensor in network.parameters():
            new = torch.rand(tensor.shape, generator=draw, dtype=tensor.dtype) + 0.5
            tensor.copy_(new * 0.5 / tensor[0].numel() if tensor.dim() > 1 else 0.1 * new)
    out = network(*(x.abs() for x in inputs(space, draw)))
    loss = sum((o.sum() for o in out), torch.zeros(()))
    names, own = zip(*network.named_parameters(), strict=True)
    grads = torch.autograd.grad(loss, own, allow_unused=True) if loss.requires_grad else [None] * len(own)
    live = lively(flat)
    for name, tensor, grad in zip(names, own, grads, strict=True):
        masks[name] = torch.ones(tensor.shape, dtype=torch.bool) if grad is None else grad == 0
        check(not masks[name].all() or not any(name.startswith(f"{path}.") for path in live), f"{name} does nothing")
    return masks


def lively(flat: Graph) -> set[str]:
    """The paths of layers that read more than zeros, more than one pixel or token, and reach an output."""
    fed: list[bool] = []
    for op in flat.ops:
        fed.append(op.kind == "input" or (op.kind != "zero" and any(fed[i] for i in op.inputs)))
    used = {*flat.outputs, *flat.heads}
    for n in range(len(flat.ops) - 1, -1, -1):
        if n in used and fed[n]:
            used |= set(flat.ops[n].inputs)
    return {op.path or "node" for n, op in enumerate(flat.ops) if n in used and fed[n] and _wide(op)}


def _wide(op: Op) -> bool:
    shapes = op.reads if several(op.reads) else (op.reads,)
    pixels = {prod(shape[1:] if len(shape) == 3 else shape[:-1]) for shape in shapes}
    return op.kind == "node" and (pixels != {1} or any(len(shape) == 1 for shape in shapes))
