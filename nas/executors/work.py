"""What runs in a worker, whatever the executor: one trial, from its task to its result."""

from __future__ import annotations

import errno
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, final

import numpy as np

from nas.errors import ENVIRONMENT, UserError
from nas.problem import Metrics
from nas.roles import REASONS, Failed, Infeasible, Outcome, Report, Task, one_line, reason_of
from nas.space import Rng

Result: TypeAlias = dict[str, float] | Failed | Infeasible | UserError
"""What a trial came to, as a value that always pickles."""
FULL = os.strerror(errno.ENOSPC)
LOG = "log.txt"
"""Where a trial's prints go, in its folder."""


@final
@dataclass(frozen=True)
class Bench:
    """The `Work` of one trial: its generator, its folders, and whom it reports to."""

    trial: int
    rng: Rng
    folder: Path
    parent: Path | None
    send: Callable[[Report], None]

    def report(self, epoch: int, metrics: Metrics) -> None:
        """Tell the driver how far the trial is."""
        self.send(Report(self.trial, int(epoch), {str(name): float(value) for name, value in metrics.items()}))


def attempt(task: Task, send: Callable[[Report], None]) -> Result:
    """The metrics of a trial, or what it failed by; raises nothing.

    The prints of the trial, and of the C libraries under it, go to log.txt in its folder.
    """
    try:
        task.folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng((task.seed, task.origin or task.trial, 1))
        with logged(task.folder / LOG):
            found: object = task.evaluate(task.proposal, Bench(task.trial, rng, task.folder, task.parent, send))
        return checked(found)
    except BaseException as error:  # whatever a trial raises is its own affair, an exit included
        return categorised(error)


def checked(found: object) -> dict[str, float] | Failed:
    """Metrics as plain finite floats by name; Failed where they are something else."""
    if not isinstance(found, Mapping):
        return Failed("error", f"an evaluator returns metrics by name, a mapping; got a {type(found).__name__}")
    metrics: dict[str, float] = {}
    for name, value in found.items():
        if not isinstance(name, str):
            return Failed("error", f"metrics are named by strings; got {name!r}"[:300])
        try:
            metrics[name] = math.nan if isinstance(value, str | bytes) else float(value)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            return Failed("error", f"metric {name!r} is a number; got a {type(value).__name__}")
        if isinstance(value, str | bytes):
            return Failed("error", f"metric {name!r} is a number; got {value!r}"[:300])
        if not math.isfinite(metrics[name]):
            return Failed("nan", f"metric {name!r} is {metrics[name]}")
    return metrics


def categorised(error: BaseException) -> Failed | Infeasible | UserError:
    """What an evaluator raised, as one of the ways in which a trial fails; UserError where it is not the trial's fault.

    A full disk or data that have changed would fail every trial after it: the search is to stop.
    """
    if isinstance(error, UserError):
        return error
    trace = _trace(error)
    if FULL in trace:
        fix = "free some space and give the same command again: nothing finished is lost"
        return UserError(f"the disk is full: {one_line(error)}", fix=fix, code=ENVIRONMENT)
    if isinstance(error, Infeasible):
        metrics = checked(error.metrics)
        return metrics if isinstance(metrics, Failed) else Infeasible(str(error.reason), metrics)
    if isinstance(error, Failed):
        reason = error.reason if error.reason in REASONS else "error"
        return Failed(reason, str(error.message), str(error.trace) or trace)
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return Failed("died", f"the trial ended its process: {one_line(error)}", trace)
    try:
        return Failed(reason_of(error), one_line(error), trace)
    except Exception:  # its __str__ raises, and may raise anything
        return Failed("error", type(error).__name__, trace)


def outcome(result: Result | Exception) -> Outcome:
    """A result as a call that gives the metrics, or raises what the trial failed by."""

    def give() -> Metrics:
        if isinstance(result, Exception):
            raise result
        return result

    return give


def threads(capacity: int) -> int:
    """How many threads a worker computes with: one where several train, else all cores that this process may use."""
    return 1 if capacity > 1 else cores()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(count: int) -> None:
    """Holds this process to a number of threads; before torch is imported where possible."""
    for name, value in PATIENT.items():
        os.environ.setdefault(name, value)
    for name in THREADS:
        os.environ[name] = str(count)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)


THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
PATIENT = {"GOMP_SPINCOUNT": "1000"}
"""Threads that wait for each other soon sleep. Where they spin on and another process wants a core, each barrier costs
a turn of the scheduler: 51 images a second were measured then, 327 with this, and 980 either way on an idle machine."""


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Sends this process's standard output and error to the end of a file, by descriptor; no file for nothing."""
    _flush()
    kept = os.dup(1), os.dup(2)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.dup2(file, 1)
        os.dup2(file, 2)
        yield
    finally:
        _flush()
        for saved, standard in zip(kept, (1, 2), strict=True):
            os.dup2(saved, standard)
            os.close(saved)
        if not os.fstat(file).st_size:
            path.unlink(missing_ok=True)
        os.close(file)


def tail(path: Path, size: int = 2000) -> str:
    """The last characters of a file; "" where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # full disk, closed, or none at all
            continue


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))[-20_000:]
    except Exception:  # a user's exception may break while it is shown
        return ""
