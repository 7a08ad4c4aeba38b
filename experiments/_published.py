"""Rated networks: published measurements of Once-for-all sub-networks, or random ones that are trained in the run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from nas.errors import ENVIRONMENT, UserError
from nas.experiment import Experiment
from nas.problem import Problem
from nas.profile import profile
from nas.roles import Array
from nas.space import Architecture, Space
from nas.strategies import Random
from nas.tree import Label
from predictors.ridge import Ridge
from search_spaces.ofa import ofa

BLOCKS = 4
"""A unit has so many places for blocks, of which the first `d` are there."""


def measured(space: Space, file: str, column: str, side: int = 224) -> tuple[list[Architecture], Array]:
    """The sub-networks for images of a side, and a column; `arch` is a JSON object of ks, e, d (kernels, expansions,
    depths) and r (the side). UserError where the file or the column is not there.
    """
    if not Path(file).is_file():
        raise UserError(f"there is no table {file}", fix="give a Parquet file with the columns arch and " + column)
    try:
        frame = pd.read_parquet(file).drop_duplicates("arch")
        rows, numbers = [json.loads(text) for text in frame["arch"]], frame[column].to_numpy(dtype=float)
    except (KeyError, ValueError, OSError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"{file} is no table of {column}: {line}", fix="see its columns", code=ENVIRONMENT) from error
    here = [n for n, row in enumerate(rows) if np.ravel(row["r"])[0] == side and np.isfinite(numbers[n])]
    return [space.read(_labels(rows[n])) for n in here], numbers[here]


def rated(
    run: Experiment, table: str, data: str, *, trials: int, epochs: int
) -> tuple[Space, list[Architecture], Array]:
    """The space and rated members: from the table of Once-for-all, or random ones of `mobile` that are trained here."""
    if table:
        space = ofa()
        return (space, *measured(space, table, "imagenet_top1"))
    images = run.data(data)
    space = run.space("mobile", images, widths=(16, 24), multipliers=(1.0,), head=64)
    problem, evaluate = Problem(space), run.scratch(space, images, epochs=epochs)
    done = run.search(problem, strategy=Random(problem), evaluate=evaluate, trials=trials, epochs=epochs)
    return space, [t.arch for t in done], np.array([t.metrics["accuracy"] for t in done])


def latencies(space: Space, table: str, column: str, archs: list[Architecture]) -> tuple[Ridge | None, Array]:
    """A ridge on the table's latencies, and these; without a table nothing, and the MACs of the rated networks."""
    if table:
        timed, times = measured(space, table, column)
        return Ridge().fit(timed, times), times
    return None, np.array([float(profile(space.network(a), space.input).total.macs) for a in archs])


def held_out(archs: list[Architecture], rates: Array, seed: int) -> float:
    """How the ridge, fitted on four fifths of the rated networks, correlates with the others."""
    kept, out = np.split(np.random.default_rng(seed).permutation(len(rates)), [int(0.8 * len(rates))])
    guess = Ridge().fit([archs[k] for k in kept], rates[kept]).predict([archs[k] for k in out]).mean
    return float(np.corrcoef(guess, rates[out])[0, 1])


def typical_size(space: Space, archs: list[Architecture]) -> float:
    """The median of their parameters."""
    return float(np.median([profile(space.network(a), space.input).total.params for a in archs]))


def _labels(row: dict[str, list[int]]) -> dict[str, Label]:
    made: dict[str, Label] = {}
    for u, depth in enumerate(row["d"], 1):
        made[f"unit{u}.depth"] = depth
        for b in range(1, depth + 1):
            place = BLOCKS * (u - 1) + b - 1
            made |= {f"unit{u}.block{b}.kernel": row["ks"][place], f"unit{u}.block{b}.expand": row["e"][place]}
    return made
