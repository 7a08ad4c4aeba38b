"""NSGA-II: fronts and crowding by hand, who survives, and the front that it finds."""

from dataclasses import replace

import numpy as np
import pytest

from nas.problem import Problem, Proposal, State, Trial, at_most, maximise, minimise
from nas.strategies import NSGA2, Random
from nas.strategies.nsga import crowding, fronts
from tests.test_generations import long_space

TWO = (maximise("accuracy"), minimise("cost"))


def volume(points, reference=(0.0, 0.0)):
    """The area that points (n, 2), both larger is better, dominate above a reference."""
    total, height = 0.0, reference[1]
    for x, y in sorted(map(tuple, points), reverse=True):
        if y > height and x > reference[0]:
            total, height = total + (x - reference[0]) * (y - height), y
    return total


def rated(seed):
    """What members of the toy are worth and cost: a sum over 12 choices, in which what is worth more costs more."""
    rng = np.random.default_rng(seed)
    costs = rng.random((12, 4))
    values = np.sqrt(costs) * rng.uniform(0.3, 1.0, (12, 4))

    def rate(arch):
        at = tuple(np.array([int(arch[f"c{n}"][1:]) for n in range(12)]))
        return {"accuracy": values[range(12), at].sum() / 12, "cost": costs[range(12), at].sum() / 12}

    return rate


def played(strategy, rate, count, seed):
    trials = []
    for number in range(1, count + 1):
        proposal = strategy.ask(np.random.default_rng((seed, number)))
        trials.append(Trial(number, proposal, State.DONE, rate(proposal.arch)))
        strategy.tell(trials[-1])
    return trials


def test_the_fronts_of_nine_points():
    values = np.array([[1, 5], [2, 4], [4, 2], [5, 1], [1, 4], [2, 2], [4, 1], [1, 1], [5, 1]], dtype=float)
    assert [f.tolist() for f in fronts(values)] == [[0, 1, 2, 3, 8], [4, 5, 6], [7]]


def test_fronts_are_what_problem_better_says():
    rng, problem = np.random.default_rng(0), Problem(long_space(), TWO, (at_most("latency_s", 1.0),))
    names = ("accuracy", "cost", "latency_s")
    metrics = [dict(zip(names, rng.integers(0, 4, 3) / 2, strict=True)) for _ in range(60)]
    values = np.array([problem.value(m) for m in metrics])
    found = fronts(values, [problem.violation(m) for m in metrics])
    assert sorted(k for front in found for k in front) == list(range(60))
    for place, front in enumerate(found):
        for k in front:
            above = [j for j in range(60) if problem.better(metrics[j], metrics[k])]
            assert not set(above) & {int(j) for later in found[place:] for j in later}
            assert place == 0 or set(above) & set(found[place - 1].tolist())


def test_less_violation_dominates_whatever_the_values():
    values = np.array([[9.0, 9.0], [1.0, 1.0], [5.0, 5.0], [6.0, 6.0]])
    assert [f.tolist() for f in fronts(values, [0.5, 0.0, 0.2, 0.2])] == [[1], [3], [2], [0]]


def test_crowding_distances_by_hand():
    values = np.array([[3.0, 1.0], [0.0, 4.0], [4.0, 0.0], [1.0, 2.0]])
    # (1, 2): its neighbours lie 3 of 4 apart in both objectives; (3, 1): 3 of 4 and 2 of 4.
    assert crowding(values).tolist() == [1.25, np.inf, np.inf, 1.5]
    assert crowding(10 * values + 3).tolist() == crowding(values).tolist()
    assert crowding(np.array([[1.0, 2.0]])).tolist() == [np.inf]


def test_the_next_generation_is_the_best_fronts_and_the_loneliest_of_the_crowded_one():
    space = long_space()
    strategy = NSGA2(Problem(space, TWO), population=6)
    # A front of 9 on a line, of which the ends and the loneliest stay: gaps at 0, 10 and between.
    places = [0.0, 1.0, 1.1, 1.2, 5.0, 8.8, 8.9, 9.0, 10.0]
    for n, x in enumerate(places, 1):
        arch = space.sample(np.random.default_rng(n))
        strategy.tell(Trial(n, Proposal(arch), State.DONE, {"accuracy": x, "cost": x}))
    strategy._survive()
    assert sorted(t.metrics["accuracy"] for t in strategy._alive) == [0.0, 1.0, 1.2, 5.0, 8.8, 10.0]


def test_it_beats_random_search_in_hypervolume():
    gaps = []
    for seed in range(7):
        problem, rate = Problem(long_space(12), TWO), rated(seed)
        both = []
        for strategy in (NSGA2(problem), Random(problem)):
            trials = played(strategy, rate, 200, seed)
            both.append(volume([(t.metrics["accuracy"], 1 - t.metrics["cost"]) for t in trials]))
        gaps.append(both[0] / both[1] - 1)
    assert np.median(gaps) > 0.03
    assert min(gaps) > 0


def test_a_generation_waits_and_asking_meanwhile_changes_nothing():
    rate, problem = rated(0), Problem(long_space(12), TWO)
    one, two = NSGA2(problem, population=6), NSGA2(problem, population=6)
    for strategy, nagging in ((one, True), (two, False)):
        asked = [Trial(n, strategy.ask(np.random.default_rng(n)), State.DONE) for n in range(1, 7)]
        for trial in reversed(asked):
            if nagging:
                assert strategy.ask(np.random.default_rng(99)) is None
            strategy.tell(replace(trial, metrics=rate(trial.arch)))
    assert one.ask(np.random.default_rng(7)) == two.ask(np.random.default_rng(7))


def test_what_failed_or_repeats_does_not_live():
    rate, strategy = rated(0), NSGA2(Problem(long_space(12), TWO), population=4)
    for n, state in enumerate((State.FAILED, State.DONE, State.REPEAT, State.DONE), 1):
        proposal = strategy.ask(np.random.default_rng(n))
        strategy.tell(Trial(n, proposal, state, {} if state is State.FAILED else rate(proposal.arch)))
    assert set(strategy.ask(np.random.default_rng(5)).note["of"]) <= {2, 4}


@pytest.mark.parametrize("numbers", [{"population": 1}, {"crossing": 1.5}, {"probability": 0.0}])
def test_numbers_that_make_no_population_are_refused(numbers):
    with pytest.raises(ValueError, match=r"population|probabilities"):
        NSGA2(Problem(long_space()), **numbers)
