"""What runs inside Ray: the worker that rates architectures, and the box that its reports go to."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any, TypeAlias, final

from nas.executors.pack import Unpacked
from nas.executors.work import Result, attempt, categorised, limit_threads
from nas.executors.worker import die_with
from nas.roles import Report, Task

Numbered: TypeAlias = tuple[int, int, Report]
"""A report with the run that it is of, and its place among that run's."""


@final
class Worker:
    """An actor that runs one trial after another.

    box: the handle of a `Box`; threads: how many to compute with; path: where else to look for modules.
    """

    def __init__(self, box: Any, threads: int, path: Sequence[str]) -> None:
        sys.path += [entry for entry in path if entry not in sys.path]
        limit_threads(threads)
        die_with(os.getppid(), by_kernel=False)  # the raylet, which goes with its driver: Ray takes seconds itself
        self._box = box
        self._evaluators = Unpacked()

    def ready(self) -> str:
        """The identity of the machine that this runs on."""
        import ray  # noqa: PLC0415  # only a worker of Ray needs it

        return str(ray.get_runtime_context().get_node_id())

    def run(self, run: int, number: int, blob: bytes | None, told: dict[str, Any]) -> tuple[Result, int]:
        """What a trial came to, and how many reports it sent; run: a number that no other call has."""
        sent = 0

        def send(report: Report) -> None:
            nonlocal sent
            self._box.put.remote(run, sent, report)
            sent += 1
            show(f"{told['name']} epoch {report.epoch}" + (f"/{told['epochs']}" if told["epochs"] else ""))

        show(told["name"])
        try:
            task = Task(evaluate=self._evaluators(number, blob), **told)
        except BaseException as error:  # importing a user's module may raise anything
            return categorised(error), 0
        result = attempt(task, send)
        return result, sent


@final
class Box:
    """An actor that holds reports until the driver fetches them."""

    def __init__(self) -> None:
        self._reports: list[Numbered] = []
        self._some = asyncio.Event()

    async def put(self, run: int, place: int, report: Report) -> None:
        """One more report: the how-manyeth of a run. Ray does not keep calls in order here."""
        self._reports.append((run, place, report))
        self._some.set()

    async def take(self) -> list[Numbered]:
        """The reports since the last call; waits until there is one."""
        await self._some.wait()
        self._some.clear()
        told, self._reports = self._reports, []
        return told


def show(title: str) -> None:
    """Names this process for `ps` and the dashboard, where this Ray can; it renames it when the trial is over."""
    rename = getattr(sys.modules.get("ray._raylet"), "setproctitle", None)
    if rename is not None:
        rename(f"ray::{title}")
