"""The recurrent policy: its probabilities, its gradient against exact ones, what it learns, and its files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.errors import UserError
from nas.space import Architecture, Space
from nas.strategies.controller import Controller, Skips
from nas.strategies.policy import Policy, restored, save
from nas.testing.strategies import table
from nas.tree import Chain, Choice, Identity, Zero
from search_spaces import enas

FREE = Controller(units=12, bound=0, tied=False)
TAUGHT = replace(FREE, lr=0.02, epsilon=1e-8, decay=0.9, entropy=0.0)
"""For 200 architectures in 200 samples: published rates are for some 45,000."""


def steps(**options: int) -> list[Choice]:
    """Choices by name with so many options."""
    return [Choice.over(name, **{f"o{k}": Identity() for k in range(n)}) for name, n in options.items()]


def nested() -> Space:
    """A choice of which one option opens two more, and one of which all open the same: 2 + 3 * 2 = 8, times 2."""
    b, c, d = steps(b=3, c=2, d=2)
    a = Choice.over("a", plain=Identity(), none=Zero(), more=Chain.seq(b, c))
    return Space("nested", Chain.seq(a, d), (1,))


def value(arch: Architecture) -> float:
    return 0.1 * sum((k + 1) * len(str(label)) for k, (_, label) in enumerate(arch.choices)) % 0.7


def exact(policy: Policy, archs: Sequence[Architecture], rewards: Tensor) -> Tensor:
    """The expected reward and the entropy that the policy maximises, over every architecture."""
    log_prob = policy.log_prob(archs)
    chances = log_prob.exp()
    return (chances * rewards).sum() - policy.controller.entropy * (chances * log_prob).sum()


@pytest.mark.parametrize("controller", [FREE, Controller(units=12), replace(FREE, temperature=3.0)])
def test_the_chances_of_all_architectures_add_up_to_one(controller: Controller) -> None:
    space = nested()
    archs = list(space)
    assert len(archs) == 16
    policy = Policy(space, controller, seed=1)
    policy.step(archs, [value(a) for a in archs])
    assert float(policy.log_prob(archs).detach().exp().sum()) == pytest.approx(1, abs=1e-5)


def test_the_log_probability_of_a_sample_is_the_sum_over_its_picks() -> None:
    policy, rng = Policy(nested(), FREE, seed=2), np.random.default_rng(3)
    drawn = [policy.sample(rng) for _ in range(12)]
    archs = [one.arch for one in drawn]
    assert {len(a.choices) for a in archs} == {2, 4}
    assert policy.log_prob(archs).tolist() == pytest.approx([one.log_prob for one in drawn], abs=1e-5)
    assert policy.entropy(archs).tolist() == pytest.approx([one.entropy for one in drawn], abs=1e-5)
    apart = torch.cat([policy.log_prob([a]) for a in archs])  # no other architecture of a batch takes part
    assert torch.allclose(policy.log_prob(archs), apart, atol=1e-6)


def test_what_is_sampled_has_the_chances_that_are_said() -> None:
    space = nested()
    policy, rng, archs = Policy(space, FREE, seed=4), np.random.default_rng(5), list(space)
    for _ in range(20):
        policy.step(archs, [value(a) for a in archs])
    said = dict(zip(archs, policy.log_prob(archs).exp().tolist(), strict=True))
    count = 1500
    drawn = [policy.sample(rng).arch for _ in range(count)]
    for arch, chance in said.items():
        assert abs(drawn.count(arch) / count - chance) < 4.5 * math.sqrt(chance * (1 - chance) / count) + 1e-9
    assert max(said.values()) > 2 * min(said.values())


@pytest.mark.parametrize("entropy", [0.0, 0.05])
def test_the_mean_gradient_is_that_of_the_expected_reward_by_finite_differences(entropy: float) -> None:
    space = nested()
    archs = list(space)
    policy = Policy(space, replace(Controller(units=6), entropy=entropy), seed=6)
    policy.module.double()
    rewards = torch.tensor([value(a) for a in archs], dtype=torch.float64)
    chances = policy.log_prob(archs).exp().detach()
    weights = list(policy.module.parameters())
    gradients = []
    for baseline in (0.0, 0.4):  # what does not depend on the architecture moves no mean
        mean = (chances * policy.surrogate(archs, rewards, torch.full_like(rewards, baseline))).sum()
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(mean, weights)]))
    assert torch.allclose(gradients[0], gradients[1], atol=1e-10)
    at, step, rng = 0, 1e-6, np.random.default_rng(7)
    for weight in weights:
        flat = weight.data.view(-1)
        for k in rng.choice(len(flat), min(6, len(flat)), replace=False):
            ends = []
            for sign in (1, -1):
                flat[k] += sign * step
                with torch.no_grad():
                    ends.append(float(exact(policy, archs, rewards)))
                flat[k] -= sign * step
            assert -float(gradients[0][at + k]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-9)
        at += len(flat)
    assert gradients[0].abs().max() > 1e-3


def test_a_baseline_leaves_the_mean_of_sampled_gradients_and_narrows_them() -> None:
    policy = Policy(Space("one", Chain.seq(*steps(a=3)), (1,)), replace(FREE, entropy=0.0), seed=8)
    policy.module.double()
    archs, rng = list(policy.space), np.random.default_rng(9)
    rewards = torch.tensor([0.9, 0.95, 1.0], dtype=torch.float64)
    weight, count = policy.module.scores.bias, 100_000

    def gradient(of: Tensor) -> Tensor:
        return torch.autograd.grad(of, weight, retain_graph=True)[0]

    true = -gradient(exact(policy, archs, rewards))
    chances = policy.log_prob(archs).exp().detach().numpy()
    seen = torch.tensor(rng.multinomial(count, chances / chances.sum()) / count)
    spread = []
    for baseline, tolerance in ((0.0, 0.05), (0.95, 0.01)):
        each = policy.surrogate(archs, rewards, torch.full_like(rewards, baseline))
        rows = torch.stack([gradient(one) for one in each])
        assert torch.allclose((seen[:, None] * rows).sum(0), true, atol=tolerance * float(true.abs().max()) * 3)
        spread.append(float((seen[:, None] * (rows - true).square()).sum()))
    assert spread[1] < spread[0] / 50


def test_the_baseline_is_the_average_of_what_came_before() -> None:
    policy = Policy(nested(), replace(FREE, decay=0.5))
    archs = list(policy.space)[:3]
    assert policy.baseline == 0
    policy.step(archs, [1.0, 0.0, 0.0])
    weights = np.array([0.25, 0.5, 1.0])
    assert policy.baseline == pytest.approx(weights[0] / weights.sum(), abs=2e-3)  # and a little entropy
    before = policy.baseline
    assert policy._told(0.7) == before != policy.baseline


def test_it_learns_to_draw_better_than_random_in_200_samples() -> None:
    space, worth = table()
    seeds, count = 5, 200
    late, best, lucky = list[float](), list[float](), list[float]()
    luck = [
        float(np.mean([worth(space.sample(np.random.default_rng((s, k)))) for k in range(60)])) for s in range(seeds)
    ]
    for seed in range(seeds):
        policy, rng = Policy(space, TAUGHT, seed=seed), np.random.default_rng(seed)
        found: list[float] = []
        while len(found) < count:
            archs = [policy.sample(rng).arch for _ in range(5)]
            found += [worth(a) for a in archs]
            policy.step(archs, found[-5:])
        late.append(float(np.mean(found[-60:])))
        best.append(max(found[:60]))
        lucky.append(max(worth(space.sample(np.random.default_rng((seed, k)))) for k in range(60)))
    every = sorted(map(worth, space))
    assert np.median(late) > max(luck) + 0.05
    assert np.median(best) >= np.median(lucky)
    assert np.median(late) > every[int(0.8 * len(every))]  # its mean sample is among the best fifth


def test_chances_stay_within_what_the_bounds_allow() -> None:
    space = enas((1, 8, 8), 3, 1, 4, blocks=2, output="all")
    policy, rng = Policy(space, seed=1), np.random.default_rng(2)
    with torch.no_grad():
        policy.module.scores.weight.mul_(1e4)
    ops = math.exp(0.44) / (math.exp(0.44) + 4 * math.exp(-0.44))
    assert ops == pytest.approx(0.376, abs=1e-3)
    two = 1 / (1 + math.exp(-2.2))
    drawn = [policy.sample(rng).log_prob for _ in range(20)]
    best = 8 * math.log(ops) + 4 * math.log(two) + 4 * math.log(math.exp(1.1) / (math.exp(1.1) + 2 * math.exp(-1.1)))
    assert max(drawn) <= best + 1e-4


def test_choices_of_equal_labels_are_tied_as_in_enas() -> None:
    space = enas((1, 8, 8), 3, 1, 4, output="all")
    tied, apart = (Policy(space, replace(Controller(), tied=on)).module for on in (True, False))
    assert tied.scores.out_features == 5 + sum(range(2, 7))
    assert apart.scores.out_features == 20 * 5 + 4 * sum(range(2, 7))
    assert sum(p.numel() for p in tied.lstm.parameters()) == 2 * 4 * 100 * 101  # one layer of 100 units
    assert all(float(p.detach().abs().max()) <= 0.1 for p in tied.parameters())


def test_skips_are_pulled_to_their_target() -> None:
    items = [Choice(f"l{k}.skip", (Zero(), Identity()), ("no", "yes")) for k in range(4)]
    space = Space("skips", Chain.seq(*items), (1,))
    rates = []
    for weight in (0.0, 0.8):
        taught = replace(TAUGHT, skips=Skips(target=0.4, weight=weight))
        policy, rng = Policy(space, taught, seed=3), np.random.default_rng(4)
        for _ in range(60):
            archs = [policy.sample(rng).arch for _ in range(5)]
            policy.step(archs, [0.1 * sum(label == "yes" for _, label in a.choices) for a in archs])
        last = [policy.sample(rng).arch for _ in range(100)]
        rates.append(np.mean([label == "yes" for a in last for _, label in a.choices]))
    assert rates[0] > 0.9
    assert 0.3 < rates[1] < 0.6


def learnt(policy: Policy, steps: int) -> Policy:
    for k in range(steps):
        rng = np.random.default_rng((k, policy._count))
        archs = [policy.sample(rng).arch for _ in range(3)]
        policy.step(archs, [value(a) for a in archs])
    return policy


def test_a_state_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    whole = learnt(learnt(Policy(nested(), FREE, seed=5), 4), 3)
    half = learnt(Policy(nested(), FREE, seed=5), 4)
    torch.save(half.state(), tmp_path / "state.pt")
    other = Policy(nested(), FREE, seed=99)
    other.load(torch.load(tmp_path / "state.pt", weights_only=True))
    learnt(other, 3)
    assert other.baseline == whole.baseline
    for a, b in zip(other.module.parameters(), whole.module.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_policy_is_made_of_its_seed_alone() -> None:
    before = torch.get_rng_state()
    one, two, other = (Policy(nested(), seed=s) for s in (1, 1, 2))
    archs = list(nested())
    assert torch.equal(one.log_prob(archs), two.log_prob(archs))
    assert not torch.equal(one.log_prob(archs), other.log_prob(archs))
    assert torch.equal(before, torch.get_rng_state())


def test_a_file_gives_the_policy_back_and_no_other(tmp_path: Path) -> None:
    policy = learnt(Policy(nested(), replace(FREE, skips=Skips()), seed=5), 3)
    save(policy, tmp_path / "policy.safetensors")
    archs = list(nested())
    again = restored(nested(), tmp_path / "policy.safetensors")
    assert again.controller == policy.controller
    assert torch.equal(again.log_prob(archs), policy.log_prob(archs))
    wider = Space("nested", Chain.seq(*steps(a=4)), (1,))
    with pytest.raises(UserError, match="is a policy of other settings of nested: embedding.weight is"):
        restored(wider, tmp_path / "policy.safetensors")
    with pytest.raises(UserError, match="is no policy of the space table"):
        restored(table()[0], tmp_path / "policy.safetensors")
    with pytest.raises(UserError, match=r"missing\.safetensors cannot be read"):
        restored(nested(), tmp_path / "missing.safetensors")


def bad_step(policy: Policy) -> None:
    policy.step(list(policy.space)[:2], [0.1, math.nan])


def other_space(policy: Policy) -> None:
    policy.log_prob([next(iter(table()[0]))])


@pytest.mark.parametrize(
    ("wrong", "error", "what"),
    [
        (bad_step, ValueError, "one finite reward for each architecture: 2, got"),
        (other_space, ValueError, "an architecture of 'table' does not belong to a policy over 'nested'"),
        (lambda _: Controller(decay=1.0), UserError, "controller: decay must lie in"),
        (lambda _: Controller(temperature=0), UserError, "controller: temperature must lie in"),
        (lambda _: Skips(target=1.0), UserError, "skips need a target in"),
        (lambda p: Policy(p.space, Controller(skips=Skips(ending="b"))), UserError, "'b' of a skip has 3 options"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(wrong: Callable[[Policy], Any], error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what) as caught:
        wrong(Policy(nested(), FREE))
    assert "\n" not in str(caught.value)
