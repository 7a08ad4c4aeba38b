"""`nas rank`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, final

import numpy as np
import tyro
from rich.table import Table

from nas import plugins
from nas.candidates import Candidates, candidates, costs
from nas.cli.leaderboard import whole
from nas.cli.parse import Command
from nas.cli.speak import Said
from nas.errors import INFEASIBLE, UserError
from nas.finding import Finding
from nas.problem import Problem
from nas.rated import FEWEST, Rated, rated
from nas.roles import Predictor
from nas.space import Architecture, Json, Space
from nas.trust.judge import LEVEL, Judged, judged
from nas.units import count


@final
@dataclass(frozen=True)
class Rank(Command):
    """Rank networks by a predictor that learnt from those trained, and say how far to trust it.

    Example: nas rank runs/mobile-fashion-mnist-1a2b3c4d --top 5
    """

    folder: tyro.conf.Positional[Path]
    """The run's folder."""
    predictor: str = "auto"
    """auto (several, weighed by what each says of held-out networks), gp-ranks, forest, ridge ..."""
    top: int = 10
    """How many are shown."""
    sample: int = 100_000
    """How many random architectures are looked at; of a smaller space all."""
    warm_start: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """A run of the same choices on other data: what it teaches is weighed with what this run does."""
    level: float = LEVEL
    """Of the intervals of tau and of the predictions."""
    seed: int = 0
    """Of the random architectures, and of what is held out together."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        for name, value in (("top", self.top), ("sample", self.sample)):
            if value < 1:
                raise UserError(f"--{name} must be at least 1, got {value}")
        if not 0 < self.level < 1:
            raise UserError(f"--level must lie between 0 and 1, got {self.level:g}", fix="0.9 is usual")
        finding = Finding.read(self.folder)
        problem = finding.settings.problem
        make: Callable[[], Predictor] = partial(plugins.predictor, self.predictor, problem.space)
        make()
        known = rated(finding)
        if self.warm_start is not None:
            make = partial(_warm, make, _learnt(self.warm_start, make(), problem.space))
        found = candidates(problem, known, plugins.predictor("gp-ranks"), self.sample, seed=self.seed)
        if not found.archs:
            what = f"none of {found.drawn} random architectures keeps the limits and was not trained already"
            raise UserError(what, fix="give a larger --sample, or wider limits", code=INFEASIBLE)
        columns = costs(problem, [*known.archs, *found.archs])
        told, rest = (None, None) if columns is None else np.split(columns, [len(known.archs)])
        random = list(found.archs[: found.random])
        how = judged(
            make,
            known.archs,
            known.y,
            told,
            population=(random, None if rest is None else rest[: found.random]),
            groups=[problem.screen(arch).same for arch in known.archs],
            level=self.level,
            seed=self.seed,
        )
        rows = _rows(problem, known, found, how, columns)[: self.top]
        made = {"run": str(self.folder), "predictor": self.predictor, "trained_on": len(known.archs)}
        listed = [_listed(n, row) for n, row in enumerate(rows, 1)]
        said = {**made, "tau": how.json(), "trusted": how.trusted, "rows": listed}
        return Said(said, (*self._trust(how, problem), _table(problem, rows, how), *self._lines(known, found, finding)))

    def _trust(self, how: Judged, problem: Problem) -> tuple[str, ...]:
        within = " within the limits" if problem.constraints else ""
        return (how.line if not how.trusted else f"{how.line}, for random networks{within}",)

    def _lines(self, known: Rated, found: Candidates, finding: Finding) -> list[str]:
        kind = "random" if found.sampled else "possible"
        lines = [
            f"{len(found.archs):,} of {found.drawn:,} {kind} architectures ranked by {self.predictor}, which learnt "
            f"from {len(known.archs)} trained; the best of these measured {known.y.max():.4f}",
            *known.notes,
        ]
        if self.warm_start is not None:
            lines.append(f"what {self.warm_start} taught is weighed with it")
        if finding.settings.measured:
            unknown = ", ".join(c.metric for c in finding.settings.measured)
            lines.append(f"whether they keep the limit of {unknown}, only a device can tell")
        return lines


def _warm(make: Callable[[], Predictor], known: Predictor) -> Predictor:
    made: Predictor = plugins.package("predictors").Transferred(make(), known)
    return made


def _learnt(folder: Path, predictor: Predictor, space: Space) -> Predictor:
    """A predictor that has learnt from another run, as far as its choices are those of the space."""
    other = rated(Finding.read(folder))
    archs, y = [], []
    for arch, value in zip(other.archs, other.y, strict=True):
        try:
            archs.append(space.read(arch.labels))
        except (KeyError, ValueError):
            continue
        y.append(value)
    if len(archs) < FEWEST or not np.ptp(y):
        what = f"the run {folder} has {len(archs)} networks with the choices of {space.name} that differ in rating"
        raise UserError(what, fix=f"a predictor needs {FEWEST}: give a run of the same space")
    return predictor.fit(archs, np.array(y))


@final
@dataclass(frozen=True)
class _Row:
    """A line of the ranking; measured: NaN for a network that was not trained."""

    arch: Architecture
    mean: float
    low: float
    high: float
    p_best: float
    params: float
    macs: float
    measured: float


def _rows(problem: Problem, known: Rated, found: Candidates, how: Judged, columns: object) -> list[_Row]:
    """All that were ranked and measured, the highest prediction first."""
    archs = [*known.archs, *found.archs]
    said = how.predictor.predict(archs, columns)  # type: ignore[arg-type]  # an array or None
    n = len(known.archs)
    low, high = how.interval(said)
    rest, trained = how.chances(type(said)(said.mean[n:], said.std[n:]), known.y)
    chance = np.concatenate([trained, rest])
    measured = np.concatenate([known.y, np.full(len(found.archs), np.nan)])
    rows = []
    for k in np.argsort(-said.mean, kind="stable").tolist():
        seen = problem.screen(archs[k])
        if seen.broken:
            continue
        values = (said.mean[k], low[k], high[k], chance[k], seen.metrics["params"], seen.metrics["macs"], measured[k])
        rows.append(_Row(archs[k], *map(float, values)))
    return rows


def _listed(rank: int, row: _Row) -> dict[str, Json]:
    """A row as plain values."""
    return {
        "rank": rank,
        "key": row.arch.key,
        "arch": dict(row.arch.labels),
        "mean": row.mean,
        "low": row.low,
        "high": row.high,
        "p_best": row.p_best,
        "params": whole(row.params),
        "macs": whole(row.macs),
        "measured": row.measured,
    }


def _table(problem: Problem, rows: list[_Row], how: Judged) -> Table:
    """The ranking for people."""
    table = Table(box=None, pad_edge=False)
    for name in ("rank", "predicted", f"{how.level:.0%} interval", "p(best)", "measured", "params", "MACs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("architecture", overflow="fold")
    for n, row in enumerate(rows, 1):
        spelled = problem.space.spell(row.arch) if problem.space.spelling else row.arch.key
        between = "" if np.isnan(row.low) else f"{row.low:.4f} to {row.high:.4f}"
        chance = "" if np.isnan(row.p_best) else f"{row.p_best:.3f}"
        measured = "" if np.isnan(row.measured) else f"{row.measured:.4f}"
        costs = (count(row.params), count(row.macs))
        table.add_row(str(n), f"{row.mean:.4f}", between, chance, measured, *costs, spelled)
    return table
