"""A run: a folder with a ledger, which one process at a time may go on with."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, final

import pandas as pd

from nas.errors import ENVIRONMENT, UserError
from nas.files import write_text
from nas.problem import Problem, State, Trial
from nas.roles import Evaluator, Executor, Strategy
from nas.space import Json
from nas.store import Store
from nas.study import Progress, Terms, Watch, search

T = TypeVar("T")
SETTINGS, LEDGER, LOCK = "settings.json", "ledger.sqlite", "lock"


@final
class Run:
    """A run's folder: settings.json, ledger.sqlite, a folder for each study with one for each trial.

    Open it by `Run.open` to go on with it, which locks it, or by `Run.read` to look at it.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Json], store: Store, lock: int | None) -> None:
        self.folder, self.settings, self.store, self._lock = folder, settings, store, lock

    @staticmethod
    def open(folder: Path, settings: Mapping[str, Json]) -> Run:
        """The run in a folder, made where there is none, locked for this process.

        Raises UserError where another process holds it, or the disk is full or read-only.
        """
        if folder.is_dir() and not (folder / SETTINGS).exists() and any(f.name != LOCK for f in folder.iterdir()):
            raise UserError(f"{folder} holds other files and is no run", fix="give another --out")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UserError(
                f"the run's folder {folder} cannot be written: {error.strerror}", code=ENVIRONMENT
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(lock, 32).decode(errors="replace").strip()
            os.close(lock)
            raise UserError(
                f"the run {folder} is being driven by another process{f' ({holder})' if holder else ''}",
                fix="wait for it, stop it, or give another --out",
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()}".encode(), 0)
        try:
            if not (folder / SETTINGS).exists():
                write_text(folder / SETTINGS, json.dumps(settings, indent=1))
            return Run(folder, settings_in(folder), Store(folder / LEDGER), lock)
        except BaseException:
            os.close(lock)
            raise

    @staticmethod
    def read(folder: Path) -> Run:
        """The run in a folder, to be looked at; another process may be driving it."""
        settings = settings_in(folder)
        if not (folder / LEDGER).exists():
            raise UserError(f"the run {folder} has no ledger yet", fix="start it again with the same command")
        return Run(folder, settings, Store(folder / LEDGER, write=False), None)

    @property
    def driven(self) -> bool:
        """Whether some process is driving the run now."""
        try:
            lock = os.open(self.folder / LOCK, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    def search(
        self,
        problem: Problem,
        *,
        strategy: Strategy,
        evaluate: Evaluator,
        executor: Executor,
        terms: Terms,
        trials: int,
        seed: int,
        watch: Watch = lambda progress: None,
    ) -> Progress:
        """Search, or go on with a search, as the study that the terms name."""
        return search(problem, strategy, evaluate, executor, self.store, terms, trials=trials, seed=seed, watch=watch)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` makes (plain values), or what an earlier start of this run made."""
        found = self.store.fact(name)
        if found is None:
            found = make()
            self.store.put(name, found)
        return found  # type: ignore[no-any-return]  # JSON comes back as it went in

    def trials(self, study: str = "search") -> list[Trial]:
        """All trials of a study."""
        return self.store.trials(study)

    def frame(self, study: str = "search") -> pd.DataFrame:
        """A row a trial: id, state, reason, key, architecture, budget, seconds, and every metric and choice."""
        rows = []
        for t in self.trials(study):
            row = {"id": t.id, "state": str(t.state), "reason": t.reason, "key": t.arch.key, "arch": t.arch.to_json()}
            rows.append({**row, "budget": t.proposal.budget, "seconds": t.seconds, **t.metrics, **t.arch.labels})
        return pd.DataFrame(rows)

    def counts(self, study: str = "search") -> dict[str, int]:
        """How many trials are in each state; every state is there."""
        states = self.store.states(study)
        return {str(state): states.get(str(state), 0) for state in State}

    def close(self) -> None:
        """Let go of the run."""
        self.store.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def settings_in(folder: Path) -> dict[str, Json]:
    """The settings of the run in a folder; UserError where there is none, or it is torn."""
    try:
        made = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{folder} is no run: it has no {SETTINGS}", fix="give the folder that `nas search` printed"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / SETTINGS} is torn: {error}", fix="give another --out", code=ENVIRONMENT) from error
    if not isinstance(made, dict):
        raise UserError(f"{folder / SETTINGS} is torn: no JSON object", fix="give another --out", code=ENVIRONMENT)
    return made
