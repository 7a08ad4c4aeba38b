"""Rates the paths of a trained block by how near they come to the centre of the population (arXiv:2103.12424, 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from nas.space import Architecture
from nas.training.blocks.bootstrap import Branch, Pair, byol, centre


@torch.no_grad()
def rate(
    online: Branch,
    predict: nn.Module,
    target: Branch,
    population: Sequence[Architecture],
    seen: Sequence[Tensor],
    views: Sequence[Pair],
) -> list[float]:
    """The score of each path of a population, lower is better, in [0, 8].

    It is the loss of what the path predicts of one view to the mean of all paths' normalised target projections of the
    other, and the same with the views exchanged. Norms take their statistics anew for each path.
    seen: batches (B, C, H, W) for the statistics; views: pairs of batches that are rated.
    """
    centres = [(torch.zeros(()), torch.zeros(()))] * len(views)
    for arch in population:
        project = settled(target, arch, seen)
        made = [(centre([project(a)]), centre([project(b)])) for a, b in views]
        centres = [(c.to(a) + a, d.to(b) + b) for (c, d), (a, b) in zip(centres, made, strict=True)]
    scores = []
    for arch in population:
        project = settled(online, arch, seen)
        settle(predict, [project(x) for x in seen])
        total = sum(
            float((byol(predict(project(a)), d) + byol(predict(project(b)), c)).sum())
            for (a, b), (c, d) in zip(views, centres, strict=True)
        )
        scores.append(total / sum(len(a) for a, _ in views))
    return scores


def settled(branch: Branch, arch: Architecture, seen: Sequence[Tensor]) -> Callable[[Tensor], Tensor]:
    """What a path makes of images (B, C, H, W) with running statistics taken from `seen`: projections (B, size)."""
    statistics = branch.block.calibrated(arch, seen)
    branch.block.eval()
    settle(branch.neck, (branch.block(x, arch, statistics) for x in seen))
    return lambda x: branch(x, arch, statistics)


def settle(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Take a module's running statistics anew: over the batches, the plain mean; leaves it in evaluation mode."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    before = [norm.momentum for norm in norms]
    module.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    for x in batches:
        module(x)
    for norm, kept in zip(norms, before, strict=True):
        norm.momentum = kept
    module.eval()
