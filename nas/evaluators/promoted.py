"""What a short training leaves for a longer one that goes on with it, and when that is cleared away."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path

from nas.training import checkpoint, forget
from nas.training.steps import SPEED_FILE

KEPT = 32
"""Checkpoints that a study keeps of each budget: those of the best, of which the next promotions are."""
MADE = "training.json"
"""How the weights of a trial were made; it is there once they are."""


def take_up(parent: Path | None, folder: Path) -> None:
    """Move the checkpoint of the trial that this one goes on with here; where there is none, all is trained anew.

    Moved and not copied, so that a candidate has one at a time. A kill in between leaves it in one of both folders.
    """
    if parent is None or (folder / checkpoint.FILE).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in (SPEED_FILE, checkpoint.FILE):  # the checkpoint last: with it here, nothing is looked for any more
        with suppress(FileNotFoundError):
            (parent / name).replace(folder / name)


def thin(study: Path, kept: int = KEPT) -> None:
    """Remove the checkpoints of a study's finished trials, but for the best by accuracy of each number of epochs.

    One that was removed costs no result, only time: whoever is promoted without it is trained anew to the same numbers.
    """
    found: dict[int, list[tuple[float, Path]]] = {}
    for file in study.glob(f"*/{checkpoint.FILE}"):
        try:
            made = json.loads((file.parent / MADE).read_bytes())
        except (OSError, ValueError):  # it still trains, or another worker has just taken it up
            continue
        accuracy = made.get("metrics", {}).get("accuracy", -math.inf)
        found.setdefault(int(made["epochs"]), []).append((accuracy, file.parent))
    for some in found.values():
        for _, folder in sorted(some, reverse=True)[kept:]:
            forget(folder)
