"""Published measurements of Once-for-all sub-networks, as architectures of the space `ofa` with numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from nas.errors import ENVIRONMENT, UserError
from nas.roles import Array
from nas.space import Architecture, Space
from nas.tree import Label

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


def _labels(row: dict[str, list[int]]) -> dict[str, Label]:
    made: dict[str, Label] = {}
    for u, depth in enumerate(row["d"], 1):
        made[f"unit{u}.depth"] = depth
        for b in range(1, depth + 1):
            place = BLOCKS * (u - 1) + b - 1
            made |= {f"unit{u}.block{b}.kernel": row["ks"][place], f"unit{u}.block{b}.expand": row["e"][place]}
    return made
