"""Optuna's samplers over our ledger: the laws, what is asked and told, limits, and what they find."""

import importlib.util
from dataclasses import replace

import numpy as np
import optuna
import pytest

from nas.errors import UserError
from nas.problem import Problem, Proposal, State, Trial, at_most, maximise, minimise
from nas.strategies import Random, sampled
from nas.testing import strategy_laws
from nas.testing.strategies import best_of_seeds, play, table
from search_spaces import mobile, nasbench101
from tests.tiny import wired

needs_cmaes = pytest.mark.skipif(importlib.util.find_spec("cmaes") is None, reason="the package cmaes is not installed")
MAKERS = {
    "tpe": sampled.tpe,
    "optuna-nsga2": sampled.optuna_nsga2,
    "qmc": sampled.qmc,
    "cmaes": sampled.cmaes,
}
EVERY = [pytest.param(name, marks=needs_cmaes) if name == "cmaes" else name for name in MAKERS]


def told(number, arch, value, state=State.DONE):
    return Trial(number, Proposal(arch), state, {} if value is None else {"accuracy": value})


@pytest.mark.parametrize("law", list(strategy_laws()))
@pytest.mark.parametrize("name", EVERY)
def test_every_sampler_keeps_every_law(name, law):
    strategy_laws()[law](MAKERS[name])


def test_a_gaussian_process_replays_too():
    space, value = table()
    whole = play(sampled.gp, Problem(space), value, asks=14, seed=6)
    strategy = sampled.gp(Problem(space))
    for trial in whole:
        assert strategy.ask(np.random.default_rng((6, trial.id))).arch == trial.arch
        strategy.tell(trial)


def test_it_finds_more_than_random_search():
    assert best_of_seeds(sampled.tpe, asks=40, seeds=7) > best_of_seeds(Random, asks=40, seeds=7)


def test_a_sequence_covers_what_random_draws_leave_out():
    space, value = table()
    uneven = {}
    for make in (sampled.qmc, Random):
        drawn = [play(make, Problem(space), value, asks=33, seed=seed)[1:] for seed in range(4)]
        counts = [np.bincount([int(t.arch["c"][1:]) for t in some], minlength=4) for some in drawn]
        uneven[make] = [np.ptp(c) for c in counts]
    assert uneven[sampled.qmc] == [0] * 4  # 32 points of a Sobol sequence after the first trial, 8 in each quarter
    assert min(uneven[Random]) > 1


@pytest.mark.parametrize("space", [mobile((3, 32, 32), 10), nasbench101(), wired()], ids=lambda s: s.name)
@pytest.mark.parametrize("name", EVERY)
def test_holes_that_are_not_met_are_not_asked_for(name, space):
    strategy, rng = MAKERS[name](Problem(space)), np.random.default_rng(0)
    for number in range(1, 16):
        proposal = strategy.ask(np.random.default_rng((0, number)))
        assert space.member(proposal.arch)
        strategy.tell(told(number, proposal.arch, rng.random()))
        drawn = strategy._study.trials[-1]
        assert set(drawn.params) == set(proposal.arch.labels)


def test_a_trial_that_it_did_not_ask_for_counts():
    space, _ = table()
    strategy, some = sampled.tpe(Problem(space)), list(space)
    for number, arch in enumerate(some[:12], 1):
        strategy.tell(told(number, arch, float(number)))
    trials = strategy._study.trials
    assert [t.value for t in trials] == [float(n) for n in range(1, 13)]
    names = [[space.choices[n].labels[k] for n, k in sorted(t.params.items())] for t in trials]
    assert names == [[label for _, label in arch.choices] for arch in some[:12]]


def test_what_becomes_of_a_proposal_is_told_once():
    space, _ = table()
    strategy, states = sampled.tpe(Problem(space, constraints=(at_most("latency_s", 1.0),))), []
    ends = [
        (State.DONE, {"accuracy": 0.5}),
        (State.FAILED, {}),
        (State.INFEASIBLE, {"accuracy": 0.9, "latency_s": 2.0}),
        (State.DONE, {"accuracy": 0.5, "latency_s": 2.0}),
        (State.DONE, {"accuracy": float("nan")}),
        (State.REPEAT, {"accuracy": 0.5}),
    ]
    for number, (state, metrics) in enumerate(ends, 1):
        proposal = strategy.ask(np.random.default_rng(number))
        strategy.tell(Trial(number, proposal, state, metrics))
        states.append(strategy._study.trials[-1].state.name)
    assert states == ["COMPLETE", "FAIL", "FAIL", "FAIL", "FAIL", "COMPLETE"]
    assert len(strategy._study.trials) == len(ends)


def test_a_sparse_table_tells_of_the_member_and_not_of_what_was_suggested():
    space, value = table()
    some = [a for a in space if a["d"] == "o1"]

    class Members:
        def __len__(self):
            return len(some)

        def __iter__(self):
            return iter(some)

        def draw(self, rng):
            return some[int(rng.random() * len(some))]

        def nearest(self, arch, *others):
            return max((a for a in some if a not in others), key=lambda a: len(set(a.choices) & set(arch.choices)))

    strategy = sampled.optuna_nsga2(Problem(replace(space, members=Members())), population=4)
    for number in range(1, 30):
        proposal = strategy.ask(np.random.default_rng(number))
        assert proposal.arch["d"] == "o1"
        strategy.tell(told(number, proposal.arch, value(proposal.arch)))
    done = [t for t in strategy._study.trials if t.state is optuna.trial.TrialState.COMPLETE]
    assert len(done) == 29
    assert {t.params["d"] for t in done} == {space.choices["d"].labels.index("o1")}
    assert max(t.system_attrs["NSGAIISampler:generation"] for t in done) > 1


def test_limits_are_kept():
    space = mobile((3, 32, 32), 10)
    free, rng = Problem(space), np.random.default_rng(0)
    limit = float(np.quantile([free.screen(space.sample(rng)).metrics["macs"] for _ in range(40)], 0.4))
    problem = Problem(space, constraints=(at_most("macs", limit),))
    strategy = sampled.tpe(problem)
    for number in range(1, 13):
        proposal = strategy.ask(np.random.default_rng(number))
        assert problem.screen(proposal.arch).metrics["macs"] <= limit
        strategy.tell(told(number, proposal.arch, float(number)))


def test_several_objectives_have_their_directions():
    space, value = table()
    problem = Problem(space, (maximise("accuracy"), minimise("cost")))
    strategy = sampled.tpe(problem)
    for number in range(1, 15):
        arch = strategy.ask(np.random.default_rng(number)).arch
        strategy.tell(Trial(number, Proposal(arch), State.DONE, {"accuracy": value(arch), "cost": float(number)}))
    assert {d.name for d in strategy._study.directions} == {"MAXIMIZE"}
    assert [t.values[1] for t in strategy._study.trials] == [-float(n) for n in range(1, 15)]
    with pytest.raises(ValueError, match="one objective"):
        sampled.cmaes(problem)


def test_cmaes_without_its_package_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="cmaes") as error:
        sampled.cmaes(Problem(table()[0]))
    assert error.value.fix == "pip install cmaes"
