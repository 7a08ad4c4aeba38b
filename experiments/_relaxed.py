"""Relaxed searches, and what their architectures reach when they are trained alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd

from nas.derive import derive, uses
from nas.errors import ENVIRONMENT, UserError
from nas.problem import Trial
from nas.space import Architecture, Json, Space
from nas.training.relax import FOUND, Relaxed, Sharpness, Skips
from nas.training.relax.searching import Descent
from search_spaces.darts import SEVEN

SEARCHED = ("none", *SEVEN)
"""The operations that DARTS weighs."""
PLAIN = {"affine": False, "norm_after_pool": True}
"""How the norms of DARTS's search network differ from those of its networks."""
WEIGHTLESS = ("none", "skip_connect", "avg_pool_3x3", "max_pool_3x3")
"""The operations that learn nothing, to which a search collapses."""
SPACES = ("nasbench201", "darts")


def described(name: str, cells: int, channels: int) -> dict[str, Any]:
    """The settings of a space of DARTS; cells: of each stage of nasbench201, or all of darts."""
    if name not in SPACES:
        raise UserError(f"relaxed search has no space {name!r}", fix=f"take one of {', '.join(SPACES)}")
    if name == "darts":
        return {"layers": cells, "channels": channels, "operations": SEARCHED}
    return {"cells": cells, "channels": channels}


def ways(cure: str, space: str, partial: int, start: int, alpha_rate: float) -> dict[str, Relaxed]:
    """First order, second order, and a cure of their collapse."""
    descent = Descent(alpha_rate=alpha_rate, alpha_least=alpha_rate)
    never = ("none",) if space == "darts" else ()
    cures: dict[str, Callable[[], Relaxed]] = {
        "skips": lambda: Relaxed(
            stop=Skips(within="normal" if space == "darts" else "", never=never, start=start),
            descent=descent,
            parts=PLAIN,
        ),
        "sharpness": lambda: Relaxed(stop=Sharpness(start=start), descent=descent, parts=PLAIN),
        "partial": lambda: Relaxed(edges=True, warmup=start, descent=descent, parts={**PLAIN, "partial": partial}),
    }
    if cure not in cures:
        raise UserError(f"there is no cure {cure!r}", fix=f"there are: {', '.join(cures)}")
    first, second = (Relaxed(order=order, descent=descent, parts=PLAIN) for order in (1, 2))
    return {"first": first, "second": second, cure: cures[cure]()}


def found(folder: Path) -> dict[str, Any]:
    """What a relaxed search left: `mix`, `epoch`, `stopped`, `history` and `mixes`, of every epoch."""
    made: dict[str, Any] = json.loads((folder / FOUND).read_text(encoding="utf-8"))
    return made


def shown(space: Space, left: Mapping[str, Any], never: Sequence[str] = ()) -> dict[str, Json]:
    """The derived architecture, its epoch, and how many of its edges learn nothing, before the first epoch and on."""
    archs = [derive(space, mix, never=never) for mix in left["mixes"]]
    return {
        "cell": space.spell(archs[left["epoch"]]),
        "epoch": left["epoch"],
        "stopped": left["stopped"],
        "skips_by_epoch": [uses(arch, "skip_connect") for arch in archs],
        "weightless_by_epoch": [sum(uses(arch, op) for op in WEIGHTLESS) for arch in archs],
    }


def summed(trials: Sequence[Trial]) -> dict[str, Json]:
    """Of networks trained alone: the best, the mean, their skips and their seconds."""
    if not trials:
        return {"networks": 0}
    reached = [trial.metrics["accuracy"] for trial in trials]
    return {
        "networks": len(trials),
        "accuracy": round(max(reached), 4),
        "mean": round(mean(reached), 4),
        "skips": [uses(trial.arch, "skip_connect") for trial in trials],
        "alone_s": round(sum(trial.seconds for trial in trials), 1),
    }


def looked_up(table: str, column: str, space: Space, arch: Architecture) -> dict[str, Json]:
    """What a published table, with the columns `arch` and this one, says of an architecture; nothing without one."""
    if not table:
        return {}
    try:
        frame = pd.read_parquet(table, columns=["arch", column])
    except (KeyError, ValueError, OSError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"{table} is no table of {column}: {line}", fix="see its columns", code=ENVIRONMENT) from error
    rows = frame.loc[frame["arch"] == space.spell(arch), column]
    return {column: round(float(rows.iloc[0]), 2) if len(rows) else None}
