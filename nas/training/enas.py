"""Shared weights and the policy that samples from them, in turn: ENAS (Pham et al. 2018, arXiv:1802.03268, section 2).

Settings that the paper does not print were read in melodyguan/enas: src/cifar10 and scripts/cifar10_micro_search.sh.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from nas.data import Data, Info, Part, batches, on_device
from nas.data.part import Picked
from nas.data.split import hold_out
from nas.errors import INFEASIBLE, UserError
from nas.files import write_text
from nas.problem import DRAWS, Problem
from nas.space import Architecture, Rng, Space
from nas.strategies.controller import Controller
from nas.strategies.policy import Policy, save
from nas.training.carry import Session
from nas.training.recipe import Recipe
from nas.training.rules import Moment, Pass, Step
from nas.training.sharing import Sharing
from nas.weights import Supernet

POLICY, FOUND = "policy.safetensors", "found.json"
LOWEST = 100
"""The lowest rate of a period is this part of the highest: 0.0005 of 0.05."""
REWARDS, PROPOSALS, OTHERS = 0x454E4153, 0x454E4154, 0x454E4155
"""Mark the random numbers of the policy's turns apart from those of the weights' turns."""


@final
@dataclass(frozen=True)
class Enas:
    """Each epoch the weights learn along architectures of the policy, then the policy learns from their accuracy.

    steps, samples: of the policy after each epoch, and architectures in each. images: of each reward; batches of their
    own statistics, as in the paper. held: the share of the training images that rewards are taken from, on which no
    weights are trained; the validation images stay unseen. restarts: epochs of the first of the cosine periods, each
    twice as long as the one before; the recipe's own rate where it has no more epochs than that, or for 0.
    proposals: architectures drawn at the end, each rated on all held images, and as many random ones beside them.
    parts: what `Supernet` is given beside the space and the seed.
    """

    controller: Controller = Controller()
    steps: int = 30
    samples: int = 10
    images: int = 128
    held: float = 0.1
    restarts: int = 10
    proposals: int = 10
    parts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        least = {"steps": 0, "samples": 1, "images": 2, "restarts": 0, "proposals": 1}
        if small := [name for name, low in least.items() if getattr(self, name) < low]:
            name = small[0]
            raise UserError(f"enas: {name} must be at least {least[name]}, got {getattr(self, name)}", fix="give more")
        if not 0 < self.held < 1:
            raise UserError(
                f"enas: held is a share of the images between 0 and 1, got {self.held:g}", fix="the paper's is 0.1"
            )

    def begin(
        self, problem: Problem, data: Data, train: Part, recipe: Recipe, *, seed: int, device: torch.device
    ) -> Session:
        """A new supernet and a new policy. Raises UserError where too few images are left for one of the two."""
        kept, held = hold_out(train.labels.cpu(), round(self.held * len(train)), seed=seed, salt="enas")
        if len(held) < self.images or not len(kept):
            raise UserError(
                f"{self.held:g} of {len(train)} training images are {len(held)}, a reward takes {self.images}",
                fix="train on more images, hold a larger share, or take fewer for a reward",
            )
        supernet = Supernet(problem.space, seed=seed, **self.parts)
        policy = Policy(problem.space, self.controller, seed=seed)
        parts = Picked(train, kept), Picked(train, held)
        return Turns(self, supernet, policy, problem, parts, data.info, recipe, seed=seed, device=device)


@final
@dataclass(frozen=True)
class FromPolicy:
    """The path rule of the weights' turns: one architecture of the policy a step, as the policy is by then."""

    method: Enas
    policy: Policy = field(repr=False)

    def __call__(self, problem: Problem, at: Moment, rng: Rng) -> Step:
        """One pass."""
        first = self.method.restarts
        if not first or at.steps <= first * at.each:
            return Step((Pass(sampled(self.policy, problem, rng)),))
        rate = restarted(at.step // at.each, first=first, peak=at.recipe.peak)
        return Step((Pass(sampled(self.policy, problem, rng)),), rate)


@final
class Turns:
    """A supernet and a policy under training; an epoch is a turn of each."""

    def __init__(
        self,
        method: Enas,
        supernet: Supernet,
        policy: Policy,
        problem: Problem,
        parts: tuple[Part, Part],
        info: Info,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.method, self.policy, self.problem, self.seed, self.device = method, policy, problem, seed, device
        rule = FromPolicy(method, policy)
        self.sharing = Sharing(supernet, rule, problem, parts[0], info, recipe, seed=seed, device=device)
        self.held = on_device(parts[1], device)
        self.epoch, self.epochs, self.metrics = 0, recipe.epochs, dict[str, float]()
        self.fingerprint = self.sharing.fingerprint

    def run_epoch(self) -> None:
        """The weights' turn, then the policy's. Raises Diverged."""
        self.sharing.run_epoch()
        rewards, entropies, names = list[float](), list[float](), set[str]()
        for step in range(self.method.steps):
            archs, got = [], []
            for k in range(self.method.samples):
                count = step * self.method.samples + k
                rng = np.random.default_rng((self.seed, self.epoch, count, REWARDS))
                archs.append(sampled(self.policy, self.problem, rng))
                some = rng.choice(len(self.held), self.method.images, replace=False)
                got.append(self._accuracy(archs[-1], torch.from_numpy(some)))
            entropies += self.policy.entropy(archs).tolist()
            self.policy.step(archs, got)
            rewards += got
            names.update(arch.key for arch in archs)
        self.epoch += 1
        self.metrics = dict(self.sharing.metrics)
        if rewards:
            self.metrics |= {
                "reward": float(np.mean(rewards)),
                "baseline": self.policy.baseline,
                "entropy": float(np.mean(entropies)),
                "distinct": len(names) / len(rewards),
            }

    @torch.no_grad()
    def _accuracy(self, arch: Architecture, places: Tensor) -> float:
        """The accuracy on held images, in batches with their own statistics: the network is in train mode, as there."""
        sharing, right = self.sharing, torch.zeros((), device=self.device)
        sharing.supernet.train()
        for pixels, labels in batches(self.held, self.method.images, order=places, device=self.device):
            with sharing.speed.autocast(self.device):
                made = sharing.supernet(sharing.stream.normal(pixels), arch)
            logits = made[0] if isinstance(made, tuple) else made
            right += (logits.argmax(1) == labels).sum()
        return float(right) / len(places)

    def _rated(self, archs: Iterable[Architecture]) -> list[dict[str, Any]]:
        """Architectures with their accuracy on all held images, but those short of a batch; best first."""
        every = torch.arange(len(self.held) // self.method.images * self.method.images)
        space = self.problem.space
        made = [{"arch": a.to_json(), "spelling": space.spell(a), "reward": self._accuracy(a, every)} for a in archs]
        return sorted(made, key=lambda one: -float(str(one["reward"])))

    def state(self) -> dict[str, Any]:
        """The weights' training and the policy."""
        return {
            "epoch": self.epoch,
            "metrics": self.metrics,
            "sharing": self.sharing.state(),
            "policy": self.policy.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.epoch, self.metrics = state["epoch"], state["metrics"]
        self.sharing.load(state["sharing"])
        self.policy.load(state["policy"])

    def leave(self, folder: Path) -> None:
        """The supernet, the policy, and what it proposes beside as many random architectures, rated alike."""
        self.sharing.leave(folder)
        save(self.policy, folder / POLICY)
        draws = {
            "policy": (PROPOSALS, lambda rng: sampled(self.policy, self.problem, rng)),
            "random": (OTHERS, self.problem.sample),
        }
        left: dict[str, Any] = {"space": self.problem.space.name, "controller": asdict(self.method.controller)}
        for name, (mark, draw) in draws.items():
            rng = np.random.default_rng((self.seed, self.epoch, 0, mark))
            left[name] = self._rated(_different(draw, self.method.proposals, rng))
        write_text(folder / FOUND, json.dumps(left, indent=1))


def found(folder: Path, space: Space, by: str = "policy") -> list[tuple[Architecture, float]]:
    """What a training proposed, with its rewards, best first; by: "policy", or "random" for its measure."""
    made = json.loads((folder / FOUND).read_text(encoding="utf-8"))
    return [(space.parse(one["arch"]), float(one["reward"])) for one in made[by]]


def restarted(epoch: int, *, first: int, peak: float, times: int = 2) -> float:
    """The rate of an epoch (from 0) by cosines from `peak` to a hundredth of it, each `times` as long as the last.

    Loshchilov and Hutter 2017, equation 5, by whole epochs as in the released code.
    """
    start, period = 0, first
    while epoch >= start + period:
        start, period = start + period, period * times
    low = peak / LOWEST
    return low + 0.5 * (peak - low) * (1 + math.cos(math.pi * (epoch - start) / period))


def sampled(policy: Policy, problem: Problem, rng: Rng) -> Architecture:
    """An architecture of the policy that keeps the problem's limits; UserError where none of 100 does."""
    for _ in range(DRAWS):
        arch = policy.sample(rng).arch
        if not problem.screen(arch).broken:
            return arch
    raise UserError(
        f"none of {DRAWS} architectures of the policy keeps the limits: {problem.screen(arch).broken}",
        fix="allow more",
        code=INFEASIBLE,
    )


def _different(draw: Callable[[Rng], Architecture], count: int, rng: Rng) -> Sequence[Architecture]:
    """So many different architectures; fewer where 50 times as many draws hold no more."""
    made: dict[str, Architecture] = {}
    for _ in range(50 * count):
        arch = draw(rng)
        made.setdefault(arch.key, arch)
        if len(made) == count:
            break
    return list(made.values())
