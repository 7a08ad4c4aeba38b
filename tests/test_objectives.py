"""Objectives made of several metrics, hypervolume and knee, and noise: the best rated again."""

import pickle
from dataclasses import replace
from itertools import combinations
from math import log2

import numpy as np
import pytest

from nas.objectives import Derived, hypervolume, knee, mean_of, soft_target, weighted
from nas.problem import Problem, Proposal, State, Trial, maximise
from nas.store import Store
from nas.strategies import Evolution, Program, Random
from nas.strategies.again import Again
from nas.strategies.local import LocalSearch
from nas.study import Progress, Terms, best_of, search
from nas.testing import strategy_laws, table
from search_spaces import nasbench201
from tests.inline import Inline

SPACE, VALUE = table()


def doubled(metrics):
    return 2 * metrics["accuracy"]


# objectives made of several metrics


def test_the_reward_is_the_papers_formula():
    soft = soft_target("accuracy", "latency_s", 0.08)
    assert soft.of({"accuracy": 0.75, "latency_s": 0.08}) == 0.75
    assert soft.of({"accuracy": 0.75, "latency_s": 0.16}) == pytest.approx(0.75 * 2**-0.07)
    assert soft.of({"accuracy": 0.75, "latency_s": 0.04}) == pytest.approx(0.75 * 2**0.07)
    hard = soft_target("accuracy", "latency_s", 0.08, alpha=0, beta=-1)
    assert hard.of({"accuracy": 0.75, "latency_s": 0.04}) == 0.75
    assert hard.of({"accuracy": 0.75, "latency_s": 0.16}) == pytest.approx(0.375)


def test_five_percent_of_accuracy_pay_for_twice_the_cost():
    assert round(-log2(1.05), 2) == -0.07  # how section 3.2 of the paper comes to its exponent
    soft = soft_target("accuracy", "macs", 3e8)
    one, other = {"accuracy": 0.6, "macs": 2e8}, {"accuracy": 0.6 * 1.05, "macs": 4e8}
    assert soft.of(other) == pytest.approx(soft.of(one), rel=1e-3)


def test_a_cost_that_was_not_measured_is_worth_nothing_and_ends_no_search():
    assert soft_target("accuracy", "latency_s", 1.0).of({"accuracy": 0.9, "latency_s": 0.0}) == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: soft_target("accuracy", "macs", 0),
        lambda: soft_target("accuracy", "macs", 1, beta=0.1),
        lambda: weighted({}),
    ],
)
def test_objectives_without_sense_are_refused(make):
    with pytest.raises(ValueError, match="above 0|at least one"):
        make()


@pytest.mark.parametrize(
    "goal",
    [
        weighted({"accuracy": 1, "macs": -1e-9}),
        soft_target("accuracy", "macs", 1e8),
        Derived("double", "min", ("accuracy",), doubled),
    ],
)
def test_a_problem_understands_what_is_made_of_several_metrics(goal):
    problem = Problem(SPACE, (goal,))
    good, bad = {"accuracy": 0.9, "macs": 2e8}, {"accuracy": 0.5, "macs": 2e8}
    assert problem.rates(good)
    assert not problem.rates({"macs": 2e8})
    assert problem.better(good, bad) == (goal.goal == "max")
    assert problem.better(bad, good) == (goal.goal == "min")
    again = pickle.loads(pickle.dumps(problem))
    assert again.objectives == problem.objectives
    assert again.value(good) == problem.value(good)


def test_a_weighted_objective_is_a_sum():
    assert weighted({"a": 2, "b": -3}).of({"a": 5, "b": 1, "c": 9}) == 7


def test_evolution_on_a_soft_target_ends_nearer_to_it_than_on_accuracy():
    def rate(arch):
        return {"accuracy": VALUE(arch), "cost": float(np.exp(3 * VALUE(arch)))}

    def ends(goal, seed):
        problem, trials = Problem(SPACE, (goal,)), []
        strategy = Evolution(problem)
        for n in range(1, 81):
            proposal = strategy.ask(np.random.default_rng((seed, n)))
            trials.append(Trial(n, proposal, State.DONE, rate(proposal.arch)))
            strategy.tell(trials[-1])
        return best_of(problem, trials)[0].metrics["cost"]

    target = 4.0
    soft = soft_target("accuracy", "cost", target, alpha=0, beta=-1)
    assert all(abs(ends(soft, s) - target) < 0.5 < abs(ends(maximise("accuracy"), s) - target) for s in range(5))


def test_a_program_learns_a_number_made_of_several_metrics_as_it_learns_one():
    problem = Problem(SPACE, (weighted({"accuracy": 1, "cost": -0.5}),))
    strategy = Program(problem)
    for n in range(1, 31):
        proposal = strategy.ask(np.random.default_rng(n))
        told = {"accuracy": VALUE(proposal.arch), "cost": VALUE(proposal.arch) / 2}
        strategy.tell(Trial(n, proposal, State.DONE, told))
    assert proposal.note["by"] == "program"
    assert VALUE(proposal.arch) > np.median([VALUE(arch) for arch in SPACE])


# hypervolume and knee


def inclusion_exclusion(points, reference):
    total = 0.0
    for size in range(1, len(points) + 1):
        for some in combinations(points, size):
            total -= (-1) ** size * np.prod(np.maximum(0.0, np.min(some, axis=0) - reference))
    return total


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5])
def test_the_hypervolume_is_that_of_inclusion_and_exclusion(d):
    rng = np.random.default_rng(d)
    for _ in range(6):
        points = rng.normal(size=(rng.integers(1, 8), d)).round(1)  # ties, dominated ones, some below the reference
        reference = rng.normal(size=d).round(1) - 0.5
        assert hypervolume(points, reference) == pytest.approx(inclusion_exclusion(points, reference), abs=1e-9)


@pytest.mark.parametrize("d", [2, 3, 4])
def test_the_hypervolume_is_the_share_of_random_points_that_are_dominated(d):
    rng = np.random.default_rng(d)
    points, drawn = rng.random((40, d)), rng.random((100_000, d))
    share = np.mean([(points >= some).all(1).any() for some in drawn[:20_000]])
    assert hypervolume(points, [0.0] * d) == pytest.approx(share, abs=0.015)


def test_the_hypervolume_by_hand():
    assert hypervolume([[1, 3], [2, 2], [3, 1]], [0, 0]) == 6
    assert hypervolume([[1, 3], [2, 2], [3, 1], [1, 1], [2, 2]], [0, 0]) == 6
    assert hypervolume([[2, 2, 2], [1, 1, 3]], [0, 0, 0]) == 9
    assert hypervolume([[1, 1]], [1, 0]) == hypervolume(np.zeros((0, 2)), [0, 0]) == 0


def test_the_hypervolume_grows_with_what_is_not_dominated_and_with_nothing_else():
    rng = np.random.default_rng(0)
    for d in (2, 3):
        points = rng.random((30, d))
        whole = hypervolume(points, [0] * d)
        assert hypervolume(np.vstack([points, points * 0.9]), [0] * d) == pytest.approx(whole)
        assert hypervolume(np.vstack([points, points.max(0) * 1.01]), [0] * d) > whole


def test_the_knee_is_the_member_farthest_from_the_line_between_the_ends():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = np.sort(rng.random(12))
        front = np.stack([x, np.sqrt(1 - x**2) * 40], axis=1)  # a quarter of an ellipse
        a, b = front[0], front[-1]
        scale = np.abs(b - a)
        far = [np.cross(np.append((b - a) / scale, 0), np.append((p - a) / scale, 0))[2] for p in front]
        assert knee(front) == int(np.argmax(np.abs(far)))
    assert knee([[5.0, 5.0]]) == 0
    with pytest.raises(ValueError, match="at least one member"):
        knee(np.zeros((0, 2)))


# noise


def test_metrics_that_only_some_evaluations_have_are_their_mean():
    assert mean_of([{"a": 1.0, "b": 2.0}, {"a": 3.0}]) == {"a": 2.0, "b": 2.0}


@pytest.mark.parametrize("law", list(strategy_laws()))
def test_a_search_that_rates_again_keeps_every_law(law):
    strategy_laws()[law](lambda problem: Again(Evolution(problem), problem))


def noisy(make, seed, asks, noise):
    """Trials whose ratings are noisy."""
    problem, trials = Problem(SPACE), []
    strategy = make(problem)
    for n in range(1, asks + 1):
        proposal, rng = strategy.ask(np.random.default_rng((seed, n))), np.random.default_rng((seed, n, 1))
        value = VALUE(proposal.arch) + noise * float(rng.standard_normal())
        trials.append(Trial(n, proposal, State.DONE, {"accuracy": value}))
        strategy.tell(trials[-1])
    return strategy, trials


def test_one_proposal_in_so_many_rates_the_best_again():
    strategy, trials = noisy(lambda p: Again(Random(p), p, every=4, best=2), 0, 60, 0.1)
    again = [t for t in trials if t.proposal.again]
    assert [t.id for t in again] == list(range(4, 61, 4))
    for t in again:
        before = best_of(Problem(SPACE), trials[: t.id - 1], 2)
        assert t.arch in {b.arch for b in before}
        assert t.proposal.again == sum(o.arch == t.arch for o in trials[: t.id - 1] if o.proposal.again) + 1
    assert strategy.chosen() == best_of(Problem(SPACE), trials)[0].arch


def test_under_noise_the_best_by_means_is_better_than_the_luckiest():
    def ends(make, seed):
        return VALUE(best_of(Problem(SPACE), noisy(make, seed, 80, 0.1)[1])[0].arch)

    gains = [ends(lambda p: Again(Evolution(p), p), s) - ends(Evolution, s) for s in range(30)]
    assert np.mean(gains) > 2 * np.std(gains) / len(gains) ** 0.5


@pytest.mark.parametrize("make", [Evolution, LocalSearch])
def test_the_strategy_inside_is_told_the_mean_in_place_of_what_it_knew(make):
    problem, arch = Problem(SPACE), next(iter(SPACE))
    inside = make(problem, 10) if make is Evolution else make(problem, starts=1)
    strategy = Again(inside, problem, every=2)
    strategy.tell(Trial(1, Proposal(arch), State.DONE, {"accuracy": 0.9}))
    if make is LocalSearch:
        inside.ask(np.random.default_rng(0))  # it climbs from there
    strategy.tell(Trial(2, Proposal(arch, note={"again": 1}), State.DONE, {"accuracy": 0.5}))
    known = list(inside._alive) if make is Evolution else [inside._top]
    assert [t.metrics["accuracy"] for t in known] == [pytest.approx(0.7)]


def test_what_fails_when_it_is_rated_again_keeps_its_mean():
    problem, arch = Problem(SPACE), next(iter(SPACE))
    strategy = Again(Evolution(problem), problem)
    strategy.tell(Trial(1, Proposal(arch), State.DONE, {"accuracy": 0.9}))
    strategy.tell(Trial(2, Proposal(arch, note={"again": 1}), State.FAILED, {}, reason="memory"))
    assert strategy.chosen() == arch


class Noisy:
    """A rating of its own for each trial; counts its trainings."""

    def __init__(self):
        self.count = 0

    def __call__(self, proposal, work):
        self.count += 1
        return {"accuracy": 0.5 + 0.1 * float(np.random.default_rng(work.trial).standard_normal())}


def test_in_a_study_a_further_evaluation_is_no_repeat_counts_and_goes_into_the_mean(tmp_path):
    problem = Problem(nasbench201(cells=1))

    def go(store, trials):
        rate, strategy = Noisy(), Again(Evolution(problem), problem, every=3)
        terms = Terms("search", "t", tmp_path)
        made = search(problem, strategy, rate, Inline(), store, terms, trials=trials, seed=1)
        return made, rate, strategy

    made, rate, strategy = go(Store(tmp_path / "a"), 30)
    trials = Store(tmp_path / "a").trials("search")
    again = [t for t in trials if t.proposal.again]
    assert len(again) == sum(1 for t in trials if t.id % 3 == 0)
    assert all(t.state is State.DONE for t in again)
    assert rate.count == 30 == made.finished
    best = best_of(problem, trials, len(trials))
    assert len({t.arch for t in best}) == len(best) < 30
    for t in best:
        mine = [o.metrics["accuracy"] for o in trials if o.arch == t.arch and o.state is State.DONE]
        assert t.metrics["accuracy"] == pytest.approx(np.mean(mine))
    assert strategy.chosen() == best[0].arch
    assert made.best.arch == best[0].arch
    go(Store(tmp_path / "b"), 11)
    go(Store(tmp_path / "b"), 30)
    assert [(t.arch, t.metrics) for t in Store(tmp_path / "b").trials("search")] == [
        (t.arch, t.metrics) for t in trials
    ]


def test_the_best_so_far_falls_when_it_was_luck():
    progress, archs = Progress(9, Problem(SPACE)), list(SPACE)[:2]
    for n, (arch, value) in enumerate(zip(archs, (0.9, 0.8), strict=True), 1):
        progress.add(Trial(n, Proposal(arch), State.DONE, {"accuracy": value}))
    assert progress.best.arch == archs[0]
    progress.add(Trial(3, Proposal(archs[0], note={"again": 1}), State.DONE, {"accuracy": 0.5}))
    assert progress.best.arch == archs[1]


@pytest.mark.parametrize("numbers", [{"every": 1}, {"best": 0}])
def test_numbers_that_leave_nothing_to_search_are_refused(numbers):
    with pytest.raises(ValueError, match="at least"):
        Again(Evolution(Problem(SPACE)), Problem(SPACE), **numbers)


def test_several_objectives_have_no_best_to_rate_again():
    problem = Problem(SPACE, (maximise("accuracy"), replace(maximise("accuracy"), metric="other")))
    with pytest.raises(ValueError, match="one objective"):
        Again(Evolution(problem), problem)
