"""The ledger of a run: SQLite in WAL mode, one writer, one transaction an event.

An event is on disk once it is committed, but for what the disk itself still caches (synchronous = NORMAL): that is safe
against the death of the process, not against the loss of power, which can cost the last events and nothing else.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, final

from nas.errors import ENVIRONMENT, UserError
from nas.problem import Metrics, Proposal, State, Trial
from nas.space import Architecture, Json

FORMAT = 1
"""The version of the tables; a ledger of another one is refused."""

TABLES = """
create table if not exists trials (
    study text, id integer, arch text, budget integer, parent integer, note text, same text,
    state text, metrics text, reason text, error text, seconds real, losses integer default 0,
    asked integer, told integer, primary key (study, id)) without rowid;
create table if not exists epochs (
    study text, trial integer, epoch integer, metrics text, at real, primary key (study, trial, epoch)) without rowid;
create table if not exists facts (name text primary key, value text) without rowid;
"""
COLUMNS = "id, arch, budget, parent, note, state, metrics, reason, error, seconds"


@final
@dataclass(frozen=True)
class Event:
    """Something that a strategy saw: it was asked for a trial, or told what became of one."""

    kind: Literal["ask", "tell"]
    trial: Trial


Row: TypeAlias = tuple[int, str, int | None, int | None, str, str, str, str, str, float]


@final
class Store:
    """The ledger in one file. One process writes, any number may read.

    Raises UserError where the file is no ledger, is torn, or is of another version.
    """

    def __init__(self, path: Path, *, write: bool = True) -> None:
        self._path = path
        with self._guarded():
            where = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}"
            self._db = sqlite3.connect(where, uri=True, isolation_level=None, timeout=10, check_same_thread=False)
            if write:
                self._db.execute("pragma journal_mode=wal")
                self._db.execute("pragma synchronous=normal")
            (version,) = self._db.execute("pragma user_version").fetchone()
            if write and version == 0 and not self._db.execute("select 1 from sqlite_master").fetchone():
                self._db.executescript(f"begin; {TABLES} pragma user_version={FORMAT}; commit;")
            elif version != FORMAT:
                raise UserError(
                    f"the ledger {path} is of version {version}, this nas reads version {FORMAT}",
                    fix="open it with the nas that made it, or give another --out",
                )
            self._db.execute("select state, told from trials limit 1").fetchone()
            (self._clock,) = self._db.execute(
                "select max(ifnull(max(told), 0), ifnull(max(asked), 0)) from trials"
            ).fetchone()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            full = "full" in str(error)
            fix = "free some space and give the same command again: nothing finished is lost"
            torn = "restore the folder from a copy, or give another --out; the exported networks are not touched"
            what = "the disk is full" if full else f"the ledger is torn or no ledger ({error})"
            raise UserError(f"{self._path}: {what}", fix=fix if full else torn, code=ENVIRONMENT) from error

    def _write(self, sql: str, values: tuple[object, ...]) -> None:
        with self._guarded():
            self._db.execute(sql, values)

    def _tick(self) -> int:
        self._clock += 1
        return int(self._clock)

    def ask(self, study: str, proposal: Proposal, same: str) -> Trial:
        """Enter a proposal as the next trial of a study, running from now."""
        with self._guarded():
            (last,) = self._db.execute("select ifnull(max(id), 0) from trials where study=?", (study,)).fetchone()
        trial = Trial(last + 1, proposal)
        note = json.dumps(dict(proposal.note), sort_keys=True)
        values = (study, trial.id, proposal.arch.to_json(), proposal.budget, proposal.parent, note, same, self._tick())
        self._write(
            "insert into trials (study, id, arch, budget, parent, note, same, asked, state, metrics, reason,"
            " error, seconds) values (?, ?, ?, ?, ?, ?, ?, ?, 'running', '{}', '', '', 0)",
            values,
        )
        return trial

    def finish(self, study: str, trial: Trial) -> None:
        """Enter what became of a trial; the strategy is told next."""
        values = (
            trial.state,
            json.dumps(dict(trial.metrics), sort_keys=True),
            trial.reason,
            trial.error,
            trial.seconds,
        )
        self._write(
            "update trials set state=?, metrics=?, reason=?, error=?, seconds=?, told=? where study=? and id=?",
            (*values, self._tick(), study, trial.id),
        )

    def lose(self, study: str, trial: Trial) -> int:
        """Enter that a trial's machine went away; how often that happened to it so far."""
        self._write("update trials set state='lost', losses=losses+1 where study=? and id=?", (study, trial.id))
        with self._guarded():
            row = self._db.execute("select losses from trials where study=? and id=?", (study, trial.id)).fetchone()
        return int(row[0])

    def restart(self, study: str, trial: Trial) -> None:
        """Enter that a trial which was lost runs again."""
        self._write("update trials set state='running' where study=? and id=?", (study, trial.id))

    def report(self, study: str, trial: int, epoch: int, metrics: Metrics) -> None:
        """Enter how far a running trial is; the same epoch again replaces it."""
        values = (study, trial, epoch, json.dumps(dict(metrics), sort_keys=True), time.time())
        self._write("insert or replace into epochs values (?, ?, ?, ?, ?)", values)

    def trials(self, study: str) -> list[Trial]:
        """All trials of a study in the order in which they were asked for."""
        with self._guarded():
            rows = self._db.execute(f"select {COLUMNS} from trials where study=? order by id", (study,)).fetchall()
        return [_trial(row) for row in rows]

    def same(self, study: str) -> dict[int, str]:
        """The name of each trial's network, equal for equal networks."""
        with self._guarded():
            return dict(self._db.execute("select id, same from trials where study=?", (study,)).fetchall())

    def events(self, study: str) -> list[Event]:
        """Every ask and every tell of a study, in the order in which its strategy saw them."""
        query = f"select {COLUMNS}, asked, told from trials where study=?"
        timed: list[tuple[int, Event]] = []
        with self._guarded():
            rows = self._db.execute(query, (study,)).fetchall()
        for *row, asked, told in rows:
            trial = _trial(tuple(row))
            timed.append((asked, Event("ask", trial)))
            if told is not None:
                timed.append((told, Event("tell", trial)))
        return [event for _, event in sorted(timed, key=lambda pair: pair[0])]

    def epochs(self, study: str) -> dict[int, list[tuple[int, Metrics]]]:
        """What the trials reported, by trial, in the order of the epochs."""
        found: dict[int, list[tuple[int, Metrics]]] = {}
        with self._guarded():
            rows = self._db.execute(
                "select trial, epoch, metrics from epochs where study=? order by trial, epoch", (study,)
            )
            for trial, epoch, metrics in rows.fetchall():
                found.setdefault(trial, []).append((epoch, json.loads(metrics)))
        return found

    def studies(self) -> list[str]:
        """The names of the studies that have trials."""
        with self._guarded():
            return [name for (name,) in self._db.execute("select distinct study from trials order by study").fetchall()]

    def states(self, study: str) -> Mapping[str, int]:
        """How many trials are in each state."""
        with self._guarded():
            rows = self._db.execute(
                "select state, count(*) from trials where study=? group by state", (study,)
            ).fetchall()
        return Counter(dict(rows))

    def fact(self, name: str) -> Json:
        """A fact of the run that was put in, or None."""
        with self._guarded():
            row = self._db.execute("select value from facts where name=?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, name: str, value: Json) -> None:
        """Put in a fact of the run, in place of an earlier one of that name."""
        self._write("insert or replace into facts values (?, ?)", (name, json.dumps(value, sort_keys=True)))


def _trial(row: tuple[object, ...]) -> Trial:
    number, arch, budget, parent, note, state, metrics, reason, error, seconds = row
    proposal = Proposal(Architecture.from_json(str(arch)), budget, parent, json.loads(str(note)))  # type: ignore[arg-type]  # SQLite's own types
    made = Trial(int(str(number)), proposal, State(str(state)), json.loads(str(metrics)))
    return replace(made, reason=str(reason), error=str(error), seconds=float(str(seconds)))
