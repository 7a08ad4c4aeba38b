"""How far a search is, on standard error: live in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from nas.options import Screen
from nas.problem import State
from nas.study import Progress
from nas.units import count, duration


def screen() -> Screen:
    """The screen that suits standard error."""
    console = Console(stderr=True, highlight=False)
    return Live(console) if console.is_terminal else Lines()


@final
class _Clock:
    """Seconds per finished trial of this sitting, from which the time left of the whole search follows.

    after: what comes behind the trials, in trials.
    """

    def __init__(self, after: float = 0.0) -> None:
        self.start, self.before, self.after = time.monotonic(), -1, after

    def left(self, progress: Progress) -> str:
        if self.before < 0:
            self.before = progress.finished
        fresh = progress.finished - self.before
        ahead = progress.trials - progress.finished + self.after
        if not fresh or progress.finished >= progress.trials:
            return ""
        return f"about {duration((time.monotonic() - self.start) / fresh * ahead)} left"


def states(progress: Progress) -> str:
    """The trials by state: 7 done, 1 repeat, 2 running."""
    parts = [f"{n} {state}" for state in State if (n := progress.states.get(state, 0))]
    return ", ".join([*parts, *([f"{len(progress.running)} running"] if progress.running else [])])


def best(progress: Progress) -> str:
    """The best so far: best 0.9861 (trial 3, 73.3k params)."""
    if progress.best is None:
        return ""
    metrics = progress.best.metrics
    value = metrics.get("accuracy", metrics.get("score", float("nan")))  # some ratings are scores
    return f"best {value:.4f} (trial {progress.best.id}, {count(metrics['params'])} params)"


@final
class Lines:
    """A line for each trial that ended, and for each epoch of the last training that is a tenth further."""

    def __init__(self, write: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)) -> None:
        self._write, self._seen, self._clock = write, 0, _Clock()

    def phase(self, title: str, trials: int, after: float = 0.0) -> None:
        """A heading."""
        self._seen, self._clock = 0, _Clock(after)
        self._write(f"{title}: {trials} trials" if trials else title)

    def search(self, progress: Progress) -> None:
        """A line where a trial has ended."""
        left = self._clock.left(progress)
        if progress.proposals > self._seen:
            self._seen = progress.proposals
            parts = [f"{progress.finished}/{progress.trials}", states(progress), best(progress), left]
            self._write("  " + "  ".join(part for part in parts if part))

    def epoch(self, epoch: int, epochs: int) -> None:
        """A line now and then."""
        if epoch == epochs or epoch % max(1, epochs // 5) == 0:
            left = (time.monotonic() - self._clock.start) / epoch * (epochs - epoch)
            self._write(f"  epoch {epoch}/{epochs}" + (f"  about {duration(left)} left" if epoch < epochs else ""))

    def say(self, text: str) -> None:
        """The line."""
        self._write(text)


@final
class Live:
    """A bar with the best so far, the trials by state and the time left; finished parts leave a line behind."""

    def __init__(self, console: Console) -> None:
        self._console, self._clock = console, _Clock()
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=False,
        )
        self._task: TaskID | None = None

    def phase(self, title: str, trials: int, after: float = 0.0) -> None:
        """A new bar; the earlier one stays as it ended."""
        self._clock = _Clock(after)
        if self._task is not None:
            self._bar.stop_task(self._task)
        self._task = self._bar.add_task(title, total=trials or 1, note="")
        self._bar.start()

    def search(self, progress: Progress) -> None:
        """Move the bar."""
        if self._task is None:
            return
        inside = sum(1 for epoch in progress.epochs.values() if epoch)
        epochs = f"epoch {max(progress.epochs.values())}" if inside else ""
        parts = [best(progress), states(progress), epochs, self._clock.left(progress)]
        note = "  ".join(part for part in parts if part)
        self._bar.update(self._task, completed=progress.finished, total=progress.trials, note=note)
        if progress.finished >= progress.trials or not progress.running:
            self._bar.refresh()

    def epoch(self, epoch: int, epochs: int) -> None:
        """Move the bar."""
        if self._task is not None:
            left = (time.monotonic() - self._clock.start) / epoch * (epochs - epoch)
            note = f"about {duration(left)} left" if epoch < epochs else ""
            self._bar.update(self._task, completed=epoch, total=epochs, note=note)

    def say(self, text: str) -> None:
        """The line, above the bar."""
        self._console.print(text)

    def stop(self) -> None:
        """Leave the bar as it is."""
        self._bar.stop()
