"""A worker process of the local executor: it runs one trial after another, and dies with its driver."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import pickle
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import TypeAlias

from nas.executors.pack import Unpacked
from nas.executors.work import Result, attempt, categorised
from nas.roles import Report, Task

Message: TypeAlias = Report | tuple[int, Result] | None
"""What a worker tells: that it begins with a trial (None), a report, the result of a trial."""


def main(descriptor: int, driver: int) -> None:
    """Runs what comes over a socket until it is closed, or the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's affair
    faulthandler.enable()
    die_with(driver, by_kernel=True)
    pipe = Connection(descriptor)
    evaluators = Unpacked()

    def send(message: Message) -> None:
        pipe.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    while True:
        try:
            number, blob, told = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        send(None)
        try:
            task = Task(evaluate=evaluators(number, blob), **told)
        except BaseException as error:  # importing a user's module may raise anything
            send((told["trial"], categorised(error)))
        else:
            send((task.trial, attempt(task, send)))


def die_with(driver: int, *, by_kernel: bool) -> None:
    """Lets this process be killed as soon as its driver is gone, whatever it is doing.

    by_kernel: Linux does that at once, but when the *thread* ends that started this process: it must live as long as
    the driver. A thread looks at the parent's number besides; it cannot while C code holds the interpreter.
    """
    if sys.platform == "linux" and by_kernel:
        parent_death_signal = 1
        ctypes.CDLL(None, use_errno=True).prctl(parent_death_signal, signal.SIGKILL)
    if os.getppid() != driver:
        os._exit(1)

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="driver watch", daemon=True).start()
