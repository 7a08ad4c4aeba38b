"""Executors: the laws, what runs in a worker, and what happens when processes of this machine die."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from nas.errors import ENVIRONMENT, UserError
from nas.executors import Local, pack
from nas.executors.work import LOG, attempt, cores, threads
from nas.roles import Executor, Failed, Infeasible, Outcome, Report
from nas.testing.executors import LAWS, Echo, Meets, Returns, Sleeps, check_executor, play, task
from tests.dying import LOCAL, MAIN, THREAD, appears, check_killed_driver, gone


def alone(executor: Executor, one: object) -> Outcome:
    """The outcome of a single task."""
    executor.submit(one)  # type: ignore[arg-type]
    while not (ended := executor.wait(60)):
        executor.reports()
    return ended[0][1]


# What runs in a worker


def test_a_trial_draws_from_its_own_generator_alone(tmp_path: Path) -> None:
    first, again, other = (attempt(task(n, Echo(), tmp_path), print) for n in (3, 3, 4))
    assert first == again
    assert first["drawn"] == np.random.default_rng((7, 3, 1)).random()  # type: ignore[index]
    assert first["drawn"] != other["drawn"]  # type: ignore[index]


def test_a_trial_gets_its_folders_and_reports_plain_numbers(tmp_path: Path) -> None:
    told: list[Report] = []

    def evaluate(proposal: object, work: object) -> dict[str, float]:
        assert work.folder.is_dir()  # type: ignore[attr-defined]
        work.report(np.int64(2), {"loss": np.float32(0.5)})  # type: ignore[attr-defined]
        return {}

    assert attempt(task(0, evaluate, tmp_path), told.append) == {}  # type: ignore[arg-type]
    assert told == [Report(0, 2, {"loss": 0.5})]
    assert type(told[0].epoch) is int
    assert type(told[0].metrics["loss"]) is float


def test_memory_that_torch_cannot_have_is_a_failure_for_memory(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    result = attempt(task(0, lambda p, w: {"a": float(torch.ones(1 << 55).sum())}, tmp_path), print)
    assert isinstance(result, Failed)
    assert result.reason == "memory"


def test_a_failure_names_the_metric(tmp_path: Path) -> None:
    for kind, words in (("nan", "'accuracy' is nan"), ("text", "'0.5'"), ("none", "NoneType")):
        result = attempt(task(0, Returns(kind), tmp_path), print)
        assert isinstance(result, Failed)
        assert words in result.message


def test_a_broken_limit_with_metrics_that_are_none_is_an_error(tmp_path: Path) -> None:
    def evaluate(proposal: object, work: object) -> dict[str, float]:
        raise Infeasible("latency", {"latency_s": float("nan")})

    result = attempt(task(0, evaluate, tmp_path), print)  # type: ignore[arg-type]
    assert isinstance(result, Failed)


def test_never_more_threads_than_cores() -> None:
    assert threads(2) == threads(64) == 1
    assert threads(1) == cores() <= (os.cpu_count() or 1)


# Processes of this machine


@pytest.mark.parametrize("capacity", [1, 2])
def test_local_keeps_the_laws(capacity: int, tmp_path: Path) -> None:
    check_executor(lambda: Local(capacity), tmp_path)


class Deaf:
    """An executor that breaks laws: outcomes twice, no reports, or cancelled tasks that come back."""

    def __init__(self, flaw: str, folder: Path) -> None:
        self._local, self._flaw, self._folder, self.capacity = Local(1), flaw, folder, 1
        self.submit, self.close = self._local.submit, self._local.close

    def wait(self, seconds: float | None = None) -> list[tuple[int, Outcome]]:
        ended = self._local.wait(seconds)
        return ended * 2 if self._flaw == "twice" else ended

    def reports(self) -> list[Report]:
        told = self._local.reports()
        return [] if self._flaw == "silent" else told

    def cancel(self, trial: int) -> None:
        if self._flaw == "stubborn" and not trial:
            self._local.cancel(trial)
            self._local.submit(task(trial, Echo(), self._folder))


@pytest.mark.parametrize(("flaw", "law"), [("twice", 0), ("silent", 2), ("stubborn", 3)])
def test_the_laws_find_what_breaks_them(flaw: str, law: int, tmp_path: Path) -> None:
    executor = Deaf(flaw, tmp_path)
    try:
        with pytest.raises(AssertionError, match="breaks a law"):
            LAWS[law](executor, tmp_path)
    finally:
        executor.close()


def test_an_evaluator_is_pickled_once(tmp_path: Path) -> None:
    class Counted(Echo):  # type: ignore[misc]
        pickled = 0

        def __reduce__(self) -> tuple[type, tuple[()]]:
            Counted.pickled += 1
            return Echo, ()

    evaluate = Counted()
    with Local(2) as executor:
        play(executor, [task(trial, evaluate, tmp_path) for trial in range(20)])
    assert Counted.pickled == 1


def test_an_evaluator_that_cannot_be_pickled_is_named(tmp_path: Path) -> None:
    lock = threading.Lock()
    with Local(1) as executor, pytest.raises(UserError, match="function cannot be sent to a worker"):
        executor.submit(task(0, lambda p, w: {"a": float(lock.locked())}, tmp_path))


def test_prints_go_to_the_trials_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def evaluate(proposal: object, work: object) -> dict[str, float]:
        print("said by python")
        os.system("echo said by a child >&2")
        return {}

    with Local(1) as executor:
        alone(executor, task(0, evaluate, tmp_path))()  # type: ignore[arg-type]
        alone(executor, task(1, Echo(), tmp_path))()
    assert {"said by python", "said by a child"} == set((tmp_path / "0" / LOG).read_text().splitlines())
    assert not (tmp_path / "1" / LOG).exists()
    assert capfd.readouterr() == ("", "")


def test_a_users_own_file_arrives(tmp_path: Path) -> None:
    file = tmp_path / "my.py"
    file.write_text("class Mine:\n    def __call__(self, proposal, work):\n        return {'mine': 1.0}\n")
    spec = importlib.util.spec_from_file_location("nas_user_0123", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["nas_user_0123"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        with Local(1) as executor:
            assert alone(executor, task(0, module.Mine(), tmp_path))() == {"mine": 1.0}
    finally:
        del sys.modules["nas_user_0123"]
    assert pack.USER == "nas_user_"


def test_what_a_trial_started_is_killed_with_it(tmp_path: Path) -> None:
    def evaluate(proposal: object, work: object) -> dict[str, float]:
        child = subprocess.Popen(["sleep", "1000"])
        (work.folder / "pid").write_text(str(child.pid))  # type: ignore[attr-defined]
        time.sleep(1000)
        return {}

    with Local(1) as executor, pytest.raises(Failed, match="timeout"):
        alone(executor, task(0, evaluate, tmp_path, timeout=1.0))()  # type: ignore[arg-type]
    assert gone(int((tmp_path / "0" / "pid").read_text()), 5)


def test_the_time_of_a_worker_that_starts_is_not_the_trials(tmp_path: Path) -> None:
    with Local(1) as executor:
        assert alone(executor, task(0, Echo(), tmp_path, timeout=0.4))()["trial"] == 0


def test_a_worker_that_died_idle_costs_no_trial(tmp_path: Path) -> None:
    def whoami(proposal: object, work: object) -> dict[str, float]:
        return {"pid": os.getpid()}

    with Local(1) as executor:
        pid = int(alone(executor, task(0, whoami, tmp_path))()["pid"])  # type: ignore[arg-type]
        os.kill(pid, signal.SIGKILL)
        assert gone(pid, 5)
        assert alone(executor, task(1, whoami, tmp_path))()["pid"] != pid  # type: ignore[arg-type]


def test_workers_that_do_not_start_are_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.executors.process.START", "raise ImportError('no such thing')")
    with Local(1) as executor, pytest.raises(UserError, match="no such thing") as caught:
        alone(executor, task(0, Echo(), tmp_path))
    assert caught.value.code == ENVIRONMENT


def test_more_than_the_capacity_is_refused(tmp_path: Path) -> None:
    with Local(1) as executor:
        executor.submit(task(0, Sleeps(), tmp_path))
        with pytest.raises(ValueError, match="1 tasks run already"):
            executor.submit(task(1, Sleeps(), tmp_path))
    with pytest.raises(ValueError, match="at least 1"):
        Local(0)


@pytest.mark.parametrize("where", [MAIN, THREAD])
def test_workers_die_with_a_driver_that_is_killed(where: str, tmp_path: Path) -> None:
    # A script from standard input without a main guard, whose evaluator is its own class, in a loop that never yields.
    check_killed_driver(LOCAL, where, tmp_path, within=3)


def test_ctrl_c_is_the_drivers_affair(tmp_path: Path) -> None:
    with Local(1) as executor:
        executor.submit(task(0, Meets(str(tmp_path / "met"), 2), tmp_path))
        assert appears((tmp_path / "met" / "0").exists)
        os.kill(executor._workers[0].process.pid, signal.SIGINT)
        (tmp_path / "met" / "1").touch()
        assert [o() for _, o in executor.wait(30)] == [{"met": 1.0}]


def test_a_trial_that_reports_without_end_is_stopped_at_its_timeout(tmp_path: Path) -> None:
    def evaluate(proposal: object, work: object) -> dict[str, float]:
        while True:
            work.report(1, {})  # type: ignore[attr-defined]

    with Local(1) as executor, pytest.raises(Failed, match="timeout"):
        alone(executor, task(0, evaluate, tmp_path, timeout=0.5))()  # type: ignore[arg-type]
