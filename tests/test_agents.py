"""Agents with a parameter server: who waits, what one gradient is, how old it is, and what they learn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments import _measured, scalable_rl
from nas import experiment
from nas.bench.events import Timeline, busy
from nas.build import build
from nas.experiment import Experiment
from nas.options import Silent
from nas.problem import Metrics, Problem, Proposal, State, Trial, maximise, minimise
from nas.profile import profile
from nas.roles import Needs, Work
from nas.space import Architecture, Rng
from nas.store import Store
from nas.strategies import Random, Warm
from nas.strategies.agents import CONTROLLER, Agents
from nas.strategies.policy import Policy
from nas.strategies.ppo import PPO
from nas.study import Terms, search
from nas.testing.strategies import play, strategy_laws, table
from search_spaces import tabular
from tests.inline import Here, Inline

TABLE, VALUE = table()
SPACE = replace(TABLE, costs=lambda arch: {})
"""200 architectures, each a network of its own."""
PROBLEM = Problem(SPACE)
SYNCHRONOUS = partial(Agents, exchange="synchronous")


def rated(arch: Architecture) -> Metrics:
    return {"accuracy": VALUE(arch)}


def weights(policy: Any) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in policy.module.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def asked(strategy: Agents, count: int) -> list[Proposal | None]:
    return [strategy.ask(np.random.default_rng((1, n))) for n in range(count)]


def done(number: int, proposal: Proposal | None, state: State = State.DONE) -> Trial:
    assert proposal is not None
    return Trial(number, proposal, state, rated(proposal.arch) if state in (State.DONE, State.REPEAT) else {})


@pytest.mark.parametrize("law", list(strategy_laws()))
@pytest.mark.parametrize("make", [Agents, SYNCHRONOUS])
def test_agents_keep_every_law(make: Callable[[Problem], Agents], law: str) -> None:
    strategy_laws()[law](make)


@pytest.mark.parametrize("exchange", ["asynchronous", "synchronous"])
@pytest.mark.parametrize("workers", [1, 4])
def test_one_agent_told_one_after_another_is_sequential_ppo_exactly(exchange: Any, workers: int) -> None:
    one = Agents(PROBLEM, agents=1, workers=workers, exchange=exchange, patience=0)
    plain = PPO(PROBLEM, controller=CONTROLLER, batch=workers)
    runs = [[t.arch for t in play(lambda _, s=made: s, PROBLEM, VALUE, asks=40, seed=2)] for made in (one, plain)]  # type: ignore[misc]
    assert runs[0] == runs[1]
    learnt = weights(plain._learner.policy)
    assert same(weights(one.server.policy), learnt)
    assert not same(learnt, weights(Policy(SPACE, CONTROLLER)))
    assert one.server.version == 40 // workers * 4


def with_delays(agents: int, workers: int, passes: int, rounds: int, **more: Any) -> Agents:
    made = Agents(PROBLEM, agents=agents, workers=workers, passes=passes, patience=0, **more)
    told, waiting, number = 0, list[tuple[int, Proposal]](), 0
    while told < agents * workers * rounds:
        while (proposal := made.ask(np.random.default_rng((4, number + 1)))) is not None:
            number += 1
            waiting.append((number, proposal))
        told += 1
        made.tell(done(*waiting.pop(0)))
    return made


@pytest.mark.parametrize(("agents", "workers", "passes"), [(1, 2, 1), (3, 1, 1), (5, 2, 1), (4, 1, 4)])
def test_a_gradient_of_agents_of_equal_speed_is_as_old_as_the_others_are_many(
    agents: int, workers: int, passes: int
) -> None:
    rounds = 8
    made = with_delays(agents, workers, passes, rounds)
    first = (agents - 1) / 2  # in the first round there was nothing to be late for
    assert made.delay == pytest.approx(((rounds - 1) * (agents - 1) + first) / rounds)
    assert made.server.version == agents * passes * rounds
    assert with_delays(agents, workers, passes, rounds, exchange="synchronous").delay == 0


def test_as_many_are_under_way_as_all_agents_have_workers() -> None:
    made = Agents(PROBLEM, agents=3, workers=2)
    first = asked(made, 9)
    assert first[6:] == [None] * 3
    assert made.under_way == 6
    assert sorted(p.note["agent"] for p in first[:6] if p) == [0, 0, 1, 1, 2, 2]
    made.tell(done(2, first[1]))
    again = made.ask(np.random.default_rng(5))
    assert again is not None
    assert again.note["agent"] == (first[1] or again).note["agent"]
    assert made.ask(np.random.default_rng(6)) is None


def test_synchronous_agents_wait_for_the_last_one_and_then_hold_the_same_weights() -> None:
    made = SYNCHRONOUS(PROBLEM, agents=3, workers=2)
    first, before = asked(made, 6), weights(made.server.policy)
    for n, proposal in enumerate(first[:5]):
        made.tell(done(n + 1, proposal))
        assert asked(made, 2) == [None, None]
    assert same(weights(made.server.policy), before)
    made.tell(done(6, first[5]))
    assert made.server.version == 4
    learnt = weights(made.server.policy)
    assert not same(learnt, before)
    assert all(same(weights(agent.policy), learnt) for agent in made._agents)
    assert None not in asked(made, 6)


def test_asynchronous_agents_learn_alone_and_others_find_it_later() -> None:
    made = Agents(PROBLEM, agents=2, workers=2, passes=1)
    first = asked(made, 4)
    before = weights(made._agents[1].policy)
    for n in (0, 2):  # of the first agent
        made.tell(done(n + 1, first[n]))
    assert made.server.version == 1
    assert same(weights(made._agents[0].policy), weights(made.server.policy))
    assert same(weights(made._agents[1].policy), before)
    for n in (1, 3):
        made.tell(done(n + 1, first[n]))
    assert made.server.version == 2
    assert made.delay == 0.5
    assert same(weights(made._agents[1].policy), weights(made.server.policy))


def test_the_server_steps_along_the_mean_of_the_last_gradients() -> None:
    made, plain = Agents(PROBLEM, agents=2), Policy(SPACE, CONTROLLER)
    plain.module.double()
    archs = list(SPACE)[:6]
    own = [
        plain.gradient(plain.batch([arch], [VALUE(arch)], [float(plain.log_prob([arch])[0].detach())]))
        for arch in archs
    ]
    for gradient in own[:3]:
        made.server.push([gradient])
    for some in (own[:1], own[:2], own[1:3]):
        plain.descend([[sum(parts) / len(parts) for parts in zip(*some, strict=True)]])
    for a, b in zip(weights(made.server.policy), weights(plain), strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_at_a_ratio_of_one_the_gradient_is_that_of_reinforce_with_a_baseline() -> None:
    policy = Policy(SPACE, CONTROLLER)
    policy.module.double()
    archs = list(SPACE)[:20:4]
    batch = policy.batch(archs, [VALUE(arch) for arch in archs], policy.log_prob(archs).tolist())
    clipped, plain = policy.gradient(batch), policy.gradient(batch._replace(drawn=None))
    assert max(float(g.abs().max()) for g in plain) > 1e-3
    for a, b in zip(clipped, plain, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_waiting_for_all_costs_utilisation_and_waiting_for_nobody_costs_none() -> None:
    rng = np.random.default_rng(8)
    problem = Problem(replace(tabular(parts=3, mirrored=(0, 2)), costs=lambda arch: {}))
    drawn: list[float] = []

    def seconds(_: Architecture) -> float:
        drawn.append(float(rng.exponential()))
        return drawn[-1]

    def play(exchange: Any) -> Timeline:
        drawn.clear()
        made = Agents(problem, agents=2, workers=4, exchange=exchange, passes=1)
        return busy(made, problem, lambda arch: {"accuracy": len(arch.key) / 16}, seconds, 8, trials=320)

    line = play("synchronous")
    times = np.array(drawn).reshape(40, 8)
    assert line.utilisation() == pytest.approx(times.mean() / times.max(1).mean(), rel=1e-9)
    assert 0.3 < line.utilisation() < 0.45  # 0.3679 on average
    assert play("asynchronous").full > 0.98


@pytest.mark.parametrize("make", [Agents, SYNCHRONOUS])
def test_agents_that_agree_leave_their_workers_idle_and_end_the_search(make: Callable[..., Agents]) -> None:
    quick = replace(CONTROLLER, lr=0.02)
    made = make(PROBLEM, agents=2, workers=4, controller=quick, passes=2, patience=4)
    line = busy(made, PROBLEM, rated, lambda _: 1.0, 8, until=400.0)
    assert made.converged
    assert made.ask(np.random.default_rng(0)) is None
    assert line.ended == "proposes nothing more"
    assert line.utilisation(0, 3) > 0.6
    assert line.utilisation(200, 400) == 0
    assert line.unique < 100
    assert len({trial.arch for trial in line.trials[-16:]}) <= 4


@pytest.mark.parametrize("make", [Agents, SYNCHRONOUS])
def test_agents_learn_to_draw_better_than_chance(make: Callable[..., Agents]) -> None:
    every = sorted(map(VALUE, SPACE))
    for seed in (0, 1):
        strategy = make(PROBLEM, agents=2, workers=4, patience=0)
        run = play(lambda _, s=strategy: s, PROBLEM, VALUE, asks=200, seed=seed)  # type: ignore[misc]
        last = float(np.mean([t.metrics["accuracy"] for t in run[-50:]]))
        assert last > every[int(0.9 * len(every))] > float(np.mean(every)) + 0.1


def test_what_failed_or_was_not_drawn_here_teaches_nothing() -> None:
    made = Agents(PROBLEM, agents=2, workers=1)
    before = weights(made.server.policy)
    for n, trial in enumerate(play(Random, PROBLEM, VALUE, asks=30, seed=9)):
        made.tell(replace(trial, id=n + 1))
    for state in (State.FAILED, State.INFEASIBLE):
        for proposal in asked(made, 2):
            made.tell(done(50, proposal, state))
    assert same(weights(made.server.policy), before)
    assert made.under_way == 0
    for n in range(4):  # the first reward of an agent is its own baseline
        made.tell(done(60 + n, made.ask(np.random.default_rng(n)), State.REPEAT))
    assert not same(weights(made.server.policy), before)


def test_given_designs_leave_the_agents_as_many_workers() -> None:
    inner = Agents(PROBLEM, agents=2, workers=2)
    warm = Warm(inner, list(SPACE)[:3])
    trials = [done(n + 1, warm.ask(np.random.default_rng(n))) for n in range(3)]
    for trial in trials:
        warm.tell(trial)
    assert None not in asked(inner, 4)


@dataclass(frozen=True)
class Few:
    """Some architectures of the table, the only members of a space."""

    archs: tuple[Architecture, ...]

    def __len__(self) -> int:
        return len(self.archs)

    def __iter__(self) -> Iterator[Architecture]:
        return iter(self.archs)

    def draw(self, rng: Rng) -> Architecture:
        return self.archs[int(rng.integers(len(self)))]

    def nearest(self, arch: Architecture, *others: Architecture) -> Architecture:
        return max((a for a in self.archs if a not in others), key=lambda a: len({*a.choices} & {*arch.choices}))


def test_a_draw_that_became_the_nearest_member_is_as_probable_as_that_member() -> None:
    few = Few(tuple(list(SPACE)[::40]))
    made, policy = Agents(Problem(replace(SPACE, members=few))), Policy(SPACE, CONTROLLER)
    for proposal in asked(made, 8):
        assert proposal is not None
        assert proposal.arch in few.archs
        assert proposal.note["log_prob"] == pytest.approx(policy.log_prob([proposal.arch]).item(), abs=1e-4)


@pytest.mark.parametrize("exchange", ["asynchronous", "synchronous"])
def test_a_study_of_many_workers_goes_on_from_its_ledger_like_one_that_never_stopped(
    exchange: Any, tmp_path: Path
) -> None:
    def go(store: Store, trials: int) -> list[tuple[int, Architecture, State]]:
        runs = Inline(6, lambda tasks: int(tasks[-1].proposal.arch.key, 16) % len(tasks))
        search(
            PROBLEM,
            Agents(PROBLEM, agents=3, workers=2, exchange=exchange, passes=1),
            lambda proposal, work: rated(proposal.arch),
            runs,
            store,
            Terms("search", "t", tmp_path),
            trials=trials,
            seed=3,
        )
        return [(t.id, t.arch, t.state) for t in store.trials("search")]

    half = go(Store(tmp_path / "a"), 20)
    whole = go(Store(tmp_path / "a"), 40)
    assert whole[: len(half)] == half
    assert len(whole) > len(half)


@pytest.mark.parametrize(
    ("numbers", "what"),
    [
        ({"agents": 0}, "at least 1"),
        ({"workers": 0}, "at least 1"),
        ({"passes": 0}, "at least 1"),
        ({"patience": -1}, "at least 1"),
        ({"exchange": "sometimes"}, "asynchronous or synchronous, got 'sometimes'"),
    ],
)
def test_numbers_that_make_no_agents_are_refused(numbers: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Agents(PROBLEM, **numbers)


def test_several_objectives_need_a_reward() -> None:
    both = replace(PROBLEM, objectives=(maximise("accuracy"), minimise("params")))
    with pytest.raises(ValueError, match="one objective is a reward, got 2"):
        Agents(both)
    made = Agents(both, agents=1, workers=1, reward=lambda metrics: metrics["accuracy"] - 0.1 * metrics["params"])
    proposal = made.ask(np.random.default_rng(0))
    assert proposal is not None
    made.tell(Trial(1, proposal, State.DONE, {"accuracy": 0.5, "params": 1.0}))
    assert made._agents[0].policy.baseline == pytest.approx(0.4)


def test_a_block_of_three_nodes_thrice_is_the_published_number() -> None:
    space = tabular(parts=3, mirrored=(0, 2), nodes=3, cells=1)
    assert space.size == 13**9 == 10_604_499_373


def test_a_mirrored_tower_is_one_set_of_weights_that_both_inputs_teach() -> None:
    shapes = ((5,), (7,), (7,))
    mirrored, apart = (tabular(shapes, 3, mirrored=m, nodes=1, cells=1, widths=(6,)) for m in ((1, 2), ()))
    labels = {"tower0.node1": "identity", "cell1.node1": "identity", "cell1.skip": "none"}
    one = mirrored.read({**labels, "mirrored.node1": "dense6_tanh"})
    two = apart.read({**labels, "tower1.node1": "dense6_tanh", "tower2.node1": "dense6_tanh"})
    tower = 7 * 6 + 6
    costs = [profile(space.network(arch), shapes).total for space, arch in ((mirrored, one), (apart, two))]
    assert costs[1].params - costs[0].params == tower
    assert costs[1].macs == costs[0].macs
    module = build(mirrored.network(one), shapes)
    assert sum(p.numel() for p in module.parameters()) == costs[0].params
    (dense,) = [m for m in module.modules() if isinstance(m, torch.nn.Linear) and m.in_features == 7]
    calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    def keep(_: Any, given: tuple[torch.Tensor], out: torch.Tensor) -> None:
        out.retain_grad()
        calls.append((given[0], out))

    dense.register_forward_hook(keep)
    inputs = tuple(torch.randn(4, *shape, generator=torch.Generator().manual_seed(k)) for k, shape in enumerate(shapes))
    module(*inputs).square().sum().backward()
    assert len(calls) == 2
    parts = [out.grad.T @ given for given, out in calls if out.grad is not None]
    assert all(float(part.abs().max()) > 1e-4 for part in parts)
    assert dense.weight.grad is not None
    assert torch.allclose(dense.weight.grad, parts[0] + parts[1], atol=1e-6)


def test_the_experiment_measures_once_and_replays_for_any_number_of_workers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(experiment, "make_executor", lambda *args, **more: Here())
    config = scalable_rl.Config(widths=(4,), virtual=(4, 8), batch=2, evaluations=24, seeds=1, check=4, alone=1)

    def ran() -> dict[str, Any]:
        run = Experiment.open("scalable_rl", config, tmp_path / "run", executor="local", workers=1, screen=Silent())
        try:
            return scalable_rl.main(run, config)
        finally:
            run.close()

    said = ran()
    assert said["networks"] == 5**3
    kinds = {f"{kind} on {n}" for kind in ("A3C", "A2C", "RDM", "evolution") for n in (4, 8)}
    assert set(said) == {"networks", "quality", "check", *kinds}
    for kind in kinds:
        assert 0 < said[kind]["utilisation"] <= 1
        assert 0 < said[kind]["reward"] <= said[kind]["best"] <= 1
    for n in (4, 8):
        assert said[f"RDM on {n}"]["utilisation"] > 0.98 > said[f"A2C on {n}"]["utilisation"]
    assert said["RDM on 8"]["seconds"] < said["RDM on 4"]["seconds"]
    monkeypatch.setattr(_measured, "fit", None)
    assert ran() == said  # the table was measured once


@dataclass(frozen=True)
class Meets:
    """Waits until so many of its kind have begun, and then sleeps a little."""

    place: str
    size: int

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        place, end = Path(self.place), time.monotonic() + 60
        (place / work.folder.name).touch()
        while (met := len(list(place.iterdir()))) < self.size and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.05 * work.rng.random())
        return {"accuracy": VALUE(proposal.arch), "met": float(met)}


@pytest.mark.ray
def test_on_ray_every_worker_of_every_agent_is_under_way(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from nas.executors.ray import RayExecutor

    problem, store = Problem(replace(TABLE, same=lambda arch: arch.key)), Store(tmp_path / "ledger")
    strategy, met = Agents(problem, agents=2, workers=1), tmp_path / "met"
    met.mkdir()
    with RayExecutor(2, needs=Needs(0.25), study="agents") as executor:
        search(
            problem, strategy, Meets(str(met), 2), executor, store, Terms("search", "t", tmp_path), trials=16, seed=1
        )
    flying, kind, full = 0, "", []
    for event in store.events("search"):
        if kind == "ask" != event.kind:
            full.append(flying)  # free workers are given work before anything else is looked at
        flying, kind = flying + (1 if event.kind == "ask" else -1), event.kind
    assert len(full) > 8
    assert set(full) == {2}
    trials = [t for t in store.trials("search") if t.state is not State.REPEAT]
    assert [(t.state, t.error) for t in trials] == [(State.DONE, "")] * 16
    assert min(t.metrics["met"] for t in trials) >= 2  # both ran at once, or the first would have waited in vain
    assert strategy.server.version >= 4 * (16 - 2)
