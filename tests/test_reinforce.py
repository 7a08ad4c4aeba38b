"""REINFORCE: its gradient against the exact one, its draws against torch's, who teaches it, and what it finds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from nas.errors import UserError
from nas.problem import Problem, Proposal, State, Trial, at_most, maximise, minimise
from nas.space import Architecture, Space
from nas.strategies.controller import Controller, Skips
from nas.strategies.learner import Learner
from nas.strategies.policy import Policy
from nas.strategies.random import Random
from nas.strategies.reinforce import Reinforce
from nas.strategies.sampler import Sampler
from nas.testing.strategies import best_of_seeds, play, strategy_laws, table
from nas.tree import Chain, Choice, Identity, Zero
from search_spaces import enas, nasbench201
from search_spaces.conv_chain import conv_chain

TABLES = Path(__file__).parents[2] / "shared" / "benchmarks"
"""A folder with published tables: nb201/accuracy.parquet."""
tables = pytest.mark.skipif(not TABLES.is_dir(), reason="the published tables are not in ../shared/benchmarks")
ONE = Controller.nas_rl()


def token(options: int = 3) -> Space:
    """A space of one hole."""
    return Space("token", Chain.seq(Choice.over("a", **{f"o{k}": Identity() for k in range(options)})), (1,))


def nested() -> Space:
    """A choice of which one option opens another."""
    inner = Choice.over("b", x=Identity(), y=Zero(), z=Identity())
    first = Choice.over("a", plain=Identity(), more=Chain.seq(inner))
    return Space("nested", Chain.seq(first, Choice.over("c", x=Identity(), y=Zero())), (1,))


def learner(problem: Problem, controller: Controller = ONE, *, batch: int = 1, clip: float = 0.0) -> Learner:
    return Learner(problem, controller, batch=batch, reward=None, seed=0, clip=clip)


def told(number: int, proposal: Proposal, value: float | None = 0.5, state: State = State.DONE) -> Trial:
    return Trial(number, proposal, state, {} if value is None else {"accuracy": value})


def weights(policy: Policy) -> list[float]:
    return [float(w) for p in policy.module.parameters() for w in p.detach().flatten()]


def test_the_published_controller_has_two_layers_of_35_units() -> None:
    module = Policy(token(), ONE).module
    assert [tuple(w.shape) for name, w in module.lstm.named_parameters() if "weight_hh" in name] == [(140, 35)] * 2
    largest = max(float(p.detach().abs().max()) for p in module.parameters())
    assert 0.079 < largest <= 0.08
    assert (ONE.lr, ONE.entropy, ONE.bound) == (6e-4, 0.0, 0.0)


def test_the_paper_s_space_of_six_layers_with_fixed_strides_has_2_to_the_51_members() -> None:
    space = conv_chain(layers=6)
    assert space.size == 64**6 * 2**15 == 2**51 == 2_251_799_813_685_248
    assert conv_chain(layers=1, strides=(1, 2, 3)).size == 576


def test_the_mean_of_100000_sampled_gradients_is_the_exact_one_and_a_moving_baseline_narrows_them() -> None:
    rewards, count = np.array([0.6, 0.9, 0.8]), 100_000
    policy = Policy(token(), replace(ONE, decay=0.95), seed=1)
    policy.module.double()
    archs, weight = list(policy.space), policy.module.scores.bias
    chances = policy.log_prob(archs).exp().detach().numpy()
    rows = [torch.autograd.grad(one, weight, retain_graph=True)[0].numpy() for one in policy.log_prob(archs)]
    exact = chances @ (rewards[:, None] * np.array(rows))
    drawn = np.random.default_rng(2).choice(3, count, p=chances / chances.sum())
    baselines = np.array([policy._told(float(rewards[k])) for k in drawn])
    spread = {}
    for name, taken in (("none", np.zeros(count)), ("moving", baselines)):
        gains = torch.tensor(rewards[drawn] - taken)
        sums = torch.stack([gains[torch.tensor(drawn == k)].sum() for k in range(3)])
        loss = policy.surrogate(archs, sums, torch.zeros(3, dtype=torch.float64)).sum() / count
        mean = -torch.autograd.grad(loss, weight)[0].numpy()
        each = gains[:, None].numpy() * np.array(rows)[drawn]
        assert mean == pytest.approx(each.mean(0), abs=1e-12)  # the loss of the policy is that of equation 4
        spread[name] = float(each.var(0).sum())
        assert np.linalg.norm(mean - exact) < 0.01 * np.linalg.norm(exact) * (10 if name == "none" else 1), name
        assert np.linalg.norm(mean - exact) < 4 * math.sqrt(spread[name] / count), name
    assert spread["moving"] < spread["none"] / 20


def test_a_baseline_does_not_know_the_reward_that_it_is_taken_off() -> None:
    policies = [Policy(token(), replace(ONE, decay=0.9)) for _ in range(2)]
    for policy, last in zip(policies, (0.1, 0.9), strict=True):
        befores = [policy._told(reward) for reward in (0.5, 0.7, last)]
        assert befores[2] == pytest.approx((0.9 * 0.5 + 0.7) / 1.9)
    assert policies[0].baseline < policies[1].baseline


@pytest.mark.parametrize(
    ("space", "controller"),
    [
        (nested(), ONE),
        (nested(), Controller(units=7, temperature=2.0, layers=3)),
        (enas((1, 8, 8), 3, 1, 4, blocks=2, output="all"), Controller(units=9)),
        (table()[0], Controller.nasnet()),
    ],
    ids=["nas_rl", "three layers", "tied and bounded", "nasnet"],
)
def test_draws_without_torch_are_torch_s(space: Space, controller: Controller) -> None:
    for double in (True, False):
        policy = Policy(space, replace(controller, lr=0.05), seed=3)
        policy.module.double() if double else None
        sampler, rng = Sampler(space, policy.controller, policy.rows), np.random.default_rng(4)
        for _ in range(3):
            sampler.take(policy.module.state_dict())
            mine, same = (np.random.default_rng(5) for _ in range(2))
            drawn = [sampler.sample(mine) for _ in range(8)]
            archs = [one.arch for one in drawn]
            close = {"rel": 1e-12} if double else {"rel": 1e-6}
            assert policy.log_prob(archs).tolist() == pytest.approx([one.log_prob for one in drawn], **close)
            assert policy.entropy(archs).tolist() == pytest.approx([one.entropy for one in drawn], **close)
            if double:
                assert archs == [policy.sample(same).arch for _ in range(8)]
            policy.step(archs, rng.random(8).tolist())


def test_one_reward_a_step_is_the_policy_taught_in_turn() -> None:
    space, value = table()
    problem = Problem(space)
    mine, policy = learner(problem), Policy(space, ONE, seed=0)
    policy.module.double()
    for number in range(1, 21):
        proposal = mine.ask(np.random.default_rng((1, number)))
        assert proposal.arch == policy.sample(np.random.default_rng((1, number))).arch
        mine.tell(told(number, proposal, value(proposal.arch)))
        policy.step([proposal.arch], [value(proposal.arch)])
    assert weights(mine.policy) == weights(policy)
    assert mine.steps == 20


def test_rewards_that_come_late_and_turned_round_teach_as_one_batch() -> None:
    space, value = table()
    mine = learner(Problem(space), batch=4)
    asked = [mine.ask(np.random.default_rng((2, k))) for k in range(4)]
    first = weights(mine.policy)
    for number, proposal in reversed(list(enumerate(asked))):
        assert weights(mine.policy) == first  # it waits for the whole batch
        mine.tell(told(number, proposal, value(proposal.arch)))
    policy = Policy(space, ONE, seed=0)
    policy.module.double()
    archs = [proposal.arch for proposal in reversed(asked)]
    policy.step(archs, [value(arch) for arch in archs])
    assert weights(mine.policy) == weights(policy) != first


def test_what_failed_or_broke_a_limit_or_was_not_drawn_teaches_nothing() -> None:
    space, _ = table()
    mine = learner(Problem(space, constraints=(at_most("latency_s", 1.0),)))
    first = weights(mine.policy)
    for number, state in enumerate([State.FAILED, State.INFEASIBLE, State.LOST]):
        mine.tell(told(number, mine.ask(np.random.default_rng(number)), None, state))
    slow = mine.ask(np.random.default_rng(7))
    mine.tell(Trial(7, slow, State.DONE, {"accuracy": 0.9, "latency_s": 2.0}))
    mine.tell(told(8, mine.ask(np.random.default_rng(8)), math.nan))
    for _ in range(3):
        mine.tell(told(9, Proposal(space.sample(np.random.default_rng(9))), 0.9))  # of a ledger of another strategy
    assert weights(mine.policy) == first
    assert mine.policy.baseline == 0
    drawn = mine.ask(np.random.default_rng(10))
    mine.tell(told(10, drawn, 0.5, State.REPEAT))  # a repeat that was drawn teaches, once
    after = weights(mine.policy)
    mine.tell(told(10, drawn, 0.5, State.REPEAT))
    assert mine.policy.baseline == pytest.approx(0.5)
    assert weights(mine.policy) == after


def test_a_reward_of_its_own_takes_the_place_of_the_objective() -> None:
    space, value = table()
    problem = Problem(space, (minimise("loss"),))
    two = Problem(space, (maximise("accuracy"), minimise("loss")))
    strategies = (Reinforce(problem), Reinforce(two, reward=lambda metrics: -metrics["loss"]))
    for number in range(1, 13):
        asked = [s.ask(np.random.default_rng(number)) for s in strategies]
        assert asked[0].arch == asked[1].arch
        for strategy in strategies:
            loss = value(asked[0].arch)
            strategy.tell(Trial(number, asked[0], State.DONE, {"loss": loss, "accuracy": 0.5 * loss}))
    with pytest.raises(ValueError, match="one objective is a reward, got 2; give `reward` to join them"):
        Reinforce(two)


def test_accuracy_cubed_is_the_paper_s_reward() -> None:
    space, _ = table()
    strategy = Reinforce.nas_rl(Problem(space))
    for number in range(1, 9):
        strategy.tell(told(number, strategy.ask(np.random.default_rng(number)), 0.5))
    assert strategy._learner.policy.baseline == pytest.approx(0.125)
    assert strategy._learner.steps == 1  # eight to a step


def test_every_draw_keeps_the_limits_and_where_none_does_a_random_member_stands_in() -> None:
    space = nasbench201((1, 8, 8), 3, cells=1, channels=4)
    sizes = sorted(Problem(space).screen(space.sample(np.random.default_rng(k))).metrics["params"] for k in range(40))
    problem = Problem(space, constraints=(at_most("params", sizes[10]),))
    strategy = Reinforce(problem)
    asked = [strategy.ask(np.random.default_rng(k)) for k in range(20)]
    assert all(not problem.screen(p.arch).broken for p in asked)
    assert all(p.note["by"] == "policy" for p in asked)
    tight = Problem(space, constraints=(at_most("params", problem.smallest("params")[1]),))
    alone = Reinforce(tight).ask(np.random.default_rng(0))
    assert not tight.screen(alone.arch).broken


@pytest.mark.parametrize("law", list(strategy_laws()))
def test_it_keeps_every_law(law: str) -> None:
    strategy_laws()[law](Reinforce)


def test_it_beats_random_in_60_asks_of_200() -> None:
    assert best_of_seeds(Reinforce, seeds=10) > best_of_seeds(Random, seeds=10)


def test_what_is_left_open_shrinks_and_draws_repeat() -> None:
    space, value = table()
    fast = play(lambda p: Reinforce(p, controller=replace(ONE, lr=0.05)), Problem(space), value, asks=150, seed=1)
    slow = play(lambda p: Reinforce(p, controller=ONE), Problem(space), value, asks=150, seed=1)
    left = [[float(t.proposal.note["entropy"]) for t in run] for run in (fast, slow)]
    assert left[0][0] == pytest.approx(math.log(200), abs=0.02)
    assert left[0][-1] < 0.3 < 0.9 * math.log(200) < left[1][-1]
    distinct = [len({t.arch for t in run}) for run in (fast, slow)]
    assert distinct[0] < 70 < distinct[1]
    assert [t.proposal.note["step"] for t in fast[:9]] == [0, 0, 0, 0, 1, 1, 1, 1, 2]


@tables
def test_on_nasbench201_its_draws_become_better_than_random_ones() -> None:
    rated = pd.read_parquet(TABLES / "nb201" / "accuracy.parquet")
    worth = dict(zip(rated["arch"], rated["c10_val_12ep"], strict=True))
    problem = Problem(replace(nasbench201((1, 8, 8), 3, cells=1, channels=4), costs=lambda arch: {}))

    def value(arch: Architecture) -> float:
        return float(worth[problem.space.spell(arch)])

    late, best = dict[str, list[float]](), dict[str, list[float]]()
    makes: dict[str, Callable[[Problem], Reinforce | Random]] = {"reinforce": Reinforce, "random": Random}
    for name, make in makes.items():
        runs = [[t.metrics["accuracy"] for t in play(make, problem, value, asks=150, seed=s)] for s in range(4)]
        late[name], best[name] = [float(np.mean(r[-40:])) for r in runs], [max(r) for r in runs]
    assert min(late["reinforce"]) > max(late["random"])
    assert np.mean(best["reinforce"]) > np.mean(best["random"]) - 0.3


@pytest.mark.parametrize(
    ("wrong", "error", "what"),
    [
        (lambda p: Reinforce(p, batch=0), ValueError, "a batch and its passes are at least 1, got 0 and 1"),
        (lambda _: Controller(layers=0), UserError, "controller: layers must lie in"),
        (lambda _: Controller(beta=1.0), UserError, "controller: beta must lie in"),
        (lambda p: Reinforce(p, controller=Controller(skips=Skips(ending="a"))), UserError, "'a' of a skip has 5"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    wrong: Callable[[Problem], object], error: type[Exception], what: str
) -> None:
    with pytest.raises(error, match=what) as caught:
        wrong(Problem(table()[0]))
    assert "\n" not in str(caught.value)
