"""Trials in processes of this machine."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, Any, Self, final

from nas.errors import ENVIRONMENT, UserError
from nas.executors.pack import Packed, fields
from nas.executors.work import LOG, THREADS, Result, outcome, tail, threads
from nas.roles import Failed, Outcome, Report, Task

START = """
import json, sys
told = json.loads(sys.argv[1])
sys.argv = ["nas-worker"]
sys.path[:] = told["path"]
from nas.executors.worker import main
main(told["descriptor"], told["driver"])
"""
POLL = 0.2
"""Seconds between looks at whether a worker lives, where the system has no descriptor of a process."""


STARTS = 3
"""How many workers in a row may end before they are ready."""


@final
class Local:
    """A pool of warm processes on this machine, one a trial at a time (POSIX systems).

    A worker that dies, is cancelled or takes longer than its task's timeout is replaced; the others go on.
    All workers die with this process, even if it is killed. Use as a context, or call `close`.
    """

    def __init__(self, capacity: int = 1) -> None:
        if capacity < 1:
            raise ValueError(f"an executor has a capacity of at least 1; got {capacity}")
        self._capacity = capacity
        self._packed = Packed()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the pool
        self._workers = [_Worker(threads(capacity), self._errors) for _ in range(capacity)]
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
    def _busy(self) -> list[_Worker]:
        return [w for w in self._workers if w.task is not None]

    def _replace(self, place: int) -> _Worker:
        self._workers[place].kill()
        self._workers[place] = _Worker(threads(self._capacity), self._errors)
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
                result = self._hear(worker) or self._died(place, task)  # it may have told before it died
            elif result is None and worker.deadline is not None and time.monotonic() >= worker.deadline:
                result = Failed("timeout", f"longer than {task.timeout:g} s", tail(task.folder / LOG))
                self._replace(place)
            if result is not None:
                ended.append((task.trial, outcome(result)))
        return ended

    def _hear(self, worker: _Worker) -> Result | None:
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
        code, ready = self._workers[place].ended(), self._workers[place].ready
        worker = self._replace(place)
        if ready:
            return Failed("died", f"the process of the trial died: {_cause(code)}", tail(task.folder / LOG))
        self._failures += 1
        if self._failures < STARTS:
            worker.start(task, *self._packed(task.evaluate))
            return None
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 2000))
        last = self._errors.read().decode(errors="replace").strip().splitlines()
        raise UserError(
            f"a worker process ended before it was ready: {_cause(code)}: {last[-1] if last else ''}",
            fix=f"see whether this starts: {sys.executable} -c 'import nas.executors.worker'",
            code=ENVIRONMENT,
        )


@final
class _Worker:
    """One process, the socket to it, and the task that it runs."""

    def __init__(self, count: int, errors: IO[bytes]) -> None:
        ours, theirs = socket.socketpair()
        told = {
            "descriptor": theirs.fileno(),
            "driver": os.getpid(),
            "path": [str(Path(entry or ".").absolute()) for entry in sys.path],
        }
        self.process = _starter().submit(
            subprocess.Popen,
            [sys.executable, "-c", START, json.dumps(told)],
            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, pass_fds=[theirs.fileno()],
            env={**os.environ, **dict.fromkeys(THREADS, str(count))},
            start_new_session=True,  # the terminal's Ctrl-C does not come here, and a kill takes all that it started
        ).result()  # fmt: skip
        theirs.close()
        self.pipe = Connection(ours.detach())
        self.life = os.pidfd_open(self.process.pid) if hasattr(os, "pidfd_open") else None
        self.task: Task | None = None
        self.deadline: float | None = None
        self.ready = False
        self.known: set[int] = set()

    @property
    def signs(self) -> list[Any]:
        """What becomes readable when the worker tells something, or dies."""
        return [self.pipe] if self.life is None else [self.pipe, self.life]

    @property
    def dead(self) -> bool:
        """Whether the process has ended; it is not reaped, so that its number still names its group."""
        if self.life is None:
            return self.process.poll() is not None
        return bool(wait([self.life], 0))

    def start(self, task: Task, number: int, blob: bytes) -> None:
        """Hand the worker a task; its time starts when the worker is ready."""
        message = (number, None if number in self.known else blob, fields(task))
        self.task, self.deadline = task, None
        self.known.add(number)
        if self.ready:
            self._count()
        try:
            self.pipe.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
        except OSError:  # it has just died, which is found when it is waited for
            return

    def messages(self) -> Any:
        """What the worker has told and nobody has read."""
        try:
            while self.task is not None and self.pipe.poll():
                message = pickle.loads(self.pipe.recv_bytes())
                if message is None:
                    self.ready = True
                    self._count()
                else:
                    yield message
        except (EOFError, OSError):  # it is dead, or dying
            if self.life is not None:
                wait([self.life], 1.0)
            self._kill()  # a worker that closed its socket can never tell its result

    def ended(self) -> int:
        """The exit status of a dead worker; what it had started is killed."""
        self._kill()
        return self.process.wait()

    def kill(self) -> None:
        """End the worker and all that it started, now."""
        self._kill()
        self.process.wait()
        self.pipe.close()
        if self.life is not None:
            os.close(self.life)

    def _count(self) -> None:
        if self.task is not None and self.task.timeout is not None:
            self.deadline = time.monotonic() + self.task.timeout

    def _kill(self) -> None:
        if self.process.returncode is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # the group is gone, or not yet made
                self.process.kill()


@cache
def _starter() -> ThreadPoolExecutor:
    """The thread that starts workers. It lives as long as this process: Linux kills them when their starter ends."""
    return ThreadPoolExecutor(1, "nas starter")


def _until(*times: float | None) -> float | None:
    """The seconds to the first of some times; None for no end."""
    ends = [t for t in times if t is not None]
    return max(0.0, min(ends) - time.monotonic()) if ends else None


def _cause(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name
    hint = ", perhaps for want of memory" if -code == signal.SIGKILL else ""
    return f"signal {-code} ({name}{hint})"
