"""PPO: at ratio 1 the gradient of REINFORCE, beyond the clip none, late rewards, and what it finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.errors import UserError
from nas.problem import Problem, State, Trial
from nas.space import Space
from nas.strategies.controller import Controller, Skips
from nas.strategies.learner import Learner
from nas.strategies.policy import Policy
from nas.strategies.ppo import PPO
from nas.strategies.random import Random
from nas.testing.strategies import best_of_seeds, play, strategy_laws, table
from nas.tree import Chain, Choice, Identity, Zero

REWARDS = torch.tensor([0.9, 0.2, 0.6, 0.7], dtype=torch.float64)
BEFORE = torch.full_like(REWARDS, 0.55)


def policy_of(controller: Controller, space: Space | None = None) -> Policy:
    policy = Policy(space or table()[0], controller, seed=1)
    policy.module.double()
    return policy


def gradient(policy: Policy, loss: Tensor) -> Tensor:
    found = torch.autograd.grad(loss, list(policy.module.parameters()), retain_graph=True, allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


@pytest.mark.parametrize(
    "controller",
    [replace(Controller.nasnet(), entropy=0.0), replace(Controller.nasnet(), entropy=0.05), Controller(units=9)],
    ids=["no entropy", "entropy", "tied and bounded"],
)
def test_at_ratio_one_its_gradient_is_that_of_reinforce_with_a_baseline(controller: Controller) -> None:
    policy, rng = policy_of(controller), np.random.default_rng(2)
    drawn = [policy.sample(rng) for _ in range(4)]
    archs = [one.arch for one in drawn]
    old = torch.tensor([one.log_prob for one in drawn], dtype=torch.float64)
    plain = gradient(policy, policy.surrogate(archs, REWARDS, BEFORE).mean())
    clipped = gradient(policy, policy.surrogate(archs, REWARDS, BEFORE, old, 0.2).mean())
    assert float(plain.abs().max()) > 1e-4
    assert torch.allclose(plain, clipped, atol=1e-10)


def test_the_pull_on_skips_is_in_both() -> None:
    space = Space(
        "skips", Chain.seq(*(Choice(f"l{k}.skip", (Zero(), Identity()), ("no", "yes")) for k in range(3))), (1,)
    )
    policy = policy_of(replace(Controller.nasnet(), skips=Skips(target=0.2)), space)
    archs = list(space)[:4]
    old = policy.log_prob(archs).detach()
    one, two = (policy.surrogate(archs, REWARDS, BEFORE, given, 0.2) for given in (None, old))
    assert torch.allclose(gradient(policy, one.sum()), gradient(policy, two.sum()), atol=1e-10)


@pytest.mark.parametrize(
    ("ratio", "gain", "moves"),
    [(1.5, 0.3, False), (1.5, -0.3, True), (0.6, 0.3, True), (0.6, -0.3, False), (1.1, 0.3, True), (0.9, -0.3, True)],
)
def test_a_ratio_beyond_the_clip_is_moved_only_back(ratio: float, gain: float, moves: bool) -> None:
    policy = policy_of(replace(Controller.nasnet(), entropy=0.0))
    arch = [policy.sample(np.random.default_rng(3)).arch]
    old = policy.log_prob(arch).detach() - float(np.log(ratio))
    given, before = torch.tensor([gain], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    loss = policy.surrogate(arch, given, before, old, 0.2)
    found = gradient(policy, loss.sum())
    if moves:  # the gradient of the ratio times the gain
        assert torch.allclose(found, -ratio * gain * gradient(policy, policy.log_prob(arch).sum()), atol=1e-10)
    else:
        assert not found.any()


def test_one_pass_over_fresh_draws_is_a_step_of_reinforce() -> None:
    controller = replace(Controller.nasnet(), lr=0.01)
    one, two = policy_of(controller), policy_of(controller)
    for number in range(3):
        drawn = [one.sample(np.random.default_rng((number, k))) for k in range(4)]
        archs, rewards = [d.arch for d in drawn], REWARDS.tolist()
        one.step(archs, rewards, drawn=[d.log_prob for d in drawn], clip=0.2)
        two.step(archs, rewards)
    for a, b in zip(one.module.parameters(), two.module.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert one.baseline == pytest.approx(two.baseline)


def test_passes_go_as_far_as_the_clip_lets_them_and_count_a_reward_once() -> None:
    controller = replace(Controller.nasnet(), lr=0.01, entropy=0.0)
    moved, baselines = [], set()
    for passes, clip in ((1, 0.2), (30, 0.2), (30, 0.9)):
        policy = policy_of(controller)
        drawn = [policy.sample(np.random.default_rng((4, k))) for k in range(4)]
        archs, old = [d.arch for d in drawn], [d.log_prob for d in drawn]
        policy.step(archs, REWARDS.tolist(), drawn=old, clip=clip, passes=passes)
        ratios = (policy.log_prob(archs).detach() - torch.tensor(old)).exp()
        moved.append(float((ratios - 1).abs().mean()))
        baselines.add(policy.baseline)
    assert moved[0] < moved[1] < moved[2]
    assert len(baselines) == 1


def test_a_late_reward_is_weighed_by_how_probable_it_was_when_it_was_drawn() -> None:
    space, value = table()
    controller = replace(Controller.nasnet(), lr=0.05)
    mine = Learner(Problem(space), controller, batch=1, reward=None, seed=0, clip=0.2, passes=2)
    policy = Policy(space, controller, seed=0)
    policy.module.double()
    late = mine.ask(np.random.default_rng(0))
    first = policy.sample(np.random.default_rng(0))
    assert late.arch == first.arch
    for number in range(1, 6):
        drawn = policy.sample(np.random.default_rng(number))
        policy.step([drawn.arch], [value(drawn.arch)], drawn=[drawn.log_prob], clip=0.2, passes=2)
        asked = mine.ask(np.random.default_rng(number))
        mine.tell(Trial(number, asked, State.DONE, {"accuracy": value(asked.arch)}))
    mine.tell(Trial(9, late, State.DONE, {"accuracy": value(late.arch)}))
    policy.step([first.arch], [value(first.arch)], drawn=[first.log_prob], clip=0.2, passes=2)
    for a, b in zip(mine.policy.module.parameters(), policy.module.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-9)


def test_its_published_controller_is_nasnets() -> None:
    controller = PPO.nasnet(Problem(table()[0]))._learner.policy.controller
    assert (controller.units, controller.layers, controller.lr) == (100, 1, 3.5e-4)
    assert (controller.entropy, controller.decay) == (1e-5, 0.95)


@pytest.mark.parametrize("law", list(strategy_laws()))
def test_it_keeps_every_law(law: str) -> None:
    strategy_laws()[law](PPO)


def test_it_beats_random_in_60_asks_of_200() -> None:
    assert best_of_seeds(PPO, seeds=8) > best_of_seeds(Random, seeds=8)


def test_a_bonus_for_entropy_keeps_draws_apart() -> None:
    space, value = table()
    distinct = []
    for bonus in (0.0, 0.5):
        controller = replace(Controller.nasnet(), lr=0.01, entropy=bonus)
        run = play(lambda p, c=controller: PPO(p, controller=c), Problem(space), value, asks=160, seed=2)  # type: ignore[misc]
        distinct.append(len({t.arch for t in run[80:]}))
    assert distinct[0] < 50 < distinct[1]


@pytest.mark.parametrize("clip", [0.0, 1.0, -0.1])
def test_a_clip_that_is_none_is_refused_in_one_line(clip: float) -> None:
    with pytest.raises(UserError, match="ppo: the clip lies between 0 and 1, got"):
        PPO(Problem(table()[0]), clip=clip)
