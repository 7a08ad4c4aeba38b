"""One task run to its end, where nothing else runs beside it."""

from __future__ import annotations

from collections.abc import Callable

from nas.errors import INFEASIBLE, UserError
from nas.problem import Metrics
from nas.roles import Executor, Failed, Lost, Task


def alone(runs: Executor, task: Task, epoch: Callable[[int], None], *, what: str, fix: str) -> Metrics:
    """Run one task to its end, again where its machine goes away. UserError, which says what failed, if it does."""
    runs.submit(task)
    while True:
        ended = runs.wait(1.0)
        for report in runs.reports():
            epoch(report.epoch)
        for _, outcome in ended:
            try:
                return outcome()
            except Lost:
                runs.submit(task)
            except Failed as failed:
                raise UserError(
                    f"{what} failed ({failed.reason}): {failed.message}",
                    fix=f"{fix}, or see {task.folder}",
                    code=INFEASIBLE,
                ) from failed
