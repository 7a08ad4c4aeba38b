"""Local search: how it climbs, where it stops, what it never asks for twice; and evolution's ask beside."""

import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nas.bench.simulate import simulate
from nas.bench.table import Table
from nas.decision import decisions
from nas.problem import Problem, Proposal, State, Trial, at_most
from nas.space import Space
from nas.strategies import Evolution, Random
from nas.strategies.local import LocalSearch
from nas.testing import play, strategy_laws, table
from search_spaces import mobile, nasbench201

TABLES = Path(__file__).parents[2] / "shared" / "benchmarks"
"""A folder with published tables: nb201/accuracy.parquet."""
tables = pytest.mark.skipif(not TABLES.is_dir(), reason="the published tables are not in ../shared/benchmarks")
SPACE, VALUE = table()
PROBLEM = Problem(SPACE)
ALL_KINDS = [partial(LocalSearch, first=first, starts=starts) for first in (True, False) for starts in (1, 5)]


def rng(*n):
    return np.random.default_rng(n)


def changed(one, other):
    return {name for name, label in one.choices if other[name] != label}


def optimum(trial, told):
    """Whether all neighbours were told of and none is better."""
    around = set(SPACE.neighbours(trial.arch))
    return around <= told and max(map(VALUE, around)) < VALUE(trial.arch)


@pytest.mark.parametrize("law", list(strategy_laws()))
@pytest.mark.parametrize("make", ALL_KINDS)
def test_every_kind_keeps_every_law(make, law):
    strategy_laws()[law](make)


@pytest.mark.parametrize("make", ALL_KINDS)
def test_it_asks_for_neighbours_once_each_and_begins_anew_at_local_optima_alone(make):
    trials = play(make, PROBLEM, VALUE, asks=90, seed=4)
    known = {t.id: t for t in trials}
    assert len({t.arch for t in trials}) == 90  # nothing twice
    climbs = []
    for t in trials:
        if "of" in t.proposal.note:
            of = known[t.proposal.note["of"]]
            assert len(changed(t.arch, of.arch)) == 1
            climbs.append(of)
        elif climbs:
            top, there = climbs[-1], {o.arch for o in trials[: t.id - 1]}
            assert any(optimum(o, there) for o in trials[: t.id - 1] if VALUE(o.arch) >= VALUE(top.arch))
            climbs.clear()


def test_it_moves_to_the_first_better_neighbour():
    trials = play(partial(LocalSearch, starts=1), PROBLEM, VALUE, asks=60, seed=1)
    top = None
    for t in trials:
        if "of" not in t.proposal.note:
            top = t
        else:
            of = trials[t.proposal.note["of"] - 1]
            assert of == top or VALUE(of.arch) > VALUE(top.arch)  # or to what was known to be better still
            top = of
            top = t if VALUE(t.arch) > VALUE(top.arch) else top


def test_it_moves_to_the_best_neighbour_when_all_are_known():
    trials = play(partial(LocalSearch, starts=1, first=False), PROBLEM, VALUE, asks=60, seed=1)
    steps = [t.proposal.note.get("of") for t in trials]
    for before, after in pairwise(steps):
        if before is not None and after not in (None, before):
            around = list(SPACE.neighbours(trials[before - 1].arch))
            assert VALUE(trials[after - 1].arch) == max(map(VALUE, around))


def test_a_climb_begins_at_the_best_of_its_random_members():
    trials = play(partial(LocalSearch, starts=7), PROBLEM, VALUE, asks=20, seed=3)
    assert [("of" in t.proposal.note) for t in trials[:8]] == [False] * 7 + [True]
    assert trials[7].proposal.note["of"] == max(trials[:7], key=lambda t: VALUE(t.arch)).id


def test_it_finds_the_best_of_the_table_more_often_than_chance():
    best = max(map(VALUE, SPACE))

    def found(make):
        return sum(max(VALUE(t.arch) for t in play(make, PROBLEM, VALUE, asks=60, seed=s)) == best for s in range(20))

    assert found(LocalSearch) > found(Random) + 4


def test_the_neighbours_come_in_random_order():
    firsts = {play(partial(LocalSearch, starts=1), PROBLEM, VALUE, asks=2, seed=0)[1].arch.key}
    strategy = LocalSearch(PROBLEM, starts=1)
    start = strategy.ask(rng(0, 1))
    strategy.tell(Trial(1, start, State.DONE, {"accuracy": VALUE(start.arch)}))
    for n in range(30):
        again = LocalSearch(PROBLEM, starts=1)
        again.tell(Trial(1, start, State.DONE, {"accuracy": VALUE(start.arch)}))
        firsts.add(again.ask(rng(9, n)).arch.key)
    assert len(firsts) > 6  # of 12


def test_an_ask_makes_one_neighbour_and_not_the_whole_neighbourhood(monkeypatch):
    space = Space("long", decisions({f"h{n}": range(10) for n in range(40)}), (1,), costs=lambda arch: {})
    problem, made = Problem(space), []
    decide = Space.decide
    monkeypatch.setattr(Space, "decide", lambda self, pick: made.append(1) or decide(self, pick))
    strategy = LocalSearch(problem, starts=1)
    for n in range(1, 60):
        before = len(made)
        proposal = strategy.ask(rng(n))
        assert len(made) - before <= 3
        strategy.tell(Trial(n, proposal, State.DONE, {"accuracy": -n}))


def test_limits_are_kept_by_neighbours_too():
    space = mobile(input=(3, 32, 32), classes=10, widths=(8, 16), depths=(1, 2))
    small = Problem(space).smallest("params")[1]
    problem = Problem(space, constraints=(at_most("params", 2 * small),))
    trials = play(
        partial(LocalSearch, starts=2), problem, lambda a: problem.screen(a).metrics["params"], asks=25, seed=0
    )
    assert all(space.member(t.arch) and not problem.screen(t.arch).broken for t in trials)
    assert max(t.metrics["accuracy"] for t in trials) > 1.5 * small  # it climbs towards the limit


def test_free_workers_look_for_the_next_start_while_the_last_results_are_out():
    strategy = LocalSearch(PROBLEM, starts=1)
    start = strategy.ask(rng(1))
    strategy.tell(Trial(1, start, State.DONE, {"accuracy": 1.0}))
    around = list(SPACE.neighbours(start.arch))
    out = [strategy.ask(rng(2, n)) for n in range(len(around) + 2)]
    assert {p.arch for p in out[:-2]} == set(around)
    assert all(p.note == {"by": "start"} for p in out[-2:])
    for n, p in enumerate(out[-2:], 100):  # however good: the climb goes on
        strategy.tell(Trial(n, p, State.DONE, {"accuracy": 0.5 + n / 1000}))
    for n, p in enumerate(out[:-3], 10):
        strategy.tell(Trial(n, p, State.FAILED, reason="memory"))
    assert strategy.ask(rng(3)).note == {"by": "start"}
    strategy.tell(Trial(9, out[-3], State.DONE, {"accuracy": 0.1}))
    assert strategy.ask(rng(4)).note["of"] == 101  # the better of the two is where the next climb begins


def test_a_better_one_from_elsewhere_moves_the_climb():
    strategy = LocalSearch(PROBLEM, starts=1)
    strategy.tell(Trial(1, strategy.ask(rng(1)), State.DONE, {"accuracy": 0.5}))
    other = SPACE.sample(rng(7))
    strategy.tell(Trial(40, Proposal(other), State.DONE, {"accuracy": 0.4}))
    assert strategy.ask(rng(2)).note["of"] == 1
    strategy.tell(Trial(41, Proposal(other), State.DONE, {"accuracy": 0.6}))
    assert strategy.ask(rng(3)).note["of"] == 41


def test_a_start_needs_a_member():
    with pytest.raises(ValueError, match="at least one member"):
        LocalSearch(PROBLEM, starts=0)


def test_evolutions_tournament_is_drawn_without_replacement_and_evenly():
    problem, won = Problem(SPACE), []
    strategy = Evolution(problem, 5, 2)
    for n, arch in enumerate(list(SPACE)[:5], 1):
        strategy.tell(Trial(n, Proposal(arch), State.DONE, {"accuracy": float(n)}))
    won = [strategy.ask(rng(n)).note["mutated"] for n in range(4000)]
    shares = [won.count(n) / len(won) for n in range(1, 6)]
    assert shares == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=0.025)  # of 10 pairs, n - 1 have n as their better


def test_evolution_asks_and_is_told_in_a_few_microseconds_beyond_the_mutation():
    problem = Problem(SPACE)
    strategy, archs, some = Evolution(problem), list(SPACE), rng(0)
    for n, arch in enumerate(archs[:10]):
        strategy.tell(Trial(n, Proposal(arch), State.DONE, {"accuracy": VALUE(arch)}))
    for arch in archs:
        problem.screen(arch)

    def least(act):
        taken = []
        for _ in range(30):
            began = time.perf_counter()
            for _ in range(100):
                act()
            taken.append((time.perf_counter() - began) / 100)
        return min(taken)

    told = iter(Trial(n, Proposal(archs[n % 200]), State.DONE, {"accuracy": 0.5}) for n in range(100, 10_000))
    both = least(lambda: (strategy.ask(some), strategy.tell(next(told))))
    mutation = least(lambda: problem.mutate(archs[0], some))
    assert both - mutation < 60e-6  # 7 on a quiet machine


@tables
def test_on_nasbench201_it_is_better_than_random_search_and_evolution():
    rows = pd.read_parquet(TABLES / "nb201" / "accuracy.parquet")
    space = nasbench201()
    columns = {name: rows[name].to_numpy() for name in ("c10_val_12ep", "c10_test_200ep")}
    seconds = rows["c10_train_time_12ep_est_s"].to_numpy() / 2 + 1.27
    given = Table("nb201", space, tuple(map(space.parse, rows["arch"])), columns, *columns, seconds=seconds)
    reached = {
        make: np.array([simulate(given, make, seconds=20_000.0, seed=seed).chosen[1] for seed in range(25)])
        for make in (LocalSearch, Evolution, Random)
    }
    local, evolution, chance = (reached[make] for make in (LocalSearch, Evolution, Random))
    assert abs(chance.mean() - 93.89) < 0.2  # what the table's README measured of random search
    assert abs(evolution.mean() - 94.08) < 0.2
    for other in (evolution, chance):
        spread = (local.var() / len(local) + other.var() / len(other)) ** 0.5
        assert local.mean() - other.mean() > 2 * spread
