"""How a search is run, and who watches it: nothing here changes what a trial gives."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Literal, Protocol, final

from nas.errors import ENVIRONMENT, UserError
from nas.evaluators.scratch import device_of
from nas.executors import Local
from nas.ranking import LEAST
from nas.roles import Executor, Needs
from nas.study import Progress

EMBEDDED = 16
"""Trials of a search without any flag, and of any other where nothing is said."""


@final
@dataclass(frozen=True)
class Options:
    """How a search is run: nothing here changes what a trial gives, and more trials go on with a run.

    workers: 0 for as many as the machine or cluster carries; timeout: of a trial, in seconds; check: networks that are
    trained alone to see what ratings by inherited weights are worth.
    """

    trials: int = EMBEDDED
    executor: Literal["ray", "local"] = "ray"
    workers: int = 0
    ray: str = ""
    gpus_per_trial: float = 0.0
    timeout: float | None = None
    baseline: str = ""
    check: int = 0

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UserError(f"--trials must be at least 1, got {self.trials}", fix="for example --trials 20")
        if self.check < 0 or 0 < self.check < LEAST:
            raise UserError(f"--check must be 0, or at least {LEAST}, got {self.check}", fix="for example --check 16")
        if self.workers < 0:
            raise UserError(f"--workers must be at least 1, got {self.workers}", fix="leave it out for one a core")
        if not 0 <= self.gpus_per_trial < math.inf:
            raise UserError(
                f"--gpus-per-trial must be 0 or more, got {self.gpus_per_trial}", fix="0.25 packs four on a card"
            )
        if self.timeout is not None and self.timeout <= 0:
            raise UserError(f"--trial-timeout must be above 0 seconds, got {self.timeout}", fix="for example 600")
        if self.executor == "local" and self.ray:
            raise UserError("--ray ADDRESS needs --executor ray, got local", fix="leave one of them out")

    @property
    def needs(self) -> Needs:
        """What a trial takes of a machine."""
        return Needs(1.0, self.gpus_per_trial)


def share(asked: float | None, *, cluster: bool = False) -> float:
    """The share of a GPU that a trial takes: what was asked for, else a whole one where this machine has one."""
    if asked is not None:
        return asked
    return 1.0 if not cluster and device_of().type == "cuda" else 0.0


def refuse_missing(options: Options) -> None:
    """Raise UserError where a GPU of this machine was asked for and there is none."""
    if options.gpus_per_trial and not options.ray and device_of().type != "cuda":
        fix = "leave out --gpus-per-trial to train on the CPU; `nas doctor` says what is seen"
        raise UserError("a GPU was asked for and this machine shows none", fix=fix, code=ENVIRONMENT)


class Screen(Protocol):
    """Shows a person how far a search is."""

    def phase(self, title: str, trials: int, after: float = 0.0) -> None:
        """A new part of the work begins; after: what comes behind it takes as long as so many of its trials."""

    def search(self, progress: Progress) -> None:
        """A search has gone on."""

    def epoch(self, epoch: int, epochs: int) -> None:
        """The last training has gone on."""

    def say(self, text: str) -> None:
        """A line for the reader."""


@final
class Silent:
    """A screen that shows nothing."""

    def phase(self, title: str, trials: int, after: float = 0.0) -> None:
        """Nothing."""

    def search(self, progress: Progress) -> None:
        """Nothing."""

    def epoch(self, epoch: int, epochs: int) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""


def make_executor(options: Options, title: str, screen: Screen, *, whole: bool = False) -> Executor:
    """The executor that the options ask for; whole: one worker, and on this machine with all cores to itself."""
    cores = len(os.sched_getaffinity(0))
    if options.executor == "local" or (whole and not options.ray):
        workers = options.workers or (max(1, int(1 / options.gpus_per_trial)) if options.gpus_per_trial else cores)
        return Local(workers, gpus=options.gpus_per_trial > 0)
    from nas.executors.ray import RayExecutor  # noqa: PLC0415  # Ray is imported only where it is used

    made = RayExecutor(options.workers or None, address=options.ray or None, needs=options.needs, study=title)
    if not whole and made.dashboard():
        screen.say(made.dashboard())
    return made
