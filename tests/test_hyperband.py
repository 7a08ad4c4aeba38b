"""Hyperband's brackets, and BOHB's candidates."""

from functools import partial

import numpy as np
import pytest

from nas.budgets import Ladder
from nas.problem import Problem, Proposal, State, Trial
from nas.space import Space
from nas.strategies.bohb import BOHB, Density
from nas.strategies.evolution import Evolution
from nas.strategies.generations import Generations
from nas.strategies.hyperband import Hyperband, starts
from nas.strategies.listed import Listed
from nas.strategies.random import Random
from nas.testing import strategy_laws
from nas.tree import Chain, Choice, Identity
from tests.fidelity import MOST, PROBLEM, SPACE, WORTH, reached, run
from tests.tiny import wired

MAKE = {
    "hyperband": Hyperband.random,
    "hyperband over evolution": lambda p: Hyperband(partial(Evolution, p, 4, 2), p, most=9),
    "hyperband over generations": lambda p: Hyperband(
        lambda: Generations(p, first=6, size=6, mutations=3, crossovers=3), p, most=9
    ),
    "bohb": BOHB,
    "bohb of few rungs": lambda p: BOHB(p, most=9),
}


@pytest.mark.parametrize("law", list(strategy_laws()))
@pytest.mark.parametrize("name", list(MAKE))
def test_they_keep_every_law(name, law):
    strategy_laws()[law](MAKE[name])


def test_the_brackets_of_81_by_3_are_the_published_ones():
    assert starts(Ladder.of(1, 81, 3)) == [(81, 1), (34, 3), (15, 9), (8, 27), (5, 81)]
    assert starts(Ladder.of(1, 1, 3, (12, 200))) == [(17, 12), (2, 200)]


def test_a_round_asks_for_the_brackets_one_after_another():
    strategy, budgets = Hyperband(lambda: Listed(list(SPACE)), PROBLEM), []
    for number in range(1, 207):
        proposal = strategy.ask(np.random.default_rng(number))
        budgets.append((proposal.budget, proposal.parent is not None))
        strategy.tell(Trial(number, proposal, State.DONE, {"accuracy": WORTH(proposal.arch)}))
    rungs = [((81, 1), (27, 3), (9, 9), (3, 27), (1, 81)), ((34, 3), (11, 9), (3, 27), (1, 81))]
    rungs += [((15, 9), (5, 27), (1, 81)), ((8, 27), (2, 81)), ((5, 81),)]
    expected = [(budget, k > 0) for rung in rungs for k, (count, budget) in enumerate(rung) for _ in range(count)]
    assert len(expected) == 206
    assert budgets == expected


def test_each_strategy_inside_hears_of_its_own_budget_alone():
    made = []

    class Heard:
        def __init__(self):
            self.told = []
            made.append(self)

        def ask(self, rng):
            return Proposal(PROBLEM.sample(rng))

        def tell(self, trial):
            self.told.append(trial)

    trials = run(Hyperband(Heard, PROBLEM, most=9), 400)
    assert len(made) == 3
    for budget, heard in zip((1, 3, 9), made, strict=True):
        assert heard.told == [t for t in trials if t.proposal.budget == budget]


@pytest.mark.parametrize("make", [Hyperband.random, BOHB], ids=["hyperband", "bohb"])
def test_it_finds_better_ones_than_random_search_at_equal_epochs(make):
    """Over 20 seeds, five whole trainings' worth of epochs, of which the short ones are noisy."""
    mine, random = ([reached(kind, 5 * MOST, seed) for seed in range(20)] for kind in (make, Random))
    assert np.mean(mine) > np.mean(random) + 0.05
    assert sum(a > b for a, b in zip(mine, random, strict=True)) >= 14


# The model


def test_a_density_counts_the_best_and_the_others_whatever_the_order():
    rng = np.random.default_rng(0)
    archs = list({SPACE.sample(rng) for _ in range(60)})
    made = Density(SPACE.choices, 5, 0.15)
    for n, arch in enumerate(archs):
        made.take((0.0, float(rng.random()), n, arch.key), arch)
    for n in rng.permutation(len(archs)):  # all are told again with other values
        made.take((0.0, -WORTH(archs[n]), int(n), archs[n].key), archs[n])
    ranked = sorted(archs, key=WORTH, reverse=True)
    best = max(5, int(0.15 * len(archs)))
    for name, choice in SPACE.choices.items():
        for found, some in ((made.best, ranked[:best]), (made.all, ranked)):
            assert found[name] == [sum(a[name] == label for a in some) for label in choice.labels]
        n, k = len(archs) - best, len(choice.options)
        others = [sum(a[name] == label for a in ranked[best:]) for label in choice.labels]
        assert made.shares(name, best=False) == [(c + 1) / (n + k) for c in others]


def test_the_model_is_of_the_longest_budget_with_enough_points():
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(SPACE.sample(rng) for _ in range(80)))
    enough = len(SPACE.choices) + 3
    strategy = BOHB(PROBLEM, most=9, random=0.0)

    def tell(number, arch, budget, value):
        strategy.tell(Trial(number, Proposal(arch, budget), State.DONE, {"accuracy": value}))

    def asked(number):
        return strategy.ask(np.random.default_rng(number))

    for number, arch in enumerate(archs[: enough - 1]):
        tell(number, arch, 1, float(arch["a"] == "o0"))
    assert asked(1).note["by"] == "random"
    for number, arch in enumerate(archs[enough - 1 :], 100):
        tell(number, arch, 1, float(arch["a"] == "o0"))
    first = [asked(n) for n in range(2, 12)]
    assert {p.note["by"] for p in first} == {"model"}
    assert all(p.arch["a"] == "o0" for p in first)
    for number, arch in enumerate(archs[:40], 300):
        tell(number, arch, 3, float(arch["a"] == "o1"))
    assert all(asked(n).arch["a"] == "o1" for n in range(12, 22))
    assert len({p.arch for p in first} | set(archs)) == len(first) + len(archs), "one that is known was asked again"


def test_a_third_is_random():
    strategy = BOHB(PROBLEM, most=1)
    trials = run(strategy, 150)
    fresh = [t.proposal.note["by"] for t in trials[10:]]
    assert 0.2 < fresh.count("random") / len(fresh) < 0.5
    with pytest.raises(ValueError, match="shares lie between 0 and 1"):
        BOHB(PROBLEM, share=1.0)


def test_spaces_with_nested_and_kept_holes_are_modelled():
    problem = Problem(wired())
    strategy = BOHB(problem, most=3)
    seen = set()
    for number in range(1, 120):
        proposal = strategy.ask(np.random.default_rng(number))
        assert problem.space.member(proposal.arch)
        seen.add(proposal.note["by"])
        strategy.tell(Trial(number, proposal, State.DONE, {"accuracy": len(proposal.arch.choices) / 20}))
    assert seen == {"random", "model", "promoted"}


def test_a_space_of_one_network_ends_in_repeats_and_not_in_an_error():
    problem = Problem(Space("one", Chain.seq(Choice.over("x", only=Identity())), (1, 4, 4)))
    strategy = BOHB(problem, most=3)
    for number in range(1, 30):
        proposal = strategy.ask(np.random.default_rng(number))
        state = State.DONE if number == 1 else State.REPEAT
        strategy.tell(Trial(number, proposal, state, {"accuracy": 0.5}))
