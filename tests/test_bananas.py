"""BANANAS: the laws, who is mutated and who is proposed, and what it finds."""

from functools import partial

import numpy as np
import pytest

from nas.problem import Problem, Proposal, State, Trial, at_most, maximise, minimise
from nas.roles import Prediction
from nas.strategies import Random
from nas.strategies.bananas import Bananas
from nas.testing import strategy_laws
from nas.testing.strategies import best_of_seeds, play, table
from predictors.gp import GP
from predictors.neural import Networks
from search_spaces import mobile

on_gp = partial(Bananas, predictor=GP)
on_networks = partial(Bananas, predictor=partial(Networks, layers=3, epochs=5))


class Counted:
    """A predictor that knows the truth with a deviation, and notes what it was asked."""

    def __init__(self, value, std=1e-9):
        self.value, self.std, self.fits, self.asked = value, std, [], []

    def fit(self, archs, y, features=None):
        self.fits.append(dict(zip(archs, y, strict=True)))
        return self

    def predict(self, archs, features=None):
        self.asked.append(list(archs))
        return Prediction(np.array([self.value(a) for a in archs]), np.full(len(archs), self.std))


@pytest.mark.parametrize("law", list(strategy_laws()))
@pytest.mark.parametrize("make", [on_gp, on_networks], ids=["gp", "networks"])
def test_it_keeps_every_law(make, law):
    strategy_laws()[law](make)


def test_it_finds_more_than_random_search():
    found = best_of_seeds(on_gp, asks=50, seeds=7)
    assert found > best_of_seeds(Random, asks=50, seeds=7) + 0.005


def test_it_begins_at_random_and_learns_anew_after_each_step():
    space, value = table()
    model = Counted(value)
    trials = play(
        lambda p: Bananas(p, lambda: model, first=8, step=5, candidates=20), Problem(space), value, asks=24, seed=0
    )
    assert [t.proposal.note["by"] for t in trials] == ["random"] * 8 + ["predictor"] * 16
    assert [len(known) for known in model.fits] == [8, 13, 18, 23]
    assert all(known[a] == value(a) for known in model.fits for a in known)
    assert len({t.arch for t in trials}) == 24


def test_candidates_are_new_mutations_of_the_best():
    space, value = table()
    model = Counted(value)
    strategy = Bananas(Problem(space), lambda: model, first=30, step=2, parents=3, candidates=40)
    archs = list(space)[::6]
    for number, arch in enumerate(archs, 1):
        strategy.tell(Trial(number, Proposal(arch), State.DONE, {"accuracy": value(arch)}))
    first = strategy.ask(np.random.default_rng(0)).arch
    best = sorted(archs, key=value)[-3:]
    for arch in model.asked[0]:
        assert arch not in archs
        assert min(len(set(arch.choices) - set(b.choices)) for b in best) == 1
    assert first == max(model.asked[0], key=value)


def test_a_wide_deviation_explores():
    space, value = table()
    picks = {}
    for std in (1e-9, 10.0):
        picks[std] = set()
        for seed in range(12):
            strategy = Bananas(Problem(space), lambda std=std: Counted(value, std), first=10, candidates=30)
            for number, arch in enumerate(list(space)[:10], 1):
                strategy.tell(Trial(number, Proposal(arch), State.DONE, {"accuracy": value(arch)}))
            picks[std].add(strategy.ask(np.random.default_rng(seed)).arch)
    assert len(picks[10.0]) > 2 * len(picks[1e-9])


def test_limits_are_kept_and_what_breaks_a_measured_one_is_not_learnt():
    space = mobile((3, 32, 32), 10)
    free, rng = Problem(space), np.random.default_rng(0)
    limit = float(np.quantile([free.screen(space.sample(rng)).metrics["macs"] for _ in range(40)], 0.3))
    problem = Problem(space, constraints=(at_most("macs", limit), at_most("latency_s", 1.0)))
    model = Counted(lambda arch: problem.screen(arch).metrics["macs"])
    strategy = Bananas(problem, lambda: model, first=6, step=4, candidates=12)
    for number in range(1, 19):
        proposal = strategy.ask(np.random.default_rng(number))
        assert problem.screen(proposal.arch).metrics["macs"] <= limit
        metrics = {"accuracy": float(number), "latency_s": 2.0 if number % 3 == 0 else 0.5}
        strategy.tell(Trial(number, proposal, State.DONE, metrics))
    assert model.fits
    assert not {float(n) for n in range(3, 19, 3)} & {y for known in model.fits for y in known.values()}


def test_it_goes_on_when_everything_is_known():
    space, value = table()
    strategy = Bananas(Problem(space), GP)
    for number, arch in enumerate(space, 1):
        strategy.tell(Trial(number, Proposal(arch), State.DONE, {"accuracy": value(arch)}))
    assert space.member(strategy.ask(np.random.default_rng(0)).arch)


def test_what_it_cannot_do_is_refused():
    space, _ = table()
    with pytest.raises(ValueError, match="one objective"):
        Bananas(Problem(space, (maximise("accuracy"), minimise("cost"))), GP)
    for numbers in ({"first": 2}, {"step": 0}, {"candidates": 5}):
        with pytest.raises(ValueError, match="learns from 3"):
            Bananas(Problem(space), GP, **numbers)
