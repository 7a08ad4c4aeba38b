"""A study's numbers as Ray shows them: on its dashboard, and at each machine's metrics port for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import final

EVERY = 1.0
"""Seconds between two updates that are passed on."""


@final
class Gauges:
    """A study as nas_trials by state, nas_best_accuracy and nas_device_hours.

    Needs a Ray that this process is connected to. Ray itself puts ray_ before the names.
    """

    def __init__(self, study: str) -> None:
        from ray.util.metrics import Gauge  # noqa: PLC0415  # slow to import, and optional

        tags = {"study": study}
        self._trials = Gauge("nas_trials", description="Trials by state", tag_keys=("study", "state"))
        self._best = Gauge("nas_best_accuracy", description="Best accuracy so far", tag_keys=("study",))
        self._hours = Gauge("nas_device_hours", description="Device-hours spent", tag_keys=("study",))
        for gauge in (self._trials, self._best, self._hours):
            gauge.set_default_tags(tags)
        self._next = 0.0
        self._states: set[str] = set()

    def update(
        self, states: Mapping[str, int], best: float | None, device_hours: float, *, force: bool = False
    ) -> None:
        """Pass the numbers on, at most once a second unless forced (as at the end of a study)."""
        now = time.monotonic()
        if now < self._next and not force:
            return
        self._next = now + EVERY
        self._states.update(states)
        for state in self._states:
            self._trials.set(states.get(state, 0), tags={"state": str(state)})
        if best is not None:
            self._best.set(best)
        self._hours.set(device_hours)
