"""Workers in simulated time: utilisations known in closed form, the study's own order, and what costs nothing."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.bench.events import STALLED, busy
from nas.decision import Decision
from nas.problem import Metrics, Problem, Proposal, State, Trial, at_most
from nas.roles import Failed, Infeasible, Outcome, Strategy
from nas.space import Architecture, Rng, Space
from nas.store import Store
from nas.strategies import Evolution, Random
from nas.strategies.agents import Agents
from nas.study import Terms, search
from nas.testing.strategies import table
from nas.tree import Chain, Choice
from tests.inline import worth

TABLE, VALUE = table()
SPACE = replace(TABLE, costs=lambda arch: {"params": 1.0}, same=lambda arch: arch.key[:3])
"""200 architectures that are fewer networks: some are repeats."""
PROBLEM = Problem(SPACE)
HARMONIC = {8: 761 / 280, 11: 83711 / 27720}


def wide() -> Problem:
    """So many architectures that none is drawn twice."""
    steps = [Choice(f"c{n}", tuple(range(100))) for n in range(4)]
    return Problem(Space("wide", Chain.seq(*(Decision(step) for step in steps)), (1,), costs=lambda arch: {}))


def rated(arch: Architecture) -> Metrics:
    return {"accuracy": worth(arch)}


class Rounds:
    """Asks for so many architectures, each once, and waits for all of them."""

    def __init__(self, size: int) -> None:
        self.size, self.left, self.out, self.asked = size, size, 0, 0

    def ask(self, rng: Rng) -> Proposal | None:
        if not self.left and self.out:
            return None
        self.left = (self.left or self.size) - 1
        self.out += 1
        self.asked += 1
        names = ("c0", "c1", "c2", "c3")
        return Proposal(Architecture("wide", tuple((name, self.asked // 100**n % 100) for n, name in enumerate(names))))

    def tell(self, trial: Trial) -> None:
        self.out -= 1


class Always:
    """Has converged: proposes one architecture."""

    def ask(self, rng: Rng) -> Proposal | None:
        return Proposal(next(iter(SPACE)))

    def tell(self, trial: Trial) -> None: ...


@pytest.mark.parametrize(
    ("workers", "draw", "expected"),
    [
        (8, "exponential", 1 / HARMONIC[8]),
        (11, "exponential", 1 / HARMONIC[11]),
        (11, "uniform", 2 / (1 + 2 * 11 / 12)),
    ],
)
def test_workers_that_wait_for_all_are_as_busy_as_the_mean_over_the_largest_time(
    workers: int, draw: str, expected: float
) -> None:
    rounds, problem = 2000, wide()
    even = (np.arange(rounds * workers) + 0.5) / (rounds * workers)  # all quantiles once, in a random order
    times = np.random.default_rng(workers).permutation({"exponential": -np.log(even), "uniform": 1 + 2 * even}[draw])
    left = iter(times)
    line = busy(Rounds(workers), problem, rated, lambda _: float(next(left)), workers, trials=len(times))
    exact = times.mean() / times.reshape(rounds, workers).max(1).mean()
    assert line.utilisation() == pytest.approx(exact, rel=1e-9)
    assert line.utilisation() == pytest.approx(expected, rel=0.01)
    assert {8: 0.3679, 11: 0.3311}[workers] == pytest.approx(1 / HARMONIC[workers], abs=5e-5)
    assert draw != "uniform" or expected == pytest.approx(0.7059, abs=5e-5)


def test_workers_that_wait_for_nobody_are_always_busy() -> None:
    rng, problem = np.random.default_rng(0), wide()
    line = busy(Random(problem), problem, rated, lambda _: rng.exponential(), 11, trials=3000)
    assert line.full == pytest.approx(1, abs=1e-9)
    assert line.utilisation() > 0.98  # and the tail, in which work runs out
    assert line.utilisation() < 1
    assert line.unique == 3000
    assert line.ended == "its trials are done"


def test_time_is_the_sum_of_evaluations_over_the_workers() -> None:
    problem = wide()
    for workers, wall in ((1, 60.0), (4, 16.0), (7, 10.0)):
        line = busy(Random(problem), problem, rated, lambda _: 2.0, workers, trials=30)
        assert (line.wall, line.at[-1]) == (wall, wall)
        assert line.utilisation() == pytest.approx(60 / (workers * wall))
        assert [t.seconds for t in line.trials] == [2.0] * 30


class Clock:
    """An executor of so many workers whose time is simulated, for the study's own loop."""

    def __init__(self, capacity: int, seconds: Callable[[Architecture], float]) -> None:
        self.capacity, self.seconds, self.now = capacity, seconds, 0.0
        self.heap: list[tuple[float, int, Any]] = []

    def submit(self, task: Any) -> None:
        assert len(self.heap) < self.capacity
        heapq.heappush(self.heap, (self.now + self.seconds(task.proposal.arch), task.trial, task))

    def wait(self, seconds: float | None = None) -> list[tuple[int, Outcome]]:
        self.now, number, task = heapq.heappop(self.heap)
        return [(number, lambda: task.evaluate(task.proposal, task))]

    def reports(self) -> list[Any]:
        return []

    def cancel(self, trial: int) -> None: ...

    def close(self) -> None: ...


def odd(arch: Architecture) -> Metrics:
    """Some fail and some break a limit that only a device knows."""
    kind = int(arch.key, 16) % 7
    if kind == 0:
        raise Failed("memory", "out of memory")
    if kind == 1:
        raise Infeasible("latency 9 ms > 5 ms", {"latency_s": 0.009})
    return {"accuracy": VALUE(arch)}


@pytest.mark.parametrize("make", [Random, Evolution, Agents, lambda p: Agents(p, exchange="synchronous")])
def test_simulated_workers_do_what_the_study_does(make: Callable[[Problem], Strategy], tmp_path: Path) -> None:
    def seconds(arch: Architecture) -> float:
        return 0.5 + int(arch.key[:6], 16) / 2**24

    store, clock = Store(tmp_path / "ledger"), Clock(5, seconds)
    search(
        PROBLEM,
        make(PROBLEM),
        lambda proposal, work: odd(proposal.arch),
        clock,
        store,
        Terms("search", "t", tmp_path),
        trials=40,
        seed=3,
    )
    line = busy(make(PROBLEM), PROBLEM, odd, seconds, 5, trials=40, seed=3)
    real = [(e.trial.id, e.trial.arch, e.trial.state) for e in store.events("search") if e.kind != "ask"]
    assert [(t.id, t.arch, t.state) for t in line.trials] == real
    assert {State.DONE, State.REPEAT, State.FAILED, State.INFEASIBLE} <= {state for _, _, state in real}
    assert clock.now == pytest.approx(line.wall)


def test_repeats_cost_nothing_and_a_converged_strategy_leaves_its_workers_idle() -> None:
    line = busy(Always(), PROBLEM, rated, lambda _: 1.0, 8, until=100.0)
    assert line.unique == 1
    assert len(line.spans) == 1
    assert line.wall == 100
    assert line.utilisation() == pytest.approx(1 / 800)
    assert line.utilisation(1, 100) == 0
    assert line.ended == f"proposed nothing new {STALLED} times in a row"
    values, at = line.rewards()
    assert len(values) > STALLED
    assert set(at) == {1.0}


def test_an_end_in_seconds_cuts_what_runs_and_tells_of_it_nothing() -> None:
    problem = wide()
    line = busy(Random(problem), problem, rated, lambda _: 3.0, 4, until=10.0)
    assert len(line.trials) == 12
    assert line.wall == 10
    assert line.utilisation() == 1
    assert line.spans[:, 1].max() == 10
    assert line.ended == "its time is over"


def test_what_breaks_a_limit_takes_no_worker() -> None:
    problem = Problem(SPACE, constraints=(at_most("params", -1.0),))
    line = busy(Random(problem), problem, rated, lambda _: 1.0, 2, trials=5)
    assert {t.state for t in line.trials} == {State.INFEASIBLE}
    assert not len(line.spans)
    assert line.wall == line.utilisation() == line.full == 0
    assert line.ended.startswith("proposed nothing new")


def test_quality_is_reached_when_the_moving_average_is() -> None:
    worths = iter([0.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    problem = wide()
    line = busy(Random(problem), problem, lambda _: {"accuracy": next(worths)}, lambda _: 2.0, 1, trials=6)
    assert line.reached(1.0) == 4
    assert line.reached(0.5, 2) == 4
    assert line.reached(1.0, 3) == 12
    assert line.reached(1.1) is None
    assert line.reached(0.0, 7) is None


@pytest.mark.parametrize(
    "numbers",
    [{"workers": 0, "trials": 3}, {"workers": 1}, {"workers": 1, "trials": 0}, {"workers": 2, "until": np.inf}],
)
def test_a_search_without_an_end_is_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one worker, and trials or seconds"):
        busy(Random(PROBLEM), PROBLEM, rated, lambda _: 1.0, **numbers)


def test_an_evaluation_without_a_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="takes more than 0 seconds, got 0"):
        busy(Random(PROBLEM), PROBLEM, rated, lambda _: 0.0, 1, trials=1)
