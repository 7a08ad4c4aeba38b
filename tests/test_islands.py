"""Islands: who asks, who migrates and where to, and what a strategy inside sees."""

from functools import partial

import numpy as np
import pytest

from nas.problem import Problem, Proposal, State, Trial, maximise
from nas.strategies import Evolution, Random
from nas.strategies.islands import Islands
from nas.strategies.local import LocalSearch
from nas.testing import best_of_seeds, play, strategy_laws, table

SPACE, VALUE = table()
PROBLEM = Problem(SPACE)
ARCHS = list(SPACE)


class Diary:
    """Asks for what it is given, and writes down what it is told."""

    def __init__(self, problem, archs=ARCHS):
        self.left, self.told = list(archs), []

    def ask(self, rng):
        return Proposal(self.left.pop(0), note={"mine": len(self.left)}) if self.left else None

    def tell(self, trial):
        self.told.append(trial)


def diaries(count, archs=ARCHS, **more):
    """Islands with a diary on each, and the diaries."""
    made = []

    def make(problem):
        made.append(Diary(problem, archs))
        return made[-1]

    return Islands(PROBLEM, make, islands=count, **more), made


def rng(n):
    return np.random.default_rng(n)


@pytest.mark.parametrize("law", list(strategy_laws()))
@pytest.mark.parametrize("inside", [Evolution, LocalSearch, partial(Islands, islands=2)])
def test_islands_of_anything_keep_every_law(inside, law):
    strategy_laws()[law](partial(Islands, make=inside, every=4))


def test_the_islands_ask_in_turn_and_keep_the_notes_of_their_strategies():
    strategy, _ = diaries(3, every=100)
    asked = [strategy.ask(rng(n)) for n in range(6)]
    assert [p.note["island"] for p in asked] == [0, 1, 2, 0, 1, 2]
    assert [p.note["mine"] for p in asked] == [199, 199, 199, 198, 198, 198]


def test_an_island_that_asks_for_nothing_is_passed_over():
    strategy, made = diaries(3, archs=ARCHS[:2], every=100)
    made[1].left = []
    assert [strategy.ask(rng(n)).note["island"] for n in range(4)] == [0, 2, 0, 2]
    assert strategy.ask(rng(9)) is None
    made[1].left = ARCHS[:1]
    assert strategy.ask(rng(9)).note["island"] == 1


@pytest.mark.parametrize("migrants", [1, 2])
def test_the_best_since_the_last_migration_are_told_to_the_next_island_in_the_ring(migrants):
    strategy, made = diaries(3, every=4, migrants=migrants)
    values = {}
    for n in range(1, 1 + 3 * 8):
        trial = Trial(n, strategy.ask(rng(n)), State.DONE, {"accuracy": float(rng(n).random())})
        values[n] = trial.metrics["accuracy"]
        strategy.tell(trial)
    for k in range(3):
        mine = [n for n in values if (n - 1) % 3 == k]
        assert [t.id for t in made[k].told if "mine" in t.proposal.note] == mine
        before = [n for n in values if (n - 1) % 3 == (k - 1) % 3]
        wanted = [sorted(some, key=values.get)[::-1][:migrants] for some in (before[:4], before[4:])]
        migrated = [t for t in made[k].told if "mine" not in t.proposal.note]
        assert [t.id for t in migrated] == [n for some in wanted for n in some]
        assert all(t.proposal.note == {"from": (k - 1) % 3} for t in migrated)


def test_what_failed_is_told_to_its_own_island_and_brings_no_migration_nearer():
    strategy, made = diaries(2, every=2)
    for n in range(1, 9):
        strategy.tell(Trial(n, strategy.ask(rng(n)), State.FAILED, reason="memory"))
    assert [len(d.told) for d in made] == [4, 4]


def test_trials_that_nobody_here_asked_for_are_spread_over_the_islands():
    strategy, made = diaries(2, every=100)
    for n in range(1, 7):
        strategy.tell(
            Trial(n, Proposal(ARCHS[n], note={"island": "x"} if n > 3 else {}), State.DONE, {"accuracy": 1.0})
        )
    assert [[t.id for t in d.told] for d in made] == [[2, 4, 6], [1, 3, 5]]


def test_a_migrant_is_mutated_on_the_island_that_it_came_to():
    trials = play(partial(Islands, islands=2, every=5), PROBLEM, VALUE, asks=120, seed=0)
    home = {t.id: t.proposal.note["island"] for t in trials}
    crossed = [t for t in trials if "mutated" in t.proposal.note and home[t.proposal.note["mutated"]] != home[t.id]]
    assert crossed


def test_of_several_objectives_members_of_the_front_migrate():
    problem = Problem(SPACE, (maximise("a"), maximise("b")))
    made = []

    def make(problem):
        made.append(Diary(problem))
        return made[-1]

    strategy = Islands(problem, make, islands=2, every=3, migrants=2)
    for n, (a, b) in enumerate([(1, 5), (0, 0), (3, 3), (0, 0), (2, 2), (0, 0)], 1):
        strategy.tell(Trial(n, strategy.ask(rng(n)), State.DONE, {"a": a, "b": b}))
    assert [t.id for t in made[1].told if "from" in t.proposal.note] == [3, 1]


@pytest.mark.parametrize("cut", [1, 9, 33])
def test_from_any_prefix_of_its_trials_it_goes_on_as_before(cut):
    make = partial(Islands, make=LocalSearch, islands=3, every=3)
    whole, strategy = play(make, PROBLEM, VALUE, asks=60, seed=2), make(PROBLEM)
    for trial in whole:
        if trial.id <= cut:
            strategy.ask(np.random.default_rng((2, trial.id)))
        else:
            assert strategy.ask(np.random.default_rng((2, trial.id))) == trial.proposal
        strategy.tell(trial)


def test_islands_beat_random_search():
    assert best_of_seeds(partial(Islands, make=lambda p: Evolution(p, 5))) > best_of_seeds(Random)


@pytest.mark.parametrize("numbers", [{"islands": 1}, {"every": 0}, {"migrants": 0}, {"every": 2, "migrants": 3}])
def test_numbers_that_make_no_islands_are_refused(numbers):
    with pytest.raises(ValueError, match="at least 2 islands"):
        Islands(PROBLEM, **numbers)
