"""A worker process as its driver sees it: started, fed, listened to, killed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from functools import cache
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, final

from nas.executors.pack import fields
from nas.executors.work import PATIENT, THREADS, Result
from nas.roles import Report, Task

START = """
import json, sys
told = json.loads(sys.argv[1])
sys.argv = ["nas-worker"]
sys.path[:] = told["path"]
from nas.executors.worker import main
main(told["descriptor"], told["driver"])
"""


@final
class WorkerProcess:
    """One process, the socket to it, and the task that it runs."""

    def __init__(self, count: int, errors: IO[bytes], more: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        told = {
            "descriptor": theirs.fileno(),
            "driver": os.getpid(),
            "path": [str(Path(entry or ".").absolute()) for entry in sys.path],
        }
        self.process = _spawned(
            [sys.executable, "-c", START, json.dumps(told)],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=[theirs.fileno()],
            env={**PATIENT, **os.environ, **dict.fromkeys(THREADS, str(count)), **more},
            start_new_session=True,  # the terminal's Ctrl-C does not come here, and a kill takes all that it started
        )
        theirs.close()
        self.pipe = Connection(ours.detach())
        self.life = os.pidfd_open(self.process.pid) if hasattr(os, "pidfd_open") else None
        self.task: Task | None = None
        self.deadline: float | None = None
        self.began = False
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
        """Hand the worker a task; its time starts when the worker begins with it."""
        message = (number, None if number in self.known else blob, fields(task))
        self.task, self.deadline, self.began = task, None, False
        self.known.add(number)
        try:
            self.pipe.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
        except OSError:  # it has just died, which is found when it is waited for
            return

    def messages(self) -> Iterator[Report | tuple[int, Result]]:
        """What the worker has told and nobody has read; not all of it where a trial reports without end."""
        try:
            for _ in range(1000):
                if self.task is None or not self.pipe.poll():
                    return
                message = pickle.loads(self.pipe.recv_bytes())
                if message is None:
                    self.began = True
                    if self.task.timeout is not None:
                        self.deadline = time.monotonic() + self.task.timeout
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

    def _kill(self) -> None:
        if self.process.returncode is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # the group is gone, or not yet made
                self.process.kill()


def _spawned(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """A process that a thread starts which lives as long as this process: Linux kills it when its starter ends."""
    made: Future[subprocess.Popen[bytes]] = Future()
    _starter(os.getpid()).put((made, lambda: subprocess.Popen(command, **options)))
    return made.result()


@cache
def _starter(_: int) -> SimpleQueue[tuple[Future[Any], Callable[[], Any]]]:
    """What is put here is called by a thread that never ends, of the process with a number."""
    calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()

    def serve() -> None:
        while True:
            made, call = calls.get()
            try:
                made.set_result(call())
            except Exception as error:
                made.set_exception(error)

    threading.Thread(target=serve, name="nas starter", daemon=True).start()
    return calls


def cause(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name
    hint = ", perhaps for want of memory" if -code == signal.SIGKILL else ""
    return f"signal {-code} ({name}{hint})"
