"""Trials in processes of this machine."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from multiprocessing.connection import wait
from typing import Self, final

from nas.errors import ENVIRONMENT, UserError
from nas.executors.pack import Packed
from nas.executors.process import WorkerProcess, cause
from nas.executors.work import LOG, Result, outcome, tail, threads
from nas.roles import Failed, Outcome, Report, Task

POLL = 0.2
"""Seconds between looks at whether a worker lives, where the system has no descriptor of a process."""


STARTS = 3
"""How many workers in a row may end before they begin with a trial."""


@final
class Local:
    """A pool of warm processes on this machine, one a trial at a time (POSIX systems).

    A worker that dies, is cancelled or takes longer than its task's timeout is replaced; the others go on.
    gpus: whether the workers see the GPUs that this process sees.
    All workers die with this process, even if it is killed. Use as a context, or call `close`.
    """

    def __init__(self, capacity: int = 1, *, gpus: bool = True) -> None:
        if capacity < 1:
            raise ValueError(f"an executor has a capacity of at least 1; got {capacity}")
        self._capacity = capacity
        self._hidden: dict[str, str] = {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
        self._packed = Packed()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the pool
        self._workers = [WorkerProcess(threads(capacity), self._errors, self._hidden) for _ in range(capacity)]
        self._reports: list[Report] = []
        self._failures = 0

    @property
    def capacity(self) -> int:
        """How many tasks run at a time."""
        return self._capacity

    def submit(self, task: Task) -> None:
        """Start a task on a worker that is free; ValueError where none is."""
        for place, worker in enumerate(self._workers):
            if worker.task is None:
                if worker.process.poll() is not None:  # it died while it was idle
                    worker = self._replace(place)  # noqa: PLW2901
                worker.start(task, *self._packed(task.evaluate))
                return
        raise ValueError(f"{self._capacity} tasks run already; wait for one before submitting trial {task.trial}")

    def wait(self, seconds: float | None = None) -> list[tuple[int, Outcome]]:
        """The tasks that ended; waits until one has, something was reported, or the seconds are over."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            heard = len(self._reports)
            ended = self._look(0.0 if not self._busy else _until(end, *(w.deadline for w in self._busy)))
            over = end is not None and time.monotonic() >= end
            if ended or len(self._reports) > heard or over or not self._busy:
                return ended

    def reports(self) -> list[Report]:
        """What running trials told since the last call, in their order."""
        told, self._reports = self._reports, []
        return told

    def cancel(self, trial: int) -> None:
        """Stop a task; it does not come back."""
        for place, worker in enumerate(self._workers):
            if worker.task is not None and worker.task.trial == trial:
                self._replace(place)

    def close(self) -> None:
        """Stop everything."""
        for worker in self._workers:
            worker.kill()
        self._workers = []
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _busy(self) -> list[WorkerProcess]:
        return [w for w in self._workers if w.task is not None]

    def _replace(self, place: int) -> WorkerProcess:
        self._workers[place].kill()
        self._workers[place] = WorkerProcess(threads(self._capacity), self._errors, self._hidden)
        return self._workers[place]

    def _look(self, seconds: float | None) -> list[tuple[int, Outcome]]:
        """What ended within some seconds, or by the first sign of anything."""
        signs = [sign for w in self._busy for sign in w.signs]
        if signs:
            blind = any(w.life is None for w in self._busy)
            wait(signs, min(POLL, seconds or 0.0) if blind and seconds is not None else POLL if blind else seconds)
        ended: list[tuple[int, Outcome]] = []
        for place, worker in enumerate(self._workers):
            task = worker.task
            if task is None:
                continue
            result: Result | None = self._hear(worker)
            if result is None and worker.dead:
                last = self._hear(worker)  # it may have told before it died
                result = self._died(place, task) if last is None else last
            elif result is None and worker.deadline is not None and time.monotonic() >= worker.deadline:
                result = Failed("timeout", f"longer than {task.timeout:g} s", tail(task.folder / LOG))
                self._replace(place)
            if result is not None:
                ended.append((task.trial, outcome(result)))
        return ended

    def _hear(self, worker: WorkerProcess) -> Result | None:
        """The result of a worker's trial, if it has come; takes the reports before it."""
        for message in worker.messages():
            self._failures = 0
            if isinstance(message, Report):
                self._reports.append(message)
            else:
                worker.task, worker.deadline = None, None
                result: Result = message[1]
                return result
        return None

    def _died(self, place: int, task: Task) -> Failed | None:
        """What the task of a dead worker failed by; None where the worker never began, and another tries."""
        code, began = self._workers[place].ended(), self._workers[place].began
        worker = self._replace(place)
        if began:
            self._failures = 0
            return Failed("died", f"the process of the trial died: {cause(code)}", tail(task.folder / LOG))
        self._failures += 1
        if self._failures < STARTS:
            worker.start(task, *self._packed(task.evaluate))
            return None
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 2000))
        last = self._errors.read().decode(errors="replace").strip().splitlines()
        raise UserError(
            f"a worker process ended before it began: {cause(code)}: {last[-1] if last else ''}",
            fix=f"see whether this starts: {sys.executable} -c 'import nas.executors.worker'",
            code=ENVIRONMENT,
        )


def _until(*times: float | None) -> float | None:
    """The seconds to the first of some times; None for no end."""
    ends = [t for t in times if t is not None]
    return max(0.0, min(ends) - time.monotonic()) if ends else None
