"""A recurrent policy over the choices of a space, taught by REINFORCE (Williams 1992).

The controller of Zoph and Le 2017 (arXiv:1611.01578) and of ENAS (Pham et al. 2018, arXiv:1802.03268): an LSTM that is
fed what was picked last and gives the probabilities of the next pick, in the order in which `Space.decide` asks.
"""

from __future__ import annotations

import json
import math
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
from nas.strategies.controller import Controller
from nas.tree import Choice, Refused

WEIGHTS = 0.1
"""First weights are uniform between minus this and this, as in ENAS."""
KIND = "nas policy 1"


class Drawn(NamedTuple):
    """An architecture, the logarithm of its probability, and the sum of the entropies of its picks, in nats."""

    arch: Architecture
    log_prob: float
    entropy: float


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
        rows = _rows(list(space.choices.values()), self.controller)
        self._first = [some.start for some in rows]
        self.module = Recurrent(self.controller, list(space.choices.values()), rows)
        generator = torch.Generator().manual_seed(seed)
        for weight in self.module.parameters():
            nn.init.uniform_(weight, -WEIGHTS, WEIGHTS, generator=generator)
        # Both as in the released code: no momentum, and a large epsilon, below which steps shrink with the gradient.
        self._adam = torch.optim.Adam(
            self.module.parameters(), lr=self.controller.lr, betas=(0.0, 0.999), eps=self.controller.epsilon
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

    def surrogate(self, archs: Sequence[Architecture], rewards: Tensor, baseline: Tensor) -> Tensor:
        """What is minimised, (n,), for rewards and baselines (n,) of architectures drawn from this policy.

        Its gradient is on average that of minus the expected reward, minus `controller.entropy` times the expected
        entropy, plus the pull on the skips. ENAS adds the entropy to the reward alone (its released code,
        micro_controller.py), which leaves out how the entropy itself moves.
        """
        log_prob, entropy, pull = self._read(archs)
        weight = self.controller.entropy
        gain = rewards + weight * entropy.detach() - baseline
        loss = -log_prob * gain - weight * entropy
        return loss if self.controller.skips is None else loss + self.controller.skips.weight * pull

    def step(self, archs: Sequence[Architecture], rewards: Sequence[float]) -> None:
        """One step of Adam on the mean over architectures that were drawn since the last one, and their rewards."""
        if not archs or len(archs) != len(rewards) or not np.isfinite(rewards).all():
            raise ValueError(f"a step takes one finite reward for each architecture: {len(archs)}, got {list(rewards)}")
        bonus = self.controller.entropy * self.entropy(archs).detach()
        baselines = [self._told(reward + float(extra)) for reward, extra in zip(rewards, bonus, strict=True)]
        kind = next(self.module.parameters())
        given, before = (torch.tensor(values).to(kind) for values in (list(rewards), baselines))
        self._adam.zero_grad()
        torch.autograd.backward(self.surrogate(archs, given, before).mean())
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


@final
class Recurrent(nn.Module):
    """The LSTM, an embedding of each option, and what scores each option; an option is a row, -1 is none.

    rows: of the options of each choice. Its weights are as the memory was; whoever makes it fills them.
    """

    asked: Tensor
    """(choices, options): which rows are options of a choice."""
    limits: Tensor
    """(choices,): of the scores, infinite for none."""
    skips: Tensor
    """(choices,): the row by which a choice is a skip, 0 where it is no choice of a skip."""

    def __init__(self, controller: Controller, choices: Sequence[Choice], rows: Sequence[range]) -> None:
        super().__init__()
        units, options = controller.units, max((some.stop for some in rows), default=1)
        self.controller = controller
        with torch.device("meta"):  # torch would draw first weights from its global generator
            self.lstm = nn.LSTM(units, units, batch_first=True)
            self.embedding = nn.Embedding(options + 1, units)
            self.scores = nn.Linear(units, options)
        self.to_empty(device="cpu")
        asked = torch.tensor([[k in some for k in range(options)] for some in rows]).reshape(-1, options)
        pull = controller.skips
        skips = [some.stop - 1 if pull and pull.of(choice) else 0 for choice, some in zip(choices, rows, strict=True)]
        self.register_buffer("asked", asked.bool(), persistent=False)
        self.register_buffer("limits", torch.tensor([controller.limit(c.name) for c in choices]), persistent=False)
        self.register_buffer("skips", torch.tensor(skips), persistent=False)

    def forward(self, places: Tensor, rows: Tensor, there: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sums over the picks that are `there`, (n,): log-probability, entropy; and the mean pull on skips.

        places, rows, there: (n, picks), which choice was asked, what was picked, and whether it was at all.
        """
        before = torch.cat((torch.full_like(rows[:, :1], -1), rows[:, :-1]), 1)
        out, _ = self.lstm(self.embedding(before + 1))
        each = self._log_probs(out, places)
        log_prob = each.gather(2, rows[..., None])[..., 0]
        entropy = -(each.exp() * each.masked_fill(~self.asked[places], 0)).sum(2)
        return (log_prob * there).sum(1), (entropy * there).sum(1), self._pull(each, places, there)

    @torch.no_grad()
    def next(self, row: int, place: int, held: Any) -> tuple[Tensor, Any]:
        """The log-probabilities of all rows, (options,), for the choice at a place, after a pick; and what to hold."""
        out, held = self.lstm(self.embedding(torch.tensor([[row + 1]])), held)
        return self._log_probs(out, torch.tensor([[place]]))[0, 0], held

    def _log_probs(self, out: Tensor, places: Tensor) -> Tensor:
        """(n, picks, options); scores are limit * tanh(score / temperature), as in ENAS (Bello et al. 2017)."""
        scores, limit = self.scores(out) / self.controller.temperature, self.limits[places][..., None].to(out)
        bounded = torch.where(limit.isinf(), scores, limit.nan_to_num(posinf=0.0) * scores.tanh())
        return bounded.masked_fill(~self.asked[places], -torch.inf).log_softmax(2)

    def _pull(self, each: Tensor, places: Tensor, there: Tensor) -> Tensor:
        """The mean over an architecture's skips of the divergence of their chance from the target, (n,)."""
        row = self.skips[places]
        counts = there & (row > 0)
        if self.controller.skips is None or not bool(counts.any()):
            return each.new_zeros(len(each))
        target, half = self.controller.skips.target, torch.tensor(0.5).log().to(each)
        yes, no = (
            torch.where(counts, each.gather(2, at.clamp(min=0)[..., None])[..., 0], half) for at in (row, row - 1)
        )
        pull = yes.exp() * (yes - math.log(target)) + no.exp() * (no - math.log(1 - target))
        return (pull * counts).sum(1) / counts.sum(1).clamp(min=1)


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


def _rows(choices: Sequence[Choice], controller: Controller) -> list[range]:
    """The rows of each choice's options; choices of equal labels and limits have the same ones where they are tied."""
    given: dict[Any, range] = {}
    found, end = [], 0
    for choice in choices:
        key = (choice.labels, controller.limit(choice.name)) if controller.tied else choice.name
        found.append(given.setdefault(key, range(end, end + len(choice.options))))
        end = max(end, found[-1].stop)
    return found
