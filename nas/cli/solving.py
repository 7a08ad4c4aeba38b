"""How far a solver is, on standard error: one moving line in a terminal, plain lines elsewhere; and Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from types import FrameType
from typing import final

from rich.console import Console
from rich.status import Status

EVERY = 5.0
"""Seconds between plain lines in which nothing but the gap has moved a little."""
MOVED = 1e-3
"""A value or a gap that moved by this part is worth a line."""

TINY = 1e-8
"""A share below this is rounding."""


@final
class Watching:
    """Told by a solver what it has; asked by it whether to stop."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._live = self._console.status("solving") if self._console.is_terminal else None
        self._begun = self._last = time.monotonic()
        self._said = (float("-inf"), float("inf"))
        self.interrupted = False

    def __call__(self, what: str, value: float, bound: float) -> None:
        """What is done, the best value, and the bound."""
        now = time.monotonic()
        line = f"{now - self._begun:5.1f} s  {state(value, bound)}  ({what})"
        if isinstance(self._live, Status):
            self._live.update(line)
        elif now - self._last >= EVERY or self._news(value, bound):
            print(f"  {line}", file=sys.stderr, flush=True)
            self._last, self._said = now, (value, bound)

    def say(self, text: str) -> None:
        """A line."""
        self._console.print(text)

    def stopped(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.interrupted

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it; the first Ctrl-C inside asks the solver for what it has, the second one ends the program."""
        before = signal.getsignal(signal.SIGINT)

        def interrupt(number: int, frame: FrameType | None) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            print("stopping: the best so far, with its gap (again to leave without it)", file=sys.stderr, flush=True)

        signal.signal(signal.SIGINT, interrupt)
        if self._live is not None:
            self._live.start()
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
            if self._live is not None:
                self._live.stop()

    def _news(self, value: float, bound: float) -> bool:
        old, top = self._said
        if not isfinite(value):
            return False
        if not isfinite(old) or isfinite(bound) > isfinite(top):
            return True
        size = MOVED * max(1.0, abs(value))
        return abs(value - old) > size or (isfinite(bound) and abs(bound - top) > size)


def state(value: float, bound: float) -> str:
    """The value, the bound and the gap, as far as they are known."""
    if not isfinite(value):
        return "no design yet"
    if not isfinite(bound):
        return f"value {value:,.1f}"
    return f"value {value:,.1f}  bound {bound:,.1f}  gap {percent((bound - value) / max(abs(value), 1e-12))}"


def percent(share: float) -> str:
    """A share for people: 0.146 %."""
    if not isfinite(share):
        return "unknown"
    return f"{100 * share:.3g} %" if share > TINY else "0 %"
