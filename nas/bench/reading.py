"""Tables from files: what is read, and what is wrong with them said in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias, final

import numpy as np
import pandas as pd

from nas.bench.table import Published, Rows, Table
from nas.errors import UserError, nearest
from nas.files import existing
from nas.roles import Array
from nas.space import Architecture, Space
from nas.tree import Refused

Frame: TypeAlias = Any  # a pandas.DataFrame; pandas ships no types
LEAST = 10
"""Rows that a search needs to choose from."""
SPARSE = 0.1
"""A table with less than this share of its space is sparse: its rows are the only members."""
NAMED = 3
"""Architectures that an error names."""


@final
@dataclass(frozen=True)
class Columns:
    """Which columns of a file are what.

    arch: the architectures as the space spells them; search: what a strategy is told; report: what its choice is
    judged by, "" for the same; time: seconds of one evaluation, "" for none; costs: what is known beforehand;
    fidelities: the column of each budget.
    """

    search: str
    report: str = ""
    arch: str = "arch"
    time: str = ""
    costs: tuple[str, ...] = ()
    fidelities: Mapping[int, str] | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns of numbers that a search needs, each once."""
        found = (self.search, self.report, self.time, *self.costs, *(self.fidelities or {}).values())
        return tuple(dict.fromkeys(filter(None, found)))


def read_table(
    file: str | Path,
    space: Space,
    columns: Columns,
    *,
    name: str = "",
    goal: Literal["max", "min"] = "max",
    published: Sequence[Published] = (),
) -> Table:
    """The table of a .parquet or .csv file.

    Rows without a number that is needed are left out, rows of one architecture are averaged, and the table's notes say
    so. Raises UserError where the file, a column or an architecture is not there, or too few rows are left.
    """
    path = _path(file)
    frame = _frame(path, columns.arch)
    for column in (columns.arch, *columns.numbers):
        if column not in frame.columns:
            raise nearest(column, map(str, frame.columns), what=f"column of {path.name}")
    for column in columns.numbers:
        frame[column] = _numbers(path, frame[column])
    there, notes = _measured(path, frame, columns)
    listed = _architectures(path, frame[columns.arch][there], replace(space, members=None, costs=None))
    archs, kept, merged = _merged(listed, _plain(frame[there], columns), columns)
    if len(archs) < LEAST:
        raise UserError(f"{path.name} has {len(archs)} architectures", fix=f"a search needs {LEAST} to choose from")
    if columns.time and (kept[columns.time] <= 0).any():
        raise UserError(f"the column {columns.time} of {path.name} is not above 0", fix="it holds seconds")
    whole, said = _members(space, archs)
    return Table(
        name or path.stem,
        whole,
        archs,
        kept,
        columns.search,
        columns.report or columns.search,
        goal=goal,
        seconds=kept[columns.time] if columns.time else None,
        costs=columns.costs,
        fidelities=columns.fidelities or {},
        published=tuple(published),
        notes=(*notes, *merged, *said),
    )


def _path(file: str | Path) -> Path:
    path = existing(str(file))
    if path is None or not path.is_file():
        raise UserError(f"there is no table {file}", fix="give the path of a .parquet or .csv file")
    if path.suffix not in (".parquet", ".csv"):
        raise UserError(f"{path.name} is no .parquet and no .csv file", fix="write the table as one of them")
    return path


def _frame(path: Path, arch: str) -> Frame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype={arch: str}, keep_default_na=True)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's own derive from these
        line = " ".join(str(error).split())
        raise UserError(f"{path.name} cannot be read: {line[:200]}", fix="see whether it is whole") from error


def _numbers(path: Path, values: Frame) -> Frame:
    """A column as numbers; UserError that names the first that is none."""
    made = pd.to_numeric(values, errors="coerce")
    bad = made.isna() & values.notna()
    if bad.any():
        n = int(bad.to_numpy().argmax())
        what = f"the column {values.name} of {path.name} holds {str(values.iloc[n])[:60]!r} in row {n + 1}"
        raise UserError(what, fix="it needs numbers alone")
    return made.astype(float)


def _measured(path: Path, frame: Frame, columns: Columns) -> tuple[Array, list[str]]:
    """Which rows have every number that is needed, and what is said of the others."""
    there, notes = np.ones(len(frame), dtype=bool), []
    for column in columns.numbers:
        finite = np.isfinite(frame[column].to_numpy())
        if not finite.any():
            raise UserError(f"the column {column} of {path.name} has no number", fix="take another column")
        if not finite.all():
            count, first = int((~finite).sum()), int(finite.argmin()) + 1
            rows = "1 row has" if count == 1 else f"{count:,} rows have"
            notes.append(f"{rows} no {column}, left out; the first is row {first}")
        there &= finite
    return there, notes


def _architectures(path: Path, texts: Frame, space: Space) -> list[Architecture]:
    """The architecture of each row; UserError that names the first that the space does not know."""
    found: list[Architecture] = []
    unknown: list[tuple[str, str]] = []
    for given in texts:
        text = given if isinstance(given, str) else "" if pd.isna(given) else str(given)
        try:
            found.append(space.parse(text))
        except (KeyError, ValueError, Refused) as error:
            unknown.append((text, str(error.args[0] if error.args else error)))
    if unknown:
        some = ", ".join(repr(text[:60]) for text, _ in unknown[:NAMED])
        more = "" if len(unknown) <= NAMED else ", ..."
        what = f"{len(unknown):,} of {len(texts):,} architectures of {path.name} are none of {space.name}: {some}{more}"
        raise UserError(what, fix=f"take another space or column of architectures ({unknown[0][1][:200]})")
    return found


def _plain(frame: Frame, columns: Columns) -> Frame:
    """The columns of numbers."""
    made = frame.drop(columns=[columns.arch]).select_dtypes(["number", "bool"]).astype(float)
    return made.reset_index(drop=True)


def _merged(
    archs: Sequence[Architecture], frame: Frame, columns: Columns
) -> tuple[tuple[Architecture, ...], dict[str, Array], list[str]]:
    """One row for each architecture, in the order of the file: the mean of its rows; and what is said of that."""
    place: dict[Architecture, int] = {}
    groups = np.array([place.setdefault(arch, len(place)) for arch in archs])
    if len(place) == len(archs):
        return tuple(archs), {str(name): frame[name].to_numpy() for name in frame.columns}, []
    grouped = frame.groupby(groups)
    least, most = grouped.min(), grouped.max()
    means = grouped.mean().where(least != most, least)  # a mean of equal numbers may differ in its last digit
    twice = np.bincount(groups) > 1
    differ = int((twice & (least != most)[list(columns.numbers)].any(axis=1).to_numpy()).sum())
    same = int(twice.sum()) - differ
    notes = [f"of {same:,} architectures there are several rows with the same numbers, taken once"] if same else []
    if differ:
        notes.append(f"of {differ:,} architectures there are several rows with different numbers, of which the mean")
    return tuple(place), {str(name): means[name].to_numpy() for name in means.columns}, notes


def _members(space: Space, archs: tuple[Architecture, ...]) -> tuple[Space, list[str]]:
    """The space, whose only members are the rows of a sparse table; and what is said of those that are missing."""
    plain = replace(space, members=None)
    most = int(len(archs) / SPARSE)
    larger = plain.size > most if plain.accepts is None else next(islice(plain, most, None), None) is not None
    if larger:
        return replace(plain, members=Rows(archs)), [f"the {len(archs):,} rows are the only members of the space"]
    if plain.size == len(archs):
        return plain, []
    what = f"{len(archs):,} of {plain.size:,} architectures have rows"
    if plain.same is not None:
        return plain, [f"{what}; another is looked up as one that is the same network, or is infeasible"]
    return plain, [f"{what}; the others are infeasible"]
