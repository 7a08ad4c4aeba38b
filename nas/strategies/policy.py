"""A recurrent policy over the choices of a space, taught by REINFORCE (Williams 1992).

The controller of Zoph and Le 2017 (arXiv:1611.01578) and of ENAS (Pham et al. 2018, arXiv:1802.03268): an LSTM that is
fed what was picked last and gives the probabilities of the next pick, in the order in which `Space.decide` asks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.errors import UserError
from nas.plan import Plan, follow, plan
from nas.space import DRAWS, Architecture, Rng, Space
from nas.strategies.controller import Controller, Drawn
from nas.strategies.recurrent import Recurrent, rows_of
from nas.tree import Choice, Refused

KIND = "nas policy 1"


class Batch(NamedTuple):
    """What a policy learns from at once: of each architecture its reward, baseline, and log-probability when drawn."""

    archs: Sequence[Architecture]
    rewards: Tensor
    baselines: Tensor
    drawn: Tensor | None


@final
class Policy:
    """A distribution over the architectures of a space that learns from rewards; larger ones are better.

    Of a space that refuses some of its trees it draws again, and then probabilities are those before the refusal.
    seed: of the first weights. Two policies that are made alike and told the same are the same.
    """

    def __init__(self, space: Space, controller: Controller | None = None, *, seed: int = 0) -> None:
        self.space, self.controller = space, controller or Controller()
        self._plan: Plan = plan(space.root)
        self._place = {name: k for k, name in enumerate(space.choices)}
        self.rows = rows_of(list(space.choices.values()), self.controller)
        self._first = [some.start for some in self.rows]
        self.module = Recurrent(self.controller, list(space.choices.values()), self.rows)
        generator, first = torch.Generator().manual_seed(seed), self.controller.weights
        for weight in self.module.parameters():
            nn.init.uniform_(weight, -first, first, generator=generator)
        betas = (self.controller.beta, 0.999)
        self._adam = torch.optim.Adam(
            self.module.parameters(), lr=self.controller.lr, betas=betas, eps=self.controller.epsilon
        )
        self._sum, self._count = 0.0, 0

    @property
    def baseline(self) -> float:
        """The moving average of the rewards so far, corrected for its start at 0; 0 before the first.

        The released code does not correct it, so that at first whatever is drawn becomes more probable.
        """
        return self._sum / (1 - self.controller.decay**self._count) if self._count else 0.0

    def sample(self, rng: Rng) -> Drawn:
        """An architecture. Raises Refused where the space refuses 1,000 in a row."""
        for _ in range(DRAWS):
            try:
                return self._drawn(rng)
            except Refused:
                continue
        raise Refused(f"the space {self.space.name!r} refused {DRAWS} draws of a policy in a row")

    def log_prob(self, archs: Sequence[Architecture]) -> Tensor:
        """The logarithms of the architectures' probabilities: (n,), with gradients."""
        return self._read(archs)[0]

    def entropy(self, archs: Sequence[Architecture]) -> Tensor:
        """The sums of the entropies of the picks along each architecture: (n,), in nats, with gradients."""
        return self._read(archs)[1]

    def surrogate(
        self,
        archs: Sequence[Architecture],
        rewards: Tensor,
        baseline: Tensor,
        drawn: Tensor | None = None,
        clip: float = 0.0,
    ) -> Tensor:
        """What is minimised, (n,), for rewards and baselines (n,) of architectures drawn from this policy.

        drawn: (n,), their log-probabilities when they were drawn. With them it is the clipped objective of PPO
        (Schulman et al. 2017, arXiv:1707.06347, equation 7), whose gradient is the same where the policy is still that.

        Its gradient is on average that of minus the expected reward, minus `controller.entropy` times the expected
        entropy, plus the pull on the skips. ENAS adds the entropy to the reward alone (its released code,
        micro_controller.py), which leaves out how the entropy itself moves.
        """
        log_prob, entropy, pull = self._read(archs)
        weight = self.controller.entropy
        gain = rewards + weight * entropy.detach() - baseline
        if drawn is None:
            loss = -log_prob * gain - weight * entropy
        else:
            ratio = (log_prob - drawn).exp()
            loss = -torch.minimum(ratio * gain, ratio.clamp(1 - clip, 1 + clip) * gain) - weight * entropy
        return loss if self.controller.skips is None else loss + self.controller.skips.weight * pull

    def step(
        self,
        archs: Sequence[Architecture],
        rewards: Sequence[float],
        *,
        drawn: Sequence[float] | None = None,
        clip: float = 0.2,
        passes: int = 1,
    ) -> None:
        """Steps of Adam, `passes` of them, on the mean over architectures that were drawn, and their rewards.

        drawn, clip: see `surrogate`; the baselines of all passes are those of the first.
        """
        batch = self.batch(archs, rewards, drawn)
        for _ in range(passes):
            self.descend([self.gradient(batch, clip)])

    def batch(
        self, archs: Sequence[Architecture], rewards: Sequence[float], drawn: Sequence[float] | None = None
    ) -> Batch:
        """What a step takes of architectures that were drawn; the baseline moves on."""
        if not archs or len(archs) != len(rewards) or not np.isfinite(rewards).all():
            raise ValueError(f"a step takes one finite reward for each architecture: {len(archs)}, got {list(rewards)}")
        weight = self.controller.entropy
        bonus = weight * self.entropy(archs).detach() if weight else torch.zeros(len(archs))
        baselines = [self._told(reward + float(extra)) for reward, extra in zip(rewards, bonus, strict=True)]
        kind = next(self.module.parameters()).dtype
        given, before = (torch.tensor(list(values), dtype=kind) for values in (rewards, baselines))
        return Batch(archs, given, before, None if drawn is None else torch.tensor(list(drawn), dtype=kind))

    def gradient(self, batch: Batch, clip: float = 0.2) -> list[Tensor]:
        """That of the mean of the surrogate, a tensor for each weight."""
        return list(torch.autograd.grad(self.surrogate(*batch, clip).mean(), list(self.module.parameters())))

    def descend(self, gradients: Sequence[Sequence[Tensor]]) -> None:
        """One step of Adam along the mean of gradients, of this policy or of copies of it."""
        for weight, *parts in zip(self.module.parameters(), *gradients, strict=True):
            weight.grad = sum(parts[1:], parts[0]) / len(parts)
        self._adam.step()

    def state(self) -> dict[str, Any]:
        """All that it has learnt, in tensors and numbers."""
        return {
            "module": self.module.state_dict(),
            "adam": self._adam.state_dict(),
            "sum": self._sum,
            "count": self._count,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state of a policy that was made alike."""
        self.module.load_state_dict(state["module"])
        self._adam.load_state_dict(state["adam"])
        self._sum, self._count = state["sum"], state["count"]

    def _told(self, reward: float) -> float:
        """The baseline of a reward: the average of those before it, so that it does not depend on what was drawn."""
        before = self.baseline if self._count else reward
        self._sum = self.controller.decay * self._sum + (1 - self.controller.decay) * reward
        self._count += 1
        return before

    def _drawn(self, rng: Rng) -> Drawn:
        row, held, log_prob, entropy = -1, None, 0.0, 0.0

        def pick(choice: Choice) -> int:
            nonlocal row, held, log_prob, entropy
            place = self._place[choice.name]
            log_probs, held = self.module.next(row, place, held)
            first = self._first[place]
            own = log_probs[first : first + len(choice.options)].double().numpy()
            chances = np.exp(own)
            k = min(int(np.searchsorted(np.cumsum(chances), rng.random() * chances.sum(), "right")), len(own) - 1)
            row, log_prob, entropy = first + k, log_prob + float(own[k]), entropy - float(chances @ own)
            return k

        return Drawn(self.space.decide(pick), log_prob, entropy)

    def _read(self, archs: Sequence[Architecture]) -> tuple[Tensor, Tensor, Tensor]:
        """For each architecture: log-probability, entropy and pull on its skips, (n,)."""
        walks = [self._walk(arch) for arch in archs]
        long = max(map(len, walks), default=0)
        if not long:
            zero = next(self.module.parameters()).new_zeros(len(archs))
            return zero, zero, zero
        padded = torch.tensor([[*walk, *[(0, self._first[0])] * (long - len(walk))] for walk in walks])
        there = torch.arange(long) < torch.tensor([len(walk) for walk in walks])[:, None]
        read: tuple[Tensor, Tensor, Tensor] = self.module(padded[..., 0], padded[..., 1], there)
        return read

    def _walk(self, arch: Architecture) -> list[tuple[int, int]]:
        """The picks of an architecture in the order of asking: which choice, and the row of its option."""
        if arch.space != self.space.name:
            raise ValueError(f"an architecture of {arch.space!r} does not belong to a policy over {self.space.name!r}")
        walk: list[tuple[int, int]] = []

        def pick(choice: Choice) -> int:
            k, place = choice.index(arch[choice.name]), self._place[choice.name]
            walk.append((place, self._first[place] + k))
            return k

        follow(self._plan, pick, {})
        return walk


def save(policy: Policy, path: Path) -> None:
    """Write what a policy has learnt to a file, whole or not at all, with its space's name and how it was made."""
    about = {"kind": KIND, "space": policy.space.name, "controller": json.dumps(asdict(policy.controller))}
    half = path.with_name(f".{path.name}")
    save_file({name: value.contiguous() for name, value in policy.module.state_dict().items()}, half, metadata=about)
    half.replace(path)


def restored(space: Space, path: Path) -> Policy:
    """The policy of a file, to draw from. UserError where the file is of another space."""
    try:
        with safe_open(path, framework="pt") as file:
            about = dict(file.metadata() or {})
            held = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # it is no mapping
    except (OSError, SafetensorError) as error:
        line = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} cannot be read: {line}", fix="give the one that its search left") from None
    if about.get("kind") != KIND or about.get("space") != space.name:
        raise UserError(f"{path} is no policy of the space {space.name}", fix="give the one that its search left")
    policy = Policy(space, Controller.of(json.loads(about["controller"])))
    own = policy.module.state_dict()
    for key in sorted(own):
        if key not in held or held[key].shape != own[key].shape:
            got = tuple(held[key].shape) if key in held else "missing"
            raise UserError(
                f"{path} is a policy of other settings of {space.name}: {key} is {got}, not {tuple(own[key].shape)}",
                fix="make the space with the settings that its search had",
            )
    policy.module.load_state_dict(held)
    return policy
