"""What a search tries first: what zero-cost scores like, or the best of another run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from nas.data import load
from nas.errors import UserError
from nas.finding import Finding
from nas.problem import Problem
from nas.proxies import draw, scored
from nas.settings import Settings
from nas.space import Architecture, Json

SCORES = "scores"
"""The warm start by zero-cost scores."""
PROXIES = ("nwot", "synflow")
"""The scores: of 13, the two best on NAS-Bench-201 that take a pass or two (`benchmarks/proxies.py`)."""
DRAWN, KEPT, SHARE, IMAGES = 30, 5, 3, 32
"""Random architectures that are scored; the most that are kept, at most each SHARE-th trial; images of a batch."""
BEST = 10
"""How many of another run's networks are tried first."""


def begins(
    settings: Settings, trials: int, report: Callable[[int, int], None] = lambda done, networks: None
) -> dict[str, Json]:
    """The choices of the architectures that a search tries first, and a line that says where they come from.

    By scores: of DRAWN random architectures within the limits those whose mean rank by PROXIES is best. A network that
    cannot be scored comes last; where none can, nothing is tried first. report: told how many of how many are scored.
    """
    if settings.warm_start != SCORES:
        where = f"the {len(settings.first)} best of {settings.warm_start}" if settings.first else ""
        return {"choices": list(settings.first), "said": where}
    problem, kept = settings.problem, min(KEPT, trials // SHARE)
    archs = _different(problem, settings.seed) if kept else []
    if not archs:
        return {"choices": [], "said": ""}
    data = load(settings.data, seed=settings.seed, image_size=settings.image_size)
    rows = scored(
        problem.space, archs, PROXIES, draw(data, 1, seed=settings.seed, size=IMAGES), seed=settings.seed, report=report
    )
    found = [bool(np.isfinite(row).all()) for row in rows.values]
    if not any(found):
        return {"choices": [], "said": f"zero-cost scores say nothing: {next(iter(rows.why.values()), 'no number')}"}
    ranks = sum(rankdata(np.where(found, column, -np.inf)) for column in rows.values.T)
    best = [k for k in np.argsort(-np.asarray(ranks), kind="stable") if found[k]][:kept]
    said = f"the {len(best)} of {len(archs)} random networks that zero-cost scores ({', '.join(PROXIES)}) rank first"
    return {"choices": [dict(archs[k].labels) for k in best], "said": said}


def _different(problem: Problem, seed: int) -> list[Architecture]:
    rng = np.random.default_rng((seed, DRAWN))
    drawn = dict.fromkeys(problem.sample(rng) for _ in range(2 * DRAWN))
    return [arch for arch in drawn if not problem.screen(arch).broken][:DRAWN]


def taken(made: dict[str, Json], settings: Settings) -> list[Architecture]:
    """The architectures of what `begins` said."""
    return [settings.made_space.read(choices) for choices in made["choices"]]


def warmed(settings: Settings) -> Settings:
    """Settings with the choices of the best networks of the run that the warm start names.

    Those that the space has; UserError where it has none of them.
    """
    if settings.warm_start in ("", SCORES):
        return settings
    finding, found = Finding.read(Path(settings.warm_start)), []
    for trial in finding.ranked(BEST):
        try:
            found.append(dict(settings.made_space.read(trial.arch.labels).labels))
        except (KeyError, ValueError):
            continue
    if not found:
        what = f"the run {settings.warm_start} has no done network of the space {settings.made_space.name}"
        raise UserError(what, fix="give a run of the same space, or --warm-start scores")
    return replace(settings, warm_start=finding.folder.name, first=tuple(found))
