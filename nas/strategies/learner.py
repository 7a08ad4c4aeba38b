"""A policy that draws for a problem, and learns from rewards that come late and in any order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import final

from nas.problem import DRAWS, Metrics, Problem, Proposal, Trial
from nas.space import Architecture, Rng
from nas.strategies.controller import Controller, Drawn
from nas.strategies.rated import rating
from nas.strategies.sampler import Sampler
from nas.tree import Refused

Reward = Callable[[Metrics], float]


@final
class Learner:
    """What `Reinforce` and `PPO` share: drawing, who is waited for, and a step after so many rewards.

    Only what the policy drew teaches it: the gradient holds for draws of its own, and given designs are often so much
    better than its draws that telling the baseline of them would turn it away from all it draws. What failed, or broke
    a limit, has no reward and is left out. A reward that comes late is taken by the policy as it is by then.

    clip: 0 for REINFORCE, else PPO's, with the log-probabilities at the time of drawing. The policy is in double
    precision, so that a ledger is read again alike where sums are rounded otherwise.
    """

    def __init__(
        self,
        problem: Problem,
        controller: Controller,
        *,
        batch: int,
        reward: Reward | None,
        seed: int,
        clip: float = 0.0,
        passes: int = 1,
    ) -> None:
        from nas.strategies.policy import Policy  # noqa: PLC0415  # the catalogue is listed without torch

        if reward is None and len(problem.objectives) != 1:
            raise ValueError(f"one objective is a reward, got {len(problem.objectives)}; give `reward` to join them")
        if batch < 1 or passes < 1:
            raise ValueError(f"a batch and its passes are at least 1, got {batch} and {passes}")
        self._problem, self._batch, self._reward = problem, batch, reward
        self._clip, self._passes = clip, passes
        self.policy = Policy(problem.space, controller, seed=seed)
        self.policy.module.double()
        self._sampler = Sampler(problem.space, controller, self.policy.rows)
        self._sampler.take(self.policy.module.state_dict())
        self._out: dict[Architecture, deque[Drawn]] = {}
        self._told: list[tuple[Drawn, float]] = []
        self.steps = 0

    def ask(self, rng: Rng) -> Proposal:
        """An architecture of the policy that keeps the limits; a random one where 100 draws give none.

        The note says how probable it was, how much was left open, in nats, and after how many steps.
        """
        drawn = self._drawn(rng)
        if drawn is None:
            return Proposal(self._problem.sample(rng), note={"by": "random"})
        self._out.setdefault(drawn.arch, deque()).append(drawn)
        note = {"log_prob": round(drawn.log_prob, 6), "entropy": round(drawn.entropy, 6), "step": self.steps}
        return Proposal(drawn.arch, note={"by": "policy", **note})

    def tell(self, trial: Trial) -> None:
        """A reward of what was drawn; after a batch of them the policy learns."""
        waiting = self._out.get(trial.arch)
        if waiting is None:
            return
        drawn = waiting.popleft()
        if not waiting:
            del self._out[trial.arch]
        reward = rating(self._problem, trial, self._reward)
        if reward is None:
            return
        self._told.append((drawn, reward))
        if len(self._told) == self._batch:
            self._learn()

    def _learn(self) -> None:
        archs = [drawn.arch for drawn, _ in self._told]
        before = [drawn.log_prob for drawn, _ in self._told] if self._clip else None
        rewards = [reward for _, reward in self._told]
        self.policy.step(archs, rewards, drawn=before, clip=self._clip, passes=self._passes)
        self._sampler.take(self.policy.module.state_dict())
        self._told.clear()
        self.steps += 1

    def _drawn(self, rng: Rng) -> Drawn | None:
        for _ in range(DRAWS):
            try:
                drawn = self._sampler.sample(rng)
            except Refused:
                return None
            if not self._problem.screen(drawn.arch).broken:
                return drawn
        return None
