"""Where asking takes long, the next trials are asked for while the workers train."""

import pytest

from nas.problem import Problem, State, maximise, minimise
from nas.store import Store
from nas.strategies import Evolution, Random
from nas.strategies.again import Again
from nas.strategies.auto import LONG, Auto
from nas.strategies.warm import Warm
from predictors import PREDICTORS
from tests.inline import Inline, rated
from tests.test_study import PROBLEM, go


class Thinking:
    """A strategy whose asks are said to take long; notes how many trials it was told of at each ask."""

    slow = True

    def __init__(self, problem, slow=True):
        self._inside, self.slow, self.told, self.known = Evolution(problem), slow, 0, []

    def ask(self, rng):
        self.known.append(self.told)
        return self._inside.ask(rng)

    def tell(self, trial):
        self.told += 1
        self._inside.tell(trial)


class Idle(Inline):
    """Notes how many trials were asked for each time a worker went on to rest."""

    def __init__(self, capacity, strategy):
        super().__init__(capacity)
        self.strategy, self.asked = strategy, []

    def wait(self, seconds=None):
        if seconds == 0.0:
            return []
        self.asked.append(len(self.strategy.known))
        return super().wait(seconds)


@pytest.mark.parametrize(("workers", "ahead"), [(1, 0), (2, 1), (4, 1), (8, 2)])
@pytest.mark.parametrize("slow", [True, False])
def test_where_asking_takes_long_the_next_trials_are_asked_for_while_the_workers_train(workers, ahead, slow, tmp_path):
    strategy = Thinking(PROBLEM, slow)
    runs = Idle(workers, strategy)
    go(store := Store(tmp_path / "a"), tmp_path, 40, strategy=lambda problem: strategy, executor=runs)
    assert store.states("search")["done"] == 40
    assert runs.asked[0] == workers + (ahead if slow else 0)
    assert len(store.trials("search")) == len(strategy.known)


@pytest.mark.parametrize("cut", [1, 7, 23])
def test_what_was_asked_for_ahead_is_begun_by_the_next_start(cut, tmp_path):
    store = Store(tmp_path / "a")

    def stopping(proposal, work, left=[cut]):  # noqa: B006  # it counts
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return rated(proposal, work)

    with pytest.raises(KeyboardInterrupt):
        go(store, tmp_path, 40, strategy=Thinking, evaluate=stopping, executor=Inline(8))
    asked = [(t.id, t.arch.key) for t in store.trials("search")]
    store.close()
    go(again := Store(tmp_path / "a"), tmp_path, 40, strategy=Thinking, executor=Inline(8))
    assert [(t.id, t.arch.key) for t in again.trials("search")][: len(asked)] == asked
    assert again.states("search")["done"] == 40
    assert not any(t.state is State.RUNNING for t in again.trials("search"))


def test_those_that_fit_a_predictor_say_that_they_are_slow_and_so_does_what_holds_one():
    ridge, several = PREDICTORS["ridge"], Problem(PROBLEM.space, (maximise("accuracy"), minimise("params")))
    assert Auto(PROBLEM, ridge).slow
    assert Auto(PROBLEM, ridge, most=LONG).slow
    assert not Auto(several, ridge).slow
    assert Warm(Auto(PROBLEM, ridge), []).slow
    assert Again(Auto(PROBLEM, ridge), PROBLEM).slow
    assert not Warm(Random(PROBLEM), []).slow
    assert not Again(Random(PROBLEM), PROBLEM).slow
