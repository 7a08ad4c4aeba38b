"""Ensemble bootstrapping: the paths of a block learn from the mean of what all of them make of other views.

Li et al. 2021, arXiv:2103.12424, section 4.1; the network with a moving average as its teacher is that of BYOL
(Grill et al. 2020, arXiv:2006.07733).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.graph import graph
from nas.space import Architecture, Space
from nas.training.blocks.lars import Lars
from nas.training.descent import descend, groups, optimiser
from nas.training.recipe import Recipe, rate
from nas.training.seeds import seeded
from nas.weights import Supernet
from nas.weights.supernet import Statistics

Pair = tuple[Tensor, Tensor]
"""Two views of the same images, or what is made of them."""


def byol(made: Tensor, target: Tensor) -> Tensor:
    """The squared distance of two directions, 2 - 2 cos, of each row: (B, F) and (B, F) to (B,) (BYOL, equation 2)."""
    return 2 - 2 * functional.cosine_similarity(made, target, dim=1)


def centre(projections: Sequence[Tensor]) -> Tensor:
    """The mean of what several paths make of the same images, each row normalised first: (B, F) each to (B, F)."""
    return torch.stack([functional.normalize(one, dim=1) for one in projections]).mean(0)


def momentum(step: int, steps: int, first: float = 0.99) -> float:
    """How much of itself the target keeps at a step: from `first` to 1 along half a cosine (BYOL, section 3.3)."""
    return 1 - (1 - first) * (math.cos(math.pi * step / steps) + 1) / 2


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two linear layers with a batch norm between them: (B, inputs) to (B, outputs)."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs)
    )


@final
class Neck(nn.Module):
    """What a block puts out, projected: (B, C, H, W) to (B, size).

    Paths that put out fewer channels than the widest first take windows down to its image, channel by channel, and then
    its channels, by weights of their own, as in the released code.
    """

    def __init__(self, shapes: Sequence[tuple[int, int, int]], hidden: int, size: int) -> None:
        super().__init__()
        widest = max(shapes)
        narrow = [shape for shape in sorted(set(shapes)) if shape[0] != widest[0]]
        self.fits = nn.ModuleDict({_name(shape): _fitted(shape, widest) for shape in narrow})
        self.project = perceptron(widest[0], hidden, size)

    def forward(self, x: Tensor) -> Tensor:
        """The projection."""
        key = _name(x.shape[1:])
        return self.project((self.fits[key](x) if key in self.fits else x).mean((2, 3)))  # type: ignore[no-any-return]  # a module's call is untyped


@final
class Branch(nn.Module):
    """A block's supernet and its neck: the online network or its target."""

    def __init__(self, block: Supernet, neck: Neck) -> None:
        super().__init__()
        self.block, self.neck = block, neck

    def forward(self, x: Tensor, arch: Architecture, statistics: Statistics | None = None) -> Tensor:
        """The projection (B, size) of what a path makes of x (B, C, H, W)."""
        return self.neck(self.block(x, arch, statistics))  # type: ignore[no-any-return]  # a module's call is untyped


@final
class Learner:
    """One block under training: its online network, which predicts the target's projections, and the target.

    single: each path learns from its own target alone, not from the mean of all of the step.
    """

    def __init__(
        self,
        space: Space,
        population: Sequence[Architecture],
        recipe: Recipe,
        *,
        hidden: int,
        size: int,
        first: float,
        single: bool,
        lars: bool,
        steps: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.space, self.recipe, self.steps, self.first, self.single = space, recipe, steps, first, single
        shapes = [graph(space.network(arch), space.input).out for arch in population]
        if odd := [shape for shape in shapes if len(shape) != 3]:
            raise ValueError(f"a block puts out images (C, H, W), not {odd[0]}")
        with seeded(seed):
            self.online = Branch(Supernet(space, seed=seed), Neck(shapes, hidden, size)).to(device)
            self.predict = perceptron(size, hidden, size).to(device)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        learns = nn.ModuleList([self.online, self.predict])
        self._weights = list(learns.parameters())
        if lars:
            parts = [{**part, "adapts": part["params"][0].ndim > 1} for part in groups(learns, recipe.weight_decay)]
            self._optimiser: torch.optim.Optimizer = Lars(parts, lr=recipe.peak, momentum=recipe.momentum)
        else:
            self._optimiser = optimiser(learns, recipe)
            if recipe.optimiser == "sgd" and recipe.momentum:  # the fused step takes no mix with and without one
                for weight in self._weights:
                    self._optimiser.state[weight]["momentum_buffer"] = torch.zeros_like(weight)

    def step(self, views: Sequence[Pair], archs: Sequence[Architecture], step: int) -> tuple[Tensor, Tensor]:
        """One step down, then one of the target; the mean loss of the paths before it, and how spread the targets are.

        views: for each path its own pair of the same images, (B, C, H, W) each. The spread is the deviation of the
        normalised projections over images, 1 where they point anywhere and 0 where all have collapsed into one.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = rate(step, self.steps, peak=self.recipe.peak, warmup=self.recipe.warmup)
        self.online.train(), self.predict.train(), self.target.train()
        self._optimiser.zero_grad(set_to_none=True)
        goals = self.goals(views, archs)
        total = goals[0][0].new_zeros(())
        for (a, b), (goal_a, goal_b), arch in zip(views, goals, archs, strict=True):
            loss = byol(self.predict(self.online(a, arch)), goal_b).mean()
            loss = loss + byol(self.predict(self.online(b, arch)), goal_a).mean()
            torch.autograd.backward(loss / len(archs))
            total += loss.detach() / len(archs)
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self._weights, self.recipe.clip, foreach=True)
        descend(self._optimiser)
        self._follow(momentum(step, self.steps, self.first))
        found = functional.normalize(goals[0][0], dim=1)
        return total, found.std(0).mean() * found.shape[1] ** 0.5

    @torch.no_grad()
    def goals(self, views: Sequence[Pair], archs: Sequence[Architecture]) -> list[Pair]:
        """What each path shall predict, of the first views and of the second ones, (B, size) each."""
        made = [(self.target(a, arch), self.target(b, arch)) for (a, b), arch in zip(views, archs, strict=True)]
        if self.single:
            return [(centre([a]), centre([b])) for a, b in made]
        return [(centre([a for a, _ in made]), centre([b for _, b in made]))] * len(made)

    @torch.no_grad()
    def _follow(self, keep: float) -> None:
        torch._foreach_lerp_(list(self.target.parameters()), [p.detach() for p in self.online.parameters()], 1 - keep)

    def state(self) -> dict[str, Any]:
        """All that the rest of its training depends on."""
        return {
            "online": self.online.state_dict(),
            "predict": self.predict.state_dict(),
            "target": self.target.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self.online.load_state_dict(state["online"])
        self.predict.load_state_dict(state["predict"])
        self.target.load_state_dict(state["target"])
        self._optimiser.load_state_dict(state["optimiser"])


def _name(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _fitted(shape: tuple[int, int, int], widest: tuple[int, int, int]) -> nn.Sequential:
    windows = (max(1, shape[1] // widest[1]), max(1, shape[2] // widest[2]))
    apart = nn.Conv2d(shape[0], shape[0], windows, windows, groups=shape[0], bias=False)
    return nn.Sequential(apart, nn.Conv2d(shape[0], widest[0], 1, bias=False), nn.BatchNorm2d(widest[0]))
