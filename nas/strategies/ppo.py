"""A recurrent controller taught by proximal policy optimisation: NASNet (Zoph et al. 2018, arXiv:1707.07012)."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from nas.errors import UserError
from nas.problem import Problem, Proposal, Trial
from nas.space import Rng
from nas.strategies.controller import Controller
from nas.strategies.learner import Learner, Reward


@final
class PPO:
    """Draws from a recurrent policy; each batch of rewards teaches it several times, as far as the clip lets it go.

    controller: NASNet's, but with a rate of 0.004, as its 3.5e-4 is for 20,000 networks. batch: rewards of a step.
    passes: steps of Adam on each batch; clip: how far from 1 the ratio of a network's probability to that when it was
    drawn may go and still be rewarded (Schulman et al. 2017, arXiv:1707.06347, equation 7). NASNet prints neither; 0.2
    is Schulman's. As the ratio is to the time of drawing, rewards may come late. reward, seed: as of `Reinforce`.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        controller: Controller | None = None,
        batch: int = 8,
        passes: int = 4,
        clip: float = 0.2,
        reward: Reward | None = None,
        seed: int = 0,
    ) -> None:
        if not 0 < clip < 1:
            raise UserError(f"ppo: the clip lies between 0 and 1, got {clip:g}", fix="the usual one is 0.2")
        made = controller or replace(Controller.nasnet(), lr=0.004)
        self._learner = Learner(problem, made, batch=batch, reward=reward, seed=seed, clip=clip, passes=passes)

    @staticmethod
    def nasnet(problem: Problem) -> PPO:
        """The published controller and rate, for some 20,000 networks (appendix A.2)."""
        return PPO(problem, controller=Controller.nasnet())

    def ask(self, rng: Rng) -> Proposal | None:
        """What the policy draws; the note says how probable it was and how much was left open."""
        return self._learner.ask(rng)

    def tell(self, trial: Trial) -> None:
        """Steps after each batch of rewards; of what it did not draw, and of what failed, nothing is learnt."""
        self._learner.tell(trial)
