"""Cells that were searched in a small network, stacked to a larger one that is trained for longer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.data import Data
from nas.experiment import Experiment
from nas.problem import Problem
from nas.space import Architecture, Json

WINDOW = 5
"""The auxiliary head pools so many rows of an image that one reduction has halved."""


def stacked(
    run: Experiment,
    data: Data,
    archs: Mapping[str, Architecture],
    *,
    study: str,
    epochs: int,
    images: int,
    **large: Any,
) -> dict[str, Json]:
    """What each architecture reaches in the nasnet of other settings, by name, with its parameters.

    It has the auxiliary head where the images are large enough.
    """
    space = run.space("nasnet", data, auxiliary=min(data.info.input[1:]) >= 2 * WINDOW, **large)
    problem, evaluate = Problem(space), run.scratch(space, data, epochs=epochs, images=images)
    reached = run.rate(problem, list(dict.fromkeys(archs.values())), evaluate, study=study, epochs=epochs)
    return {
        name: {
            "accuracy": round(reached[arch]["accuracy"], 4) if arch in reached else None,
            "params": int(problem.screen(arch).metrics.get("params", 0)),
        }
        for name, arch in archs.items()
    }
