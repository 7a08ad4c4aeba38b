"""A recurrent controller taught by REINFORCE: NAS-RL (Zoph and Le 2017, arXiv:1611.01578, section 3.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from nas.problem import Problem, Proposal, Trial
from nas.space import Rng
from nas.strategies.controller import Controller
from nas.strategies.learner import Learner, Reward


@final
class Reinforce:
    """Draws from a recurrent policy that each batch of rewards makes better; a moving baseline is taken off them.

    controller: NAS-RL's, but with a rate of 0.01, as its 6e-4 is for 12,800 networks, and 200 of them would teach it
    nothing. batch: m of equation 4, how many rewards make a step. reward: of a trial's metrics, larger is better; None
    for the one objective. seed: of the first weights; what is drawn is up to `ask`'s generator alone.

    The tokens are the holes in their order. So skips are tokens as well, without the paper's attention to the layer
    that they come from (section 3.3), and layers are not added while it learns.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        controller: Controller | None = None,
        batch: int = 4,
        reward: Reward | None = None,
        seed: int = 0,
    ) -> None:
        made = controller or replace(Controller.nas_rl(), lr=0.01)
        self._learner = Learner(problem, made, batch=batch, reward=reward, seed=seed)

    @staticmethod
    def nas_rl(problem: Problem) -> Reinforce:
        """The published numbers for images: eight networks a step, their accuracy cubed as the reward (section 4.1)."""
        return Reinforce(
            problem, controller=Controller.nas_rl(), batch=8, reward=lambda metrics: problem.value(metrics)[0] ** 3
        )

    def ask(self, rng: Rng) -> Proposal | None:
        """What the policy draws; the note says how probable it was and how much was left open."""
        return self._learner.ask(rng)

    def tell(self, trial: Trial) -> None:
        """A step after each batch of rewards; of what it did not draw, and of what failed, nothing is learnt."""
        self._learner.tell(trial)
