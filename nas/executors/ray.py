"""Trials on Ray: on this machine, or on a cluster."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from typing import Any, Self, final

from nas.errors import ENVIRONMENT, UserError
from nas.executors.pack import Packed, fields
from nas.executors.ray_cluster import connect, counted, fit, nodes, room
from nas.executors.ray_worker import Box, Numbered, Worker
from nas.executors.work import LOG, Result, cores, outcome, tail, threads
from nas.roles import Failed, Lost, Needs, Outcome, Report, Task

UNSEEN: dict[str, Any] = {"enable_task_events": False}
"""For calls that are no trial: the dashboard lists trials alone."""
STARTS = 3
"""How many workers in a row may end before they are ready."""
LATE = 5.0
"""Seconds that the last reports of a trial may come after its result."""


@final
class RayExecutor:
    """A pool of Ray actors, one a trial at a time, each with a share of a machine (four with 0.25 GPUs on one card).

    capacity: None for as many as the machines hold; address: None for a Ray that starts and ends with this process.
    A task's own `needs` do not count: those of the pool do. On a cluster this package must be installed on every
    machine, and the folder of the run must be one that all machines share.
    UserError (code 5) where no Ray answers, or no machine has what a trial needs.
    """

    def __init__(
        self, capacity: int | None = None, *, address: str | None = None, needs: Needs | None = None, study: str = "nas"
    ) -> None:
        if capacity is not None and capacity < 1:
            raise ValueError(f"an executor has a capacity of at least 1; got {capacity}")
        self._needs, self._study = needs or Needs(), study
        self._cluster = connect(address, cpus=counted(capacity, self._needs))
        try:
            room = fit(self._needs)
        except UserError:
            self._leave()
            raise
        self._capacity = room if capacity is None else min(capacity, room) if self._cluster.local else capacity
        self._packed, self._sent = Packed(), dict[int, Any]()
        self._counter = itertools.count()
        self._reports: list[Report] = []
        self._got: dict[int, int] = {}  # of each run under way: how many of its reports came, without a gap
        self._early: dict[tuple[int, int], Report] = {}
        self._failures = 0
        self._box: Any = None
        self._slots: list[_Slot] = []
        self._start()

    @property
    def capacity(self) -> int:
        """How many tasks run at a time."""
        return self._capacity

    def submit(self, task: Task) -> None:
        """Start a task on a worker that is free, one that is ready if there is; ValueError where none is free."""
        free = [slot for slot in self._slots if slot.task is None]
        if not free:
            raise ValueError(f"{self._capacity} tasks run already; wait for one before submitting trial {task.trial}")
        self._give(next((slot for slot in free if slot.node), free[0]), task)

    def wait(self, seconds: float | None = None) -> list[tuple[int, Outcome]]:
        """The tasks that ended; waits until one has, something was reported, or the seconds are over."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            heard = len(self._reports)
            self._move()
            busy = [slot for slot in self._slots if slot.task is not None]
            ended = self._look(busy, end)
            if ended or len(self._reports) > heard or not busy or (end is not None and time.monotonic() >= end):
                return ended

    def reports(self) -> list[Report]:
        """What running trials told since the last call, in their order."""
        told, self._reports = self._reports, []
        return told

    def cancel(self, trial: int) -> None:
        """Stop a task; it does not come back."""
        for place, slot in enumerate(self._slots):
            if slot.task is not None and slot.task.trial == trial:
                self._forget(slot.run)
                self._replace(place)

    def close(self) -> None:
        """Stop everything; a Ray that was started here ends."""
        for slot in self._slots:
            self._ray.kill(slot.actor)
        self._slots = []
        if self._box is not None:
            self._ray.kill(self._box)
            self._box = None
            self._leave()

    def dashboard(self) -> str:
        """How to open Ray's dashboard, for people; "" where there is none."""
        url = self._cluster.dashboard
        return f"Ray dashboard: {url} (where it asks for a token: ray get-auth-token)" if url else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        import ray  # noqa: PLC0415  # slow to import, and optional

        self._ray: Any = ray
        self._worker: Any = ray.remote(Worker)
        box: Any = ray.remote(Box)
        self._box = box.options(num_cpus=0, max_restarts=-1, name=f"{self._study} reports", **UNSEEN).remote()
        self._take = self._box.take.remote()
        self._slots = [self._slot() for _ in range(self._capacity)]

    def _leave(self) -> None:
        if self._cluster.ours:
            import ray  # noqa: PLC0415  # slow to import, and optional

            ray.shutdown()

    def _slot(self) -> _Slot:
        alone = self._cluster.local and self._capacity == 1
        count = threads(1) if alone else max(1, min(int(self._needs.cpus), cores()))
        name = f"{self._study} worker {next(self._counter)}"
        path = [str(Path(entry or ".").absolute()) for entry in sys.path] if self._cluster.local else []
        options = {"num_cpus": self._needs.cpus, "num_gpus": self._needs.gpus, "name": name}
        return _Slot(self._worker.options(**options).remote(self._box, count, path))

    def _replace(self, place: int) -> _Slot:
        self._ray.kill(self._slots[place].actor)
        self._slots[place] = self._slot()
        return self._slots[place]

    def _give(self, slot: _Slot, task: Task) -> None:
        number, blob = self._packed(task.evaluate)
        if number not in self._sent:
            self._sent = {**dict(list(self._sent.items())[-3:]), number: self._ray.put(blob)}
        first = None if number in slot.known else self._sent[number]
        slot.known.add(number)
        slot.task = task
        slot.run = next(self._counter)
        slot.result = slot.actor.run.options(name=task.name).remote(slot.run, number, first, fields(task))
        self._got[slot.run] = 0
        slot.count()

    def _look(self, busy: list[_Slot], end: float | None) -> list[tuple[int, Outcome]]:
        """What ended by the first sign of anything, or until a moment."""
        times = [t for t in (end, *(slot.deadline for slot in busy)) if t is not None]
        signs = [slot.result if slot.node else slot.ready for slot in busy]
        left = _left(min(times)) if times else None
        seen, _ = self._ray.wait([*signs, self._take], num_returns=1, timeout=left if busy else 0.0)
        if self._take in seen:
            self._fetch()
        ended: list[tuple[int, Outcome]] = []
        for place, slot in enumerate(self._slots):
            task, result = slot.task, None
            if task is None:
                continue
            if slot.result in seen:
                result = self._result(place, task)
            elif slot.ready in seen:
                self._began(place, task)
            elif slot.deadline is not None and time.monotonic() >= slot.deadline:
                result = Failed("timeout", f"longer than {task.timeout:g} s", tail(task.folder / LOG))
                self._replace(place)
            if result is not None:
                self._forget(slot.run)
                ended.append((task.trial, outcome(result)))
        if ended:
            self._move()
        return ended

    def _move(self) -> None:
        """Give tasks that wait for a worker to get ready to ready workers that wait for a task.

        Only where a machine went away, so that there is room for fewer workers than there are: a worker that is just
        starting is left to start.
        """
        ready = [slot for slot in self._slots if slot.task is None and slot.node]
        waiting = [place for place, slot in enumerate(self._slots) if slot.task is not None and not slot.node]
        if not ready or not waiting or room(self._needs) >= len(self._slots):
            return
        for place, free in zip(waiting, ready, strict=False):
            task = self._slots[place].task
            if task is not None:
                self._forget(self._slots[place].run)
                self._replace(place)
                self._give(free, task)

    def _result(self, place: int, task: Task) -> Result | Lost:
        """What a trial came to, after its last report was fetched; a worker that is gone is replaced."""
        slot = self._slots[place]
        try:
            result, sent = self._ray.get(slot.result)
        except self._ray.exceptions.RayError as error:
            self._replace(place)
            return self._gone(error, slot.node, task)
        slot.task, slot.deadline = None, None
        end = time.monotonic() + LATE
        while self._got[slot.run] < sent and self._ray.wait([self._take], timeout=_left(end))[0]:
            self._fetch()
        found: Result = result
        return found

    def _gone(self, error: Exception, node: str, task: Task) -> Failed | Lost:
        """Why a worker did not answer: its machine is gone, memory ran out, or its process died."""
        text = " ".join(str(error).split())
        known = self._ray.exceptions
        alive = {machine["NodeID"] for machine in nodes() if machine["Alive"]}
        lost = isinstance(error, known.ActorUnavailableError | known.NodeDiedError)
        if lost or getattr(error, "preempted", False) or node not in alive:
            return Lost(f"the machine of trial {task.trial} went away: {text[:300]}")
        if isinstance(error, known.RayTaskError):  # what it was sent could not be read there
            return Failed("error", text[:300], str(error))
        reason = "memory" if isinstance(error, known.OutOfMemoryError) or "out of memory" in text.lower() else "died"
        cause = text.partition("Worker exit detail: ")[2].partition(" Some common causes")[0] or text
        return Failed(reason, f"the process of the trial died: {cause}"[:300], f"{tail(task.folder / LOG)}\n{error}")

    def _began(self, place: int, task: Task) -> None:
        """Notes that a worker is ready, or gives its task to another; UserError where none gets ready."""
        slot = self._slots[place]
        try:
            slot.node = self._ray.get(slot.ready)
            self._failures = 0
            slot.count()
        except self._ray.exceptions.RayError as error:
            self._failures += 1
            if self._failures >= STARTS:
                raise UserError(
                    f"a Ray worker ended before it was ready: {str(error).strip().splitlines()[-1]}"[:500],
                    fix="install this package on every machine of the cluster",
                    code=ENVIRONMENT,
                ) from error
            self._forget(slot.run)
            self._give(self._replace(place), task)

    def _fetch(self) -> None:
        """Takes the reports that have come, and asks for the next."""
        try:
            told: list[Numbered] = self._ray.get(self._take)
        except self._ray.exceptions.RayError:  # the machine of the box went away; Ray starts another
            told = []
        self._take = self._box.take.remote()
        for run, place, report in told:
            if run in self._got:
                self._early[run, place] = report
                while (run, self._got[run]) in self._early:
                    self._reports.append(self._early.pop((run, self._got[run])))
                    self._got[run] += 1

    def _forget(self, run: int) -> None:
        """Lets go of a run that is over; its reports that came after one that never did are dropped."""
        del self._got[run]
        for key in [key for key in self._early if key[0] == run]:
            del self._early[key]


def _left(end: float) -> float:
    """The seconds until a moment."""
    return max(0.0, end - time.monotonic())


@final
class _Slot:
    """One actor, the task that it runs, and what Ray will answer."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.ready = actor.ready.options(**UNSEEN).remote()
        self.node = ""
        self.known: set[int] = set()
        self.task: Task | None = None
        self.result: Any = None
        self.run = -1
        self.deadline: float | None = None

    def count(self) -> None:
        """Lets the task's time begin, if the worker is ready."""
        if self.node and self.task is not None and self.task.timeout is not None:
            self.deadline = time.monotonic() + self.task.timeout
