"""Successive halving, waiting or not: who is promoted, when, and who is told."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from nas.budgets import Ladder
from nas.errors import UserError
from nas.problem import Problem, Proposal, State, Trial, at_most, maximise, minimise
from nas.settle import settle
from nas.strategies.evolution import Evolution
from nas.strategies.generations import Generations
from nas.strategies.halving import ASHA, Bracket, Halving
from nas.strategies.listed import Listed
from nas.strategies.nsga import NSGA2
from nas.strategies.random import Random
from nas.strategies.warm import Warm
from nas.testing import strategy_laws
from tests.fidelity import MOST, PROBLEM, SPACE, WORTH, reached, run, seen
from tests.nasbench201_epochs import TABLE, found


def bred(problem):
    return Generations(problem, first=6, size=6, mutations=3, crossovers=3)


MAKE = {
    "asha": ASHA.random,
    "asha over evolution": lambda p: ASHA(Evolution(p), p, most=9),
    "asha over generations": lambda p: ASHA(bred(p), p, most=9),
    "asha over nsga2": lambda p: ASHA(NSGA2(p, population=4), p, most=20),
    "asha of one rung": lambda p: ASHA(Random(p), p, most=1),
    "halving": Halving.random,
    "halving over generations": lambda p: Halving(bred(p), p, most=9),
}


@pytest.mark.parametrize("law", list(strategy_laws()))
@pytest.mark.parametrize("name", list(MAKE))
def test_they_keep_every_law(name, law):
    strategy_laws()[law](MAKE[name])


def test_the_ladder_is_the_published_one():
    assert Ladder.of(1, 81, 3) == Ladder((1, 3, 9, 27, 81), (3, 3, 3, 3))
    assert Ladder.of(1, 20, 3).budgets == (2, 7, 20), "it ends at the whole training, whatever that is"
    assert Ladder.of(3, 81, 3).budgets == (3, 9, 27, 81)
    assert Ladder.of(5, 7, 3) == Ladder((7,), ())
    assert Ladder.of(1, 1, 3, (200, 12)) == Ladder((12, 200), (17,)), "each rung costs about as much"
    for wrong in ((1, 0, 3), (0, 9, 3), (1, 9, 1)):
        with pytest.raises(ValueError, match="climbs"):
            Ladder.of(*wrong)
    with pytest.raises(ValueError, match="different whole numbers"):
        Ladder.of(1, 9, 3, (3, 3))


def ranked(trials):
    return sorted(trials, key=lambda t: -t.metrics["accuracy"])


# Asynchronous


def test_asha_promotes_as_soon_as_a_rung_has_one_in_its_top_third():
    trials = run(ASHA(Random(PROBLEM), PROBLEM, most=9), 120)
    rungs = {1: [], 3: [], 9: []}
    promoted = Counter()
    for trial in trials:
        budget, parent = trial.proposal.budget, trial.proposal.parent
        due = {b: [t for t in ranked(rungs[b])[: len(rungs[b]) // 3] if not promoted[t]] for b in (3, 1)}
        highest = next((b for b in (3, 1) if due[b]), None)
        if highest is None:
            assert budget == 1
            assert parent is None
        else:
            assert (budget, parent) == (3 * highest, due[highest][0].id), "not the best of the highest rung with one"
            promoted[due[highest][0]] += 1
        if trial.state is State.DONE:
            rungs[budget].append(trial)
    assert len(rungs[9]) >= 3


def test_asha_never_waits():
    strategy, waiting = ASHA(Random(PROBLEM), PROBLEM), []
    for number in range(1, 301):
        proposal = strategy.ask(np.random.default_rng((0, number)))
        assert proposal is not None
        waiting.append(Trial(number, proposal, State.DONE, {"accuracy": seen(proposal.arch, proposal.budget)}))
        if number % 7 == 0:  # seven run at a time, and the last to begin is the first to end
            while waiting:
                strategy.tell(waiting.pop())
    assert {t.proposal.budget for t in waiting} <= {1, 3, 9, 27, 81}


def test_failures_and_repeats_are_never_promoted():
    strategy, rng, kinds = ASHA(Random(PROBLEM), PROBLEM, most=9), np.random.default_rng(0), {}
    for number in range(1, 400):
        proposal = strategy.ask(np.random.default_rng((0, number)))
        if proposal.parent:
            assert kinds[proposal.parent] is State.DONE
        state = State(rng.choice(["done", "failed", "infeasible", "repeat"]))
        rated = {"accuracy": WORTH(proposal.arch)} if state in (State.DONE, State.REPEAT) else {}
        kinds[number] = state
        strategy.tell(Trial(number, proposal, state, rated, reason="error"))


def test_what_is_told_again_is_mended():
    one, two, three = (SPACE.sample(np.random.default_rng(n)) for n in range(3))
    strategy = ASHA(Listed([one, two, three]), PROBLEM, most=3)
    for number, value in ((1, 0.9), (2, 0.5), (3, 0.4)):
        strategy.tell(Trial(number, strategy.ask(np.random.default_rng(0)), State.DONE, {"accuracy": value}))
    strategy.tell(Trial(1, Proposal(one, 1), State.DONE, {"accuracy": 0.1}))
    assert strategy.ask(np.random.default_rng(0)) == Proposal(two, 3, 2, {"by": "promoted"})
    assert strategy.ask(np.random.default_rng(0)) is None


def test_whole_trainings_and_strangers_are_taken_as_they_are():
    archs = [SPACE.sample(np.random.default_rng(n)) for n in range(4)]
    strategy = Warm(ASHA(Random(PROBLEM), PROBLEM, most=9), archs[:1])
    first = strategy.ask(np.random.default_rng(0))
    assert first.budget is None
    strategy.tell(Trial(1, first, State.DONE, {"accuracy": 1.0}))
    strategy.tell(Trial(50, Proposal(archs[0], 3), State.DONE, {"accuracy": 1.0}))  # that has climbed already
    strategy.tell(Trial(51, Proposal(archs[1], 5), State.DONE, {"accuracy": 1.0}))  # a budget that is none of ours
    strategy.tell(Trial(52, Proposal(archs[2], 3), State.DONE, {"accuracy": 0.2}))
    strategy.tell(Trial(53, Proposal(archs[3], 3), State.DONE, {"accuracy": 0.1}))
    assert strategy.ask(np.random.default_rng(0)).budget == 1, "the best of three has climbed, the next is not due"


class _Heard:
    """Random, and what it was told."""

    def __init__(self):
        self.strategy, self.told = Random(PROBLEM), []

    def ask(self, rng):
        return self.strategy.ask(rng)

    def tell(self, trial):
        self.told.append(trial)


@pytest.mark.parametrize("kind", [ASHA, Halving])
def test_the_strategy_inside_hears_of_the_shortest_budget_alone(kind):
    heard = _Heard()
    trials = run(kind(heard, PROBLEM, most=9), 200)
    assert heard.told == [t for t in trials if t.proposal.budget == 1]
    assert len(heard.told) < len(trials)


def test_limits_come_before_values():
    problem = Problem(SPACE, constraints=(at_most("heat", 1.0),))
    archs = [SPACE.sample(np.random.default_rng(n)) for n in range(3)]
    strategy = ASHA(Listed(archs), problem, most=3)
    for number, (value, heat) in enumerate(((0.9, 2.0), (0.5, 0.5), (0.4, 0.5)), 1):
        proposal = strategy.ask(np.random.default_rng(0))
        strategy.tell(Trial(number, proposal, State.DONE, {"accuracy": value, "heat": heat}))
    assert strategy.ask(np.random.default_rng(0)).parent == 2


def test_several_objectives_are_refused():
    both = replace(PROBLEM, objectives=(maximise("accuracy"), minimise("params")))
    for make in (ASHA.random, Halving.random):
        with pytest.raises(ValueError, match="one objective ranks a rung, got 2"):
            make(both)


# Synchronous


def test_a_bracket_halves_81_candidates_to_one():
    strategy, trials = Halving(Listed(list(SPACE)), PROBLEM), []
    for number in range(1, 122):
        proposal = strategy.ask(np.random.default_rng(number))
        trials.append(Trial(number, proposal, State.DONE, {"accuracy": seen(proposal.arch, proposal.budget)}))
        strategy.tell(trials[-1])
    assert [t.proposal.budget for t in trials] == [1] * 81 + [3] * 27 + [9] * 9 + [27] * 3 + [81]
    for budget, size in ((1, 27), (3, 9), (9, 3), (27, 1)):
        rung = ranked(t for t in trials if t.proposal.budget == budget)
        above = [t.proposal.parent for t in trials if t.proposal.budget == 3 * budget]
        assert above == [t.id for t in rung[:size]]
    assert strategy.ask(np.random.default_rng(0)).budget == 1, "the next bracket"


def test_a_rung_is_promoted_from_once_it_is_whole_and_nobody_waits_for_it():
    strategy, asked = Halving(Random(PROBLEM), PROBLEM, most=9), []
    for number in range(1, 12):  # two more than a bracket takes
        asked.append(strategy.ask(np.random.default_rng(number)))
    assert [p.budget for p in asked] == [1] * 11
    for number, proposal in enumerate(asked[:8], 1):
        strategy.tell(Trial(number, proposal, State.DONE, {"accuracy": number / 10}))
    assert strategy.ask(np.random.default_rng(20)).budget == 1, "one of its nine still runs"
    strategy.tell(Trial(9, asked[8], State.FAILED, reason="died"))
    assert [strategy.ask(np.random.default_rng(n)).parent for n in (21, 22, 23)] == [8, 7, 6]
    assert strategy.ask(np.random.default_rng(24)).budget == 1


def test_a_bracket_whose_candidates_all_fail_ends():
    strategy = Halving(Random(PROBLEM), PROBLEM, most=9)
    for number in range(1, 40):
        proposal = strategy.ask(np.random.default_rng(number))
        assert proposal.budget == 1
        strategy.tell(Trial(number, proposal, State.FAILED, reason="error"))


def test_what_is_left_when_the_strategy_inside_ends_is_halved_too():
    archs = list(SPACE)[:20]
    trials = run(Halving(Listed(archs), PROBLEM, most=9), 1000)
    assert Counter(t.proposal.budget for t in trials) == {1: 20, 3: 3 + 3 + 1, 9: 3}, "of 9, 9 and 2"
    best = max(trials, key=lambda t: (t.proposal.budget, t.metrics["accuracy"]))
    assert best.proposal.budget == 9


def test_too_few_candidates_are_refused():
    with pytest.raises(ValueError, match="26 candidates leave none for the last rung, which takes 27"):
        Bracket(PROBLEM, Ladder.of(1, 27, 3), 26)


# What it is good for


@pytest.mark.parametrize("make", [ASHA.random, Halving.random], ids=["asha", "halving"])
def test_it_finds_better_ones_than_random_search_at_equal_epochs(make):
    """Over 20 seeds, five whole trainings' worth of epochs, of which the short ones are noisy."""
    mine, random = ([reached(kind, 5 * MOST, seed) for seed in range(20)] for kind in (make, Random))
    assert np.mean(mine) > np.mean(random) + 0.05
    assert sum(a > b for a, b in zip(mine, random, strict=True)) >= 14


@pytest.mark.skipif(not TABLE.exists(), reason="the table of NAS-Bench-201 is not in this checkout")
def test_nas_bench_201_of_12_and_200_epochs_at_equal_seconds():
    """Random search trains 11 networks for 200 epochs in 20,000 s; halving from 12 epochs finds better ones."""
    random = [found(Random, 20_000, seed) for seed in range(20)]
    for kind in (ASHA, Halving):
        mine = [found(lambda p, kind=kind: kind.random(p, budgets=(12, 200)), 20_000, seed) for seed in range(20)]
        assert np.mean(mine) > np.mean(random) + 0.2


# In a run


def test_a_search_says_how_long_a_whole_training_is(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from nas.strategies.halving import ASHA\nfrom nas.strategies import Random\n"
        "def long(problem, most=81):\n    assert most == 12\n    return ASHA(Random(problem), problem, most=most)\n"
        "def plain(problem):\n    return Random(problem)\n"
    )
    settings = settle(strategy=f"{file}:long", epochs=12)
    assert settings.epochs == 12
    settle(strategy=f"{file}:plain", epochs=5)
    with pytest.raises(UserError, match="a supernet rates without training"):
        settle(strategy=f"{file}:long", epochs=12, supernet="uniform")
