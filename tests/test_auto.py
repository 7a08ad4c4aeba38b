"""The default strategy: what it becomes for a problem, how it is guided, and what it chooses in the end."""

from functools import partial

import numpy as np
import pytest

from nas import plugins
from nas.bench.named import named
from nas.bench.simulate import simulate
from nas.problem import Problem, Proposal, State, Trial, maximise, minimise
from nas.strategies import ASHA, NSGA2
from nas.strategies.auto import LONG, MOST, Auto, Guided
from nas.strategies.rated import Told
from nas.testing import best_of_seeds, play, strategy_laws, table
from predictors import PREDICTORS
from search_spaces import nasbench201

RIDGE = PREDICTORS["ridge"]


@pytest.mark.parametrize("law", list(strategy_laws()))
def test_auto_keeps_every_law(law):
    strategy_laws()[law](lambda problem: Guided(problem, RIDGE))


def test_what_it_becomes_depends_on_objectives_and_on_how_long_trainings_are():
    space, _ = table()
    one = Problem(space)
    assert isinstance(Auto(one, RIDGE).inside, Guided)
    assert isinstance(Auto(one, RIDGE, most=LONG - 1).inside, Guided)
    assert isinstance(Auto(one, RIDGE, most=LONG).inside, ASHA)
    two = Problem(space, (maximise("accuracy"), minimise("params")))
    assert isinstance(Auto(two, RIDGE).inside, NSGA2)


def test_long_trainings_come_short_first():
    space, value = table()
    trials = play(lambda problem: Auto(problem, RIDGE, most=81), Problem(space), value, asks=60, seed=0)
    budgets = [t.proposal.budget for t in trials]
    assert budgets[0] == 1
    assert max(budgets) >= 9
    assert budgets.count(1) > budgets.count(9)


def test_it_finds_more_than_random_search_and_evolution():
    made = plugins.strategies()
    best = best_of_seeds(lambda problem: Guided(problem, PREDICTORS["gp"]), seeds=6)
    assert best > best_of_seeds(made["random"])
    assert best >= best_of_seeds(made["evolution"])


def test_nothing_is_proposed_twice_while_something_new_is_left():
    space, value = table()
    trials = play(lambda problem: Guided(problem, RIDGE), Problem(space), value, asks=150, seed=1)
    assert len({t.arch for t in trials}) == 150


def test_of_ratings_noisier_than_the_members_differ_it_chooses_better_than_the_luckiest():
    space, value = table()
    members, chosen, lucky = list(space), [], []
    for seed in range(15):
        rng, strategy = np.random.default_rng(seed), Guided(Problem(space), PREDICTORS["gp"], PREDICTORS["gp-noisy"])
        told = {}
        for number, k in enumerate(rng.choice(len(members), 60, replace=False), 1):
            told[members[k]] = value(members[k]) + float(rng.normal(0, 0.2))
            strategy.tell(Trial(number, Proposal(members[k]), State.DONE, {"accuracy": told[members[k]]}))
        chosen.append(value(strategy.chosen()))
        lucky.append(value(max(told, key=told.__getitem__)))
    assert np.mean(chosen) > np.mean(lucky) + 0.02


def test_of_very_many_it_learns_from_the_best_and_the_latest():
    space, value = table()
    sizes = []

    class Counting:
        def fit(self, archs, y, features=None):
            sizes.append(len(archs))
            return RIDGE().fit(archs, y, features)

    strategy = Guided(Problem(space), Counting)
    archs = list(space)
    for number in range(1, 124):
        strategy.tell(Trial(number, Proposal(archs[number]), State.DONE, {"accuracy": value(archs[number])}))
    assert strategy.ask(np.random.default_rng(0)) is not None
    assert sizes == [120]
    assert max(sizes) <= MOST


def test_on_the_macro_table_it_finds_the_best_in_fewer_evaluations_than_random_search():
    macro = named("macro")
    auto = simulate(macro, partial(plugins.strategy, "auto"), evals=60, seed=0)
    random = [simulate(macro, partial(plugins.strategy, "random"), evals=60, seed=s).chosen[1] for s in range(20)]
    assert auto.chosen[1] > np.mean(random)


def test_too_few_first_ones_are_refused():
    with pytest.raises(ValueError, match="learns from 3 or more, got first 2"):
        Guided(Problem(table()[0]), RIDGE, first=2)


def test_of_two_spellings_of_one_network_it_tries_one_and_learns_one():
    space = nasbench201()
    problem, seen = Problem(space), {}
    second = next(a for a in space if seen.setdefault(problem.screen(a).same, a) != a)
    first = seen[problem.screen(second).same]
    told = Told(problem)
    told.add(first)
    assert second in told
    for number, (arch, value) in enumerate([(second, 0.5), (first, 0.7)], 1):
        told.tell(Trial(number, Proposal(arch), State.DONE, {"accuracy": value}))
    assert told.rated == {second: 0.5}


def test_rows_of_a_table_that_stand_for_several_architectures_are_asked_for_once():
    macro = named("macro")
    problem = macro.problem()
    for arch in list(macro.row)[:50]:
        assert problem.screen(arch).same == f"row {macro.row[arch]}"
