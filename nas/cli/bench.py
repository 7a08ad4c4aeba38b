"""`nas bench`."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import tyro
from rich.console import RenderableType
from rich.table import Table as Grid

from nas import plugins
from nas.bench.compare import Budget, Result, compare
from nas.bench.named import NAMED, named
from nas.bench.reading import Columns, read_table
from nas.bench.table import Table
from nas.cli.parse import Command
from nas.cli.speak import Said
from nas.drawing.curve import Curve
from nas.errors import INFEASIBLE, UserError, nearest
from nas.files import write_text
from nas.problem import Constraint
from nas.units import duration

POINTS = tuple(m * 10**e for e in range(6) for m in (1, 2, 5))
"""At how many evaluations regret is told."""


@final
@dataclass(frozen=True)
class Bench(Command):
    """What strategies find on a table of measured networks, beside random search, in simulated time.

    The table is a named one (macro comes along; the others are looked for in --tables), or a .parquet or .csv file with
    a row for each architecture as the published tables spell it. Every row that a strategy asks for counts, a repeated
    one too.

    Example: nas bench macro --strategy evolution,local --budget 200evals --seeds 100
    """

    table: tyro.conf.Positional[str]
    """A name, or a file."""
    strategy: str = "auto"
    """Names joined by commas, or FILE.py:NAME; random search always runs beside them."""
    budget: str = "200evals"
    """Of one search: 180evals, or 20000s of simulated time, or both joined by a comma."""
    seeds: int = 100
    """Searches of each strategy."""
    space: str = "nasbench201"
    """The space of a file's architectures."""
    arch_column: str = "arch"
    """A file's column of architectures."""
    search_column: str = ""
    """The column that strategies are told; needed for a file."""
    report_column: str = ""
    """The column that judges what they chose, by default the search column."""
    time_column: str = ""
    """The seconds that a row costs, for budgets in seconds."""
    minimise: bool = False
    """Small values are good ones."""
    max: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="COLUMN=VALUE")] = ()
    """A limit on a column, known before a row is asked for."""
    tables: Path | None = None
    """The folder of named tables, by default that of the environment variable NAS_TABLES."""
    processes: int = 0
    """0 for one a core."""
    html: Path | None = None
    """Regret against evaluations, drawn as a page."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        budget, began = _budget(self.budget), time.monotonic()
        for name, value, least in (("seeds", self.seeds, 1), ("processes", self.processes, 0)):
            if value < least:
                raise UserError(f"--{name} must be at least {least}, got {value}")
        table = self._table()
        if budget.seconds and table.seconds is None:
            fix = "give --time-column, or a budget like 180evals"
            raise UserError(
                f"{table.name} does not say what a row costs, so no budget can be {budget.seconds:g}s", fix=fix
            )
        strategies = list(dict.fromkeys(["random", *filter(None, self.strategy.split(","))]))
        shown = _Shown(strategies, self.seeds)
        asked: dict[str, Any] = {"seeds": self.seeds, "processes": self.processes, "watch": shown}
        results = list(compare(table, strategies, budget, problem=table.problem(tuple(map(_limit, self.max))), **asked))
        made = _made(table, budget, self.seeds, results)
        made["wall_seconds"] = round(time.monotonic() - began, 1)
        if self.html is not None:
            write_text(self.html, _curves(table, results))
        empty = [r.strategy for r in results if not r.report]
        if empty:
            why = next(r.ended for r in results if not r.report)
            made |= {"error": f"{', '.join(empty)} found nothing: {why}", "code": INFEASIBLE}
        return Said(made, tuple(_people(made, table)), code=INFEASIBLE if empty else 0)

    def _table(self) -> Table:
        path = Path(self.table)
        if path.suffix not in (".parquet", ".csv"):
            if self.table not in NAMED:
                raise nearest(self.table, [*NAMED, "FILE.parquet", "FILE.csv"], what="table")
            return named(self.table, self.tables)
        if not self.search_column:
            raise UserError("a file needs --search-column, the column that strategies are told", fix="see its columns")
        costs = tuple(limit.partition("=")[0] for limit in self.max)
        return read_table(
            path,
            plugins.space(self.space),
            Columns(self.search_column, self.report_column, self.arch_column, self.time_column, costs),
            goal="min" if self.minimise else "max",
        )


def _budget(text: str) -> Budget:
    evals, seconds = None, None
    for part in text.split(","):
        read = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(evals|s)\s*", part)
        if read is None or float(read[1]) <= 0 or (read[2] == "evals" and "." in read[1]):
            raise UserError(f"--budget is like 180evals or 20000s, got {part!r}")
        if read[2] == "evals":
            evals = int(read[1])
        else:
            seconds = float(read[1])
    return Budget(evals, seconds)


def _limit(text: str) -> Constraint:
    name, _, value = text.partition("=")
    try:
        most = float(value)
    except ValueError:
        most = math.nan
    if not math.isfinite(most):
        raise UserError(f"--max is COLUMN=VALUE, got {text!r}", fix="for example --max latency_zcu102_ms=4")
    return Constraint(name, most)


@final
class _Shown:
    """How far a bench is, a line on standard error for each tenth of a strategy."""

    def __init__(self, strategies: list[str], seeds: int) -> None:
        self._all, self._seeds, self._order = len(strategies) * seeds, seeds, strategies
        self._began, self._said = time.monotonic(), -1

    def __call__(self, strategy: str, done: int) -> None:
        whole = self._order.index(strategy) * self._seeds + done
        spent = time.monotonic() - self._began
        tenth = 10 * whole // self._all
        if tenth == self._said or (spent < 2 and whole < self._all):
            return
        self._said = tenth
        left = f", about {duration(spent / whole * (self._all - whole))} left" if whole < self._all else ""
        print(f"  {strategy}: {done}/{self._seeds} searches{left}", file=sys.stderr, flush=True)


def _made(table: Table, budget: Budget, seeds: int, results: list[Result]) -> dict[str, Any]:
    most = max((len(c.at) for r in results for c in r.courses), default=0)
    points = [p for p in POINTS if p <= most]
    return {
        "table": table.name,
        "space": table.space.name,
        "rows_of_table": len(table.archs),
        "search_column": table.search,
        "report_column": table.report,
        "budget": {"evals": budget.evals, "seconds": budget.seconds},
        "seeds": seeds,
        "best_possible": table.best,
        "rows": [_row(table, one, results[0], points) for one in results],
        "published": [
            {"method": p.method, "mean": p.mean, "std": p.std, "runs": p.runs, "source": p.source}
            for p in table.published
        ],
        "notes": list(table.notes),
    }


def _row(table: Table, one: Result, random: Result, points: list[int]) -> dict[str, Any]:
    report, found = np.array(one.report), len(one.report)
    std = float(report.std(ddof=1)) if found > 1 else 0.0
    regret = [dict(zip(("evals", "regret", "low", "high"), p, strict=True)) for p in one.regret(table, points)]
    return {
        "strategy": one.strategy,
        "mean": float(report.mean()) if found else None,
        "std": std,
        "stderr": std / math.sqrt(found) if found else None,
        "search_mean": float(np.mean(one.search)) if found else None,
        "evals": one.evals,
        "asks_per_s": one.rate,
        "seconds": one.seconds,
        "ahead_of_random": _ahead(table, one, random),
        "ended": one.ended,
        "regret": regret,
    }


def _ahead(table: Table, one: Result, random: Result) -> dict[str, float] | None:
    """By how much better than random search, with the normal interval of 95 %."""
    a, b = np.array(one.report), np.array(random.report)
    if one is random or min(len(a), len(b)) < 2:
        return None
    mean = float(a.mean() - b.mean()) * (1 if table.goal == "max" else -1)
    half = 1.96 * math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _curves(table: Table, results: list[Result]) -> str:
    title = f"{table.name}: regret of the best so far, mean and 95 % interval"
    page = Curve(title, "evaluations", f"regret of {table.report}")
    for one in results:
        points = one.regret(table, [p for p in POINTS if p <= one.evals])
        low, high = [p[2] for p in points], [p[3] for p in points]
        page.band(Path(one.strategy).name, [p[:2] for p in points], low, high)
    return page.html()


def _people(made: dict[str, Any], table: Table) -> Iterator[RenderableType]:
    grid = Grid(box=None, pad_edge=False)
    grid.add_column("strategy", no_wrap=True, min_width=max(len(Path(r["strategy"]).name) for r in made["rows"]))
    for name in ("mean", "std", "ahead of random, 95 %", "evaluations", "asks/s"):
        grid.add_column(name, justify="right", no_wrap=True)
    digits = 4 if abs(table.best) <= 1 else 3
    for row in sorted(made["rows"], key=lambda r: -(r["mean"] or -math.inf) * (1 if table.goal == "max" else -1)):
        name = Path(row["strategy"]).name
        if row["mean"] is None:
            grid.add_row(name, "nothing")
            continue
        ahead = row["ahead_of_random"]
        told = "" if ahead is None else "{:+.{d}f} [{:+.{d}f}, {:+.{d}f}]".format(*ahead.values(), d=digits)
        numbers = (f"{row['evals']:.0f}", f"{row['asks_per_s']:,.0f}")
        grid.add_row(name, f"{row['mean']:.{digits}f}", f"{row['std']:.{digits}f}", told, *numbers)
    yield grid
    yield (
        f"{table.name}: {len(table.archs):,} rows of {table.space.name}, strategies are told {table.search}, "
        f"judged by {table.report}, best possible {table.best:.{digits}f}; {Budget(**made['budget'])} a search, "
        f"{made['seeds']} seeds"
    )
    yield from (f"{row['strategy']}: {row['ended']}" for row in made["rows"] if row["ended"])
    for p in made["published"]:
        runs = f", {p['runs']} runs" if p["runs"] else ""
        yield f"published: {p['method']} {p['mean']:.{digits}g} +- {p['std']:.{digits - 1}g}{runs} ({p['source']})"
    yield from made["notes"]
