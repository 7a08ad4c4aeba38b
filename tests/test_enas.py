"""ENAS: its numbers, whose turn it is, what it holds back, exact going on, what it leaves, bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from experiments._beats import beats
from nas import experiment, plugins
from nas.data import Data
from nas.errors import UserError
from nas.experiment import Experiment
from nas.options import Silent
from nas.problem import Problem, at_most
from nas.space import Space
from nas.strategies.controller import Controller
from nas.strategies.policy import Policy, restored
from nas.training import Recipe
from nas.training.carry import carry
from nas.training.enas import FOUND, POLICY, Enas, FromPolicy, Turns, found, restarted, sampled
from nas.training.rules import Moment
from nas.weights.saved import restored as supernet_of
from search_spaces import enas, nasbench201
from tests.inline import Here
from tests.trainings import CPU, INFO, TRAIN, VALIDATION, Stop, silent, stop_after

DATA = Data(INFO, TRAIN, VALIDATION)
RECIPE = Recipe(epochs=3, batch_size=16, lr=0.05)
QUICK = Enas(Controller(units=8, lr=0.02), steps=2, samples=3, images=8, held=0.3, proposals=4)
PUBLISHED = (
    "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1",
    "1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1",
)
"""The cells, normal and reduction, of melodyguan/enas, scripts/cifar10_micro_final.sh."""


def small() -> Space:
    return nasbench201((1, 8, 8), 3, cells=1, channels=4)


def begun(method: Enas = QUICK, recipe: Recipe = RECIPE, problem: Problem | None = None, seed: int = 3) -> Turns:
    session = method.begin(problem or Problem(small()), DATA, TRAIN, recipe, seed=seed, device=CPU)
    assert isinstance(session, Turns)
    return session


def test_the_published_cells_are_of_the_space_that_shares() -> None:
    space = enas((3, 32, 32), 10, output="all")
    arch = space.parse(" ".join(PUBLISHED))
    assert space.spell(arch) == " ".join(PUBLISHED)
    assert not space.shares
    assert np.isfinite(Policy(space).log_prob([arch]).item())


def test_published_settings() -> None:
    method, c = Enas(), Controller()
    assert (method.steps, method.samples, method.restarts) == (30, 10, 10)
    assert (c.units, c.lr, c.bound, c.tighter, c.entropy, c.decay) == (100, 0.0035, 1.1, 2.5, 1e-4, 0.99)


def test_the_rate_starts_again_after_10_30_and_70_epochs_and_150_end_a_period() -> None:
    rates = [restarted(epoch, first=10, peak=0.05) for epoch in range(151)]
    assert [e for e in range(1, 151) if rates[e] > rates[e - 1]] == [10, 30, 70, 150]
    assert [rates[e] for e in (0, 10, 30, 70, 150)] == pytest.approx([0.05] * 5)
    assert rates[5] == pytest.approx((0.05 + 0.0005) / 2)
    assert 0.0005 < rates[149] < 0.00052


@pytest.mark.parametrize(("epochs", "restarts", "own"), [(10, 10, True), (11, 10, False), (150, 0, True)])
def test_a_run_of_one_period_has_the_rate_of_its_recipe(epochs: int, restarts: int, own: bool) -> None:
    space = small()
    rule = FromPolicy(Enas(restarts=restarts), Policy(space, seed=0))
    at = Moment(40, epochs * 4, 4, replace(RECIPE, epochs=epochs))
    step = rule(Problem(space), at, np.random.default_rng(0))
    assert (step.rate is None) == own
    assert own or step.rate == pytest.approx(0.05)


def test_weights_are_held_in_the_policys_turn_and_the_policy_in_theirs() -> None:
    session = begun()
    weights = [w.detach().clone() for w in session.sharing.supernet.parameters()]
    policy = [w.detach().clone() for w in session.policy.module.parameters()]
    session.sharing.run_epoch()
    assert all(torch.equal(a, b) for a, b in zip(policy, session.policy.module.parameters(), strict=True))
    learnt = [w.detach().clone() for w in session.sharing.supernet.parameters()]
    assert not all(torch.equal(a, b) for a, b in zip(weights, learnt, strict=True))
    session.sharing.run_epoch = lambda: None  # type: ignore[method-assign]  # the policy's turn alone
    session.run_epoch()
    assert all(torch.equal(a, b) for a, b in zip(learnt, session.sharing.supernet.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(policy, session.policy.module.parameters(), strict=True))
    assert set(session.metrics) == {"train_loss", "reward", "baseline", "entropy", "distinct"}
    assert 0 < session.metrics["distinct"] <= 1


def test_the_weights_see_no_held_image_and_the_policy_no_other() -> None:
    session = begun()
    seen = [session.sharing.stream.part, session.held]
    images = [{bytes(x.numpy().tobytes()) for x in part.take(torch.arange(len(part)))} for part in seen]
    train, validation = (
        {bytes(x.numpy().tobytes()) for x in part.take(torch.arange(len(part)))} for part in (TRAIN, VALIDATION)
    )
    assert len(images[1]) == 21
    assert not images[0] & images[1]
    assert images[0] | images[1] == train
    assert not (images[0] | images[1]) & validation


def test_a_reward_is_the_accuracy_by_the_statistics_of_its_batch() -> None:
    session = begun()
    session.sharing.run_epoch()
    places, sharing = torch.arange(16), session.sharing
    archs = [session.problem.sample(np.random.default_rng(k)) for k in range(6)]
    sharing.supernet.train()
    right = []
    for arch in archs:
        outs = [sharing.supernet(sharing.stream.normal(session.held.take(p)), arch) for p in places.split(8)]
        right.append(float((torch.cat(outs).argmax(1) == session.held.labels[places]).float().mean()))
    sharing.supernet.eval()
    assert [session._accuracy(arch, places) for arch in archs] == pytest.approx(right)
    assert len(set(right)) > 2


def made(folder: Path, report: Callable[..., None] = silent) -> Turns:
    session = begun()
    carry(session, seed=3, device=CPU, folder=folder, report=report)
    return session


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    made(folder)
    return folder


def test_it_goes_on_after_a_stop_with_the_same_numbers(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(Stop):
        made(tmp_path, stop_after(2))
    assert not (tmp_path / FOUND).exists()
    made(tmp_path)
    assert (tmp_path / FOUND).read_bytes() == (whole / FOUND).read_bytes()
    for name in ("weights.safetensors", POLICY):
        one, two = (load_file(folder / name) for folder in (tmp_path, whole))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name


def test_it_leaves_what_it_proposes_beside_as_many_random_ones(whole: Path) -> None:
    space = small()
    for by in ("policy", "random"):
        some = found(whole, space, by)
        rewards = [reward for _, reward in some]
        assert len({arch for arch, _ in some}) == 4
        assert rewards == sorted(rewards, reverse=True)
        assert all(0 <= reward <= 1 and reward * 16 == int(reward * 16) for reward in rewards)  # 2 batches of 8
    assert found(whole, space) != found(whole, space, "random")
    policy, supernet = restored(space, whole / POLICY), supernet_of(space, whole / "weights.safetensors")
    assert policy.controller == QUICK.controller
    best = found(whole, space)[0][0]
    assert supernet(torch.zeros(2, 1, 8, 8), best).shape == (2, 3)
    assert json.loads((whole / FOUND).read_text())["controller"]["units"] == 8


def test_a_policy_keeps_the_limits_of_its_problem() -> None:
    space = small()
    free = Problem(space)
    macs = sorted(free.screen(space.sample(np.random.default_rng(k))).metrics["macs"] for k in range(20))[8]
    problem, policy = Problem(space, constraints=(at_most("macs", macs),)), Policy(space, seed=2)
    archs = [sampled(policy, problem, np.random.default_rng(k)) for k in range(20)]
    assert not any(problem.screen(a).broken for a in archs)
    assert any(free.screen(policy.sample(np.random.default_rng(k)).arch).metrics["macs"] > macs for k in range(20))
    with pytest.raises(UserError, match="keeps the limits: macs .* > 1; allow more") as caught:
        sampled(policy, Problem(space, constraints=(at_most("macs", 1),)), np.random.default_rng(0))
    assert caught.value.code == 3


def test_a_space_that_cannot_share_says_why() -> None:
    loose = Problem(enas((1, 8, 8), 3, 1, 4))
    with pytest.raises(UserError, match="cannot share weights: how many values a cell joins .* output='all' can"):
        begun(problem=loose)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"held": 0.0}, "held is a share of the images between 0 and 1, got 0"),
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"images": 60}, "0.3 of 70 training images are 21, a reward takes 60"),
    ],
)
def test_bad_settings_are_named_in_one_line(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=what) as caught:
        begun(replace(QUICK, **settings))
    assert "\n" not in str(caught.value)


def test_the_experiment_holds_its_policy_against_chance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(experiment, "make_executor", lambda *args, **more: Here())
    module = plugins.experiment("enas")
    quick = {
        "filters": 2,
        "blocks": 1,
        "epochs": 1,
        "steps": 1,
        "samples": 2,
        "reward": 8,
        "proposals": 2,
        "alone": 1,
        "check": 0,
    }
    config = module.Config(data="digits", images=128, **quick)
    run = Experiment.open("enas", config, tmp_path / "run", executor="local", workers=1, screen=Silent())
    try:
        said = module.main(run, config)
    finally:
        run.close()
    assert set(said["alone"]) == {"policy", "random"}
    assert said["inherited"]["verdict"].endswith("than random")
    assert said["entropy"]["policy"] <= said["entropy"]["uniform"] + 1e-3
    assert len(said["best"].split()) == 8


def test_a_difference_counts_only_where_its_interval_is_clear_of_nothing() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.normal(0.5, 0.05, 20), rng.normal(0.6, 0.05, 20)
    assert beats(high, low, 0)["verdict"] == "better than random"
    assert beats(low, high, 0)["verdict"] == "worse than random"
    assert beats(low, low[::-1], 0)["verdict"] == "not better than random"
    assert beats([], low, 0) == {"verdict": "nothing was rated"}
