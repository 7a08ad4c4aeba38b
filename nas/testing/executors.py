"""The laws of an executor: whoever writes one passes it through `check_executor`."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from nas.problem import Metrics, Proposal
from nas.roles import Evaluator, Executor, Failed, Infeasible, Outcome, Report, Task, Work
from nas.space import Architecture

PATIENCE = 60.0
"""Seconds within which an executor must do what a law asks of it."""


def check_executor(make: Callable[[], Executor], folder: Path) -> None:
    """Holds an executor to its laws; AssertionError names the first that it breaks.

    make: gives an executor that is new; folder: an empty one for the trials.
    """
    executor = make()
    try:
        for law in LAWS:
            law(executor, folder / law.__name__)
    finally:
        executor.close()


def each_comes_back_once(executor: Executor, folder: Path) -> None:
    """Every task that was submitted comes back once, with its own metrics."""
    evaluate = Echo()
    ended, _ = play(executor, [task(trial, evaluate, folder) for trial in range(4 * executor.capacity + 3)])
    _hold(sorted(trial for trial, _ in ended) == list(range(4 * executor.capacity + 3)), "each task comes back once")
    for trial, outcome in ended:
        expected = float(np.random.default_rng((7, trial, 1)).random())
        _hold(outcome() == {"trial": float(trial), "drawn": expected}, "a task comes back with its own metrics")
    _hold(not executor.wait(0.01), "nothing comes back twice")


def failures_are_raised_by_their_outcomes(executor: Executor, folder: Path) -> None:
    """What a trial raises, or dies of, is raised by its outcome and nowhere else, and the others go on."""
    tasks = []
    for trial, (evaluate, _) in enumerate(TROUBLES):
        timeout = 0.3 if isinstance(evaluate, Sleeps) else None
        tasks += [task(2 * trial, evaluate, folder, timeout=timeout), task(2 * trial + 1, Echo(), folder)]
    ended, _ = play(executor, tasks)
    _hold(sorted(trial for trial, _ in ended) == list(range(len(tasks))), "tasks come back beside those that fail")
    for trial, outcome in ended:
        evaluate, reason = TROUBLES[trial // 2]
        if trial % 2:
            _hold(outcome()["trial"] == trial, f"a trial goes on beside {evaluate}")
            continue
        try:
            got = str(dict(outcome()))
        except Failed as failed:
            got = failed.reason
            _hold("\n" not in failed.message and len(failed.message) <= 300, f"{evaluate} fails in one line")
        except Infeasible as infeasible:
            got = f"infeasible {infeasible.metrics}"
        _hold(got == reason, f"{evaluate} ends as {reason}; got {got}")


def reports_arrive_in_order(executor: Executor, folder: Path) -> None:
    """What a trial reports arrives in its order, and before its outcome."""
    tasks = [task(trial, Reports(30), folder) for trial in range(executor.capacity + 1)]
    ended, reports = play(executor, tasks)
    _hold(len(ended) == len(tasks), "trials that report come back")
    for trial in range(len(tasks)):
        told = [(r.epoch, r.metrics["loss"]) for r in reports if r.trial == trial]
        _hold(told == [(epoch, 1 / epoch) for epoch in range(1, 31)], "reports arrive in order, each once")
    executor.submit(task(100, Reports(1, then=1000.0), folder))
    _hold(not executor.wait(PATIENCE), "waiting ends early when something was reported")
    _hold([r.trial for r in executor.reports()] == [100], "a report arrives while its trial runs")
    executor.cancel(100)


def cancelled_tasks_stay_away(executor: Executor, folder: Path) -> None:
    """A task that was cancelled is stopped and does not come back; its place is free."""
    executor.submit(task(0, Reports(1, then=1000.0), folder))
    while not executor.reports():
        executor.wait(PATIENCE)
    executor.cancel(0)
    executor.cancel(12345)
    start = time.monotonic()
    _hold(executor.wait() == [], "waiting for nothing ends at once")
    ended, _ = play(executor, [task(trial, Echo(), folder) for trial in range(1, executor.capacity + 2)])
    _hold(sorted(t for t, _ in ended) == list(range(1, executor.capacity + 2)), "others come back after a cancellation")
    _hold(time.monotonic() - start < PATIENCE, "a cancelled task does not keep its place")


def all_places_are_left(executor: Executor, folder: Path) -> None:
    """After all that went wrong, as many tasks run at a time as the capacity says."""
    meet = Meets(str(folder / "met"), executor.capacity)
    ended, _ = play(executor, [task(trial, meet, folder) for trial in range(executor.capacity)])
    _hold([o()["met"] for _, o in ended] == [1.0] * executor.capacity, "an executor keeps its capacity")


LAWS: Sequence[Callable[[Executor, Path], None]] = (
    each_comes_back_once,
    failures_are_raised_by_their_outcomes,
    reports_arrive_in_order,
    cancelled_tasks_stay_away,
    all_places_are_left,
)


@final
@dataclass(frozen=True)
class Echo:
    """Gives its trial's number, and the first number that its generator draws."""

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        return {"trial": float(proposal.arch["trial"]), "drawn": work.rng.random()}


@final
@dataclass(frozen=True)
class Raises:
    """Raises an exception, one of some kinds that are hard to send."""

    kind: str

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        if self.kind == "infeasible":
            raise Infeasible("latency_s 2 > 1", {"latency_s": 2.0})
        kinds: dict[str, Callable[[], BaseException]] = {
            "value": lambda: ValueError("two\nlines"),
            "zero": lambda: ZeroDivisionError("by zero"),
            "memory": lambda: MemoryError("no more"),
            "exit": lambda: SystemExit(3),
            "interrupt": KeyboardInterrupt,
            "locked": lambda: _LockedError(threading.Lock()),
            "arguments": lambda: _TwoArgumentsError("a", "b"),
            "mute": _MuteError,
        }
        raise kinds[self.kind]()


@final
@dataclass(frozen=True)
class Returns:
    """Returns what is no metrics, or no finite ones."""

    kind: str

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        kinds: dict[str, object] = {
            "nan": {"accuracy": float("nan")},
            "inf": {"accuracy": np.float32("inf")},
            "text": {"accuracy": "0.5"},
            "lock": {"accuracy": threading.Lock()},
            "none": None,
            "numpy": {"accuracy": np.float32(0.5)},
        }
        return kinds[self.kind]  # type: ignore[return-value]  # what it gives is wrong on purpose


@final
@dataclass(frozen=True)
class Dies:
    """Ends its process, by an exit status (0 and above) or by a signal (its negative number)."""

    code: int

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        if self.code >= 0:
            os._exit(self.code)
        os.kill(os.getpid(), -self.code)
        time.sleep(PATIENCE)
        return {}


@final
@dataclass(frozen=True)
class Devours:
    """Asks for 32 PiB of memory."""

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        return {"sum": float(np.ones(1 << 55, dtype=np.uint8).sum())}


@final
@dataclass(frozen=True)
class Sleeps:
    """Takes long."""

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        time.sleep(10 * PATIENCE)
        return {}


@final
@dataclass(frozen=True)
class Reports:
    """Reports some epochs, and then goes on for some seconds."""

    epochs: int
    then: float = 0.0

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        for epoch in range(1, self.epochs + 1):
            work.report(epoch, {"loss": 1 / epoch})
        time.sleep(self.then)
        return {"loss": 0.0}


@final
@dataclass(frozen=True)
class Meets:
    """Waits until as many of its kind run as there should be."""

    place: str
    size: int

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        place = Path(self.place)
        place.mkdir(parents=True, exist_ok=True)
        (place / str(proposal.arch["trial"])).touch()
        end = time.monotonic() + PATIENCE
        while (met := len(list(place.iterdir()))) < self.size and time.monotonic() < end:
            time.sleep(0.02)
        return {"met": float(met == self.size)}


class _LockedError(Exception): ...


class _TwoArgumentsError(Exception):
    def __init__(self, one: str, two: str) -> None:  # its pickle calls it with one argument
        super().__init__(one + two)


class _MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not a word")


TROUBLES: Sequence[tuple[Evaluator, str]] = (
    (Raises("value"), "error"),
    (Raises("zero"), "nan"),
    (Raises("memory"), "memory"),
    (Raises("exit"), "died"),
    (Raises("interrupt"), "died"),
    (Raises("locked"), "error"),
    (Raises("arguments"), "error"),
    (Raises("mute"), "error"),
    (Raises("infeasible"), "infeasible {'latency_s': 2.0}"),
    (Returns("nan"), "nan"),
    (Returns("inf"), "nan"),
    (Returns("text"), "error"),
    (Returns("lock"), "error"),
    (Returns("none"), "error"),
    (Returns("numpy"), "{'accuracy': 0.5}"),
    (Dies(0), "died"),
    (Dies(3), "died"),
    (Dies(-signal.SIGKILL), "died"),
    (Devours(), "memory"),
    (Sleeps(), "timeout"),
)
"""Evaluators that end badly, and what their trials must end as."""


def task(trial: int, evaluate: Evaluator, folder: Path, *, timeout: float | None = None) -> Task:
    """A task of an architecture that has its trial's number as its only choice."""
    proposal = Proposal(Architecture("laws", (("trial", trial),)))
    return Task(trial, f"laws / trial {trial}", evaluate, proposal, 7, folder / str(trial), timeout=timeout)


def play(executor: Executor, tasks: Iterable[Task]) -> tuple[list[tuple[int, Outcome]], list[Report]]:
    """Runs tasks, as many at a time as may be; what came back, and what was reported."""
    left, ended, reports, running = list(tasks)[::-1], list[tuple[int, Outcome]](), list[Report](), set[int]()
    end = time.monotonic() + PATIENCE
    while left or running:
        while left and len(running) < executor.capacity:
            running.add(left[-1].trial)
            executor.submit(left.pop())
        for trial, outcome in executor.wait(PATIENCE):
            _hold(trial in running, f"each task comes back once; trial {trial} came unasked")
            running.remove(trial)
            ended.append((trial, outcome))
        reports += executor.reports()
        _hold(time.monotonic() < end, f"tasks come back within {PATIENCE:g} s; {sorted(running)} do not")
    return ended, reports


def _hold(holds: bool, law: str) -> None:
    if not holds:
        raise AssertionError(f"an executor breaks a law: {law}")
