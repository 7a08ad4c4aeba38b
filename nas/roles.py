"""The roles: who proposes, who rates, who predicts, who runs the work. Anything with these methods will do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nas.codes import Codes, Rows
from nas.problem import Metrics, Proposal, Trial
from nas.space import Architecture, Rng

Array: TypeAlias = NDArray[np.float64]


class Strategy(Protocol):
    """Decides what to try. Its state is a function of its constructor's arguments and of what it was told, in order.

    It may have `chosen()`, what it takes for the best in the end, and `slow`, whether an ask takes so long that it is
    asked while the workers train.
    """

    def ask(self, rng: Rng) -> Proposal | None:
        """The next proposal; None for nothing until something is told (and then its state must not change)."""

    def tell(self, trial: Trial) -> None:
        """What became of a proposal: done, repeat, infeasible or failed; in any order."""


class Work(Protocol):
    """What a worker hands to an evaluator.

    rng: of this trial alone, and the same in one that goes on with its training; folder: this trial's, checkpoints live
    here; parent: the parent trial's folder.
    """

    @property
    def rng(self) -> Rng: ...
    @property
    def folder(self) -> Path: ...
    @property
    def parent(self) -> Path | None: ...

    def report(self, epoch: int, metrics: Metrics) -> None:
        """Tell the driver how far the trial is."""


class Evaluator(Protocol):
    """What an architecture is worth. Picklable; runs on a worker; raises to fail the trial."""

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        """The metrics of a proposal."""


@final
@dataclass(frozen=True, eq=False)
class Prediction:
    """mean and std, each (n,), in the unit of what was fitted."""

    mean: Array
    std: Array


class Predictor(Protocol):
    """Says what an architecture is worth without training it."""

    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> Predictor:
        """Learn from rated architectures. y: (n,), larger is better; features: (n, f)."""

    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """The values of architectures: mean (n,) and std (n,)."""


@runtime_checkable
class Quick(Protocol):
    """A predictor that reads populations as integer arrays too, so that no architecture need be made (optional)."""

    def coded(self, codes: Codes, rows: Rows, features: Array | None = None, *, std: bool = True) -> Prediction:
        """What `predict` says of the architectures of the rows, but for rounding.

        std: whether it is asked for; without, it is NaN, and the means may be off by a ten-thousandth of the standard
        deviation of what was learnt: enough to rank, and cheaper.
        """


@final
@dataclass(frozen=True)
class Needs:
    """What a trial takes of a machine: shares of CPUs and GPUs."""

    cpus: float = 1.0
    gpus: float = 0.0


@final
@dataclass(frozen=True, eq=False)
class Task:
    """One trial as work for an executor.

    name: for people, "search-7 / trial 12 mobile-3fa2"; seed: the study's; folder: the trial's own;
    timeout: in seconds, None for no limit; epochs: how many the evaluator will report, 0 where unknown.
    origin: the trial in which a training began that this one goes on with, and whose numbers it draws; 0 for itself.
    """

    trial: int
    name: str
    evaluate: Evaluator
    proposal: Proposal
    seed: int
    folder: Path
    parent: Path | None = None
    needs: Needs = Needs()
    timeout: float | None = None
    epochs: int = 0
    origin: int = 0


@final
@dataclass(frozen=True)
class Report:
    """What a running trial told: how far it is, and its metrics so far."""

    trial: int
    epoch: int
    metrics: Metrics


Outcome: TypeAlias = Callable[[], Metrics]
"""Gives a trial's metrics, or raises Failed, Infeasible or Lost; UserError where every trial would fail so."""


class Executor(Protocol):
    """Runs tasks elsewhere: each that is submitted comes back once; what it raised, its outcome alone raises."""

    @property
    def capacity(self) -> int:
        """How many tasks run at a time."""

    def submit(self, task: Task) -> None:
        """Start a task; at most `capacity` at a time."""

    def wait(self, seconds: float | None = None) -> list[tuple[int, Outcome]]:
        """The tasks that ended; waits until one has, something was reported, or the seconds are over."""

    def reports(self) -> list[Report]:
        """What running trials told since the last call, in their order."""

    def cancel(self, trial: int) -> None:
        """Stop a task; it does not come back."""

    def close(self) -> None:
        """Stop everything."""


REASONS = ("error", "memory", "nan", "timeout", "died")
"""Why a trial failed: it raised, memory ran out, its numbers did, its time did, or its process died."""


@final
class Failed(Exception):
    """A trial failed for one of REASONS; message in one line, trace as text."""

    def __init__(self, reason: str, message: str, trace: str = "") -> None:
        super().__init__(reason, message, trace)
        self.reason, self.message, self.trace = reason, message, trace


@final
class Infeasible(Exception):
    """A limit that only a device can measure is broken: which, and the metrics measured."""

    def __init__(self, reason: str, metrics: Mapping[str, float]) -> None:
        super().__init__(reason, dict(metrics))
        self.reason, self.metrics = reason, dict(metrics)


@final
class Lost(Exception):
    """The machine that ran a trial went away, through no fault of the trial: it is put back."""


def reason_of(error: BaseException) -> str:
    """Which of REASONS an exception that an evaluator raised stands for."""
    text = f"{type(error).__name__}: {error}".lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return "memory"
    return "nan" if isinstance(error, ArithmeticError) else "error"


def one_line(error: BaseException) -> str:
    """An exception in one line of at most 300 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
