"""Trains a smaller network on from a larger one's weights, as NetAdapt does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nas.data import subset
from nas.evaluators.scratch import WEIGHTS, Source, device_of, keep, prepared, suited
from nas.problem import Metrics, Proposal
from nas.roles import Work
from nas.space import Space
from nas.training import Recipe, fit, keep_heap
from nas.weights.crop import crop


@final
@dataclass(frozen=True)
class Shrunk:
    """Rates a proposal by training it on from its parent's weights, cut to its size, for the epochs of its budget.

    Step (b) of NetAdapt in MobileNetV3 (arXiv:1905.02244, section 4.2). Without a parent it is trained from scratch.
    rated: how many validation images rate it.
    """

    space: Space
    source: Source
    recipe: Recipe
    rated: int

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        """Take what fits, train, validate, leave the weights in the trial's folder."""
        keep_heap()
        data, device, seed = self.source.load(), device_of(), int(work.rng.integers(2**31))
        recipe = replace(self.recipe, epochs=proposal.budget or self.recipe.epochs)
        module, recipe = prepared(self.space, proposal, recipe, seed=seed)
        if work.parent is not None:
            inherit(module, load_file(work.parent / WEIGHTS))
        train, validation = self.source.sample(data.train), data.validation
        rated = subset(validation, min(self.rated, len(validation)), seed=self.source.seed)
        with suited(self.space, proposal, recipe):
            fitted = fit(
                module.to(device),
                train,
                rated,
                data.info,
                recipe,
                seed=seed,
                device=device,
                folder=work.folder,
                report=work.report,
            )
        keep(module, fitted, work.folder)
        return fitted.metrics


def inherit(module: nn.Module, larger: Mapping[str, Tensor]) -> None:
    """Give a module the leading part of each tensor of a larger one; what there is nothing for stays as it is."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if (have := larger.get(name)) is None or have.dim() != tensor.dim():
                continue
            if all(a >= b for a, b in zip(have.shape, tensor.shape, strict=True)):
                tensor.copy_(crop(have, tensor.shape))
