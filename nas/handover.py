"""From a run to a folder that needs only torch: the network, how good it is, how it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas import plugins
from nas.export import Exported, export
from nas.finding import Finding, Found
from nas.space import Json

FILES = {"model": "model.py", "weights": "weights.safetensors", "program": "model.pt2", "onnx": "model.onnx"}

VALIDATION = {"accuracy": "val_accuracy", "loss": "val_loss"}
"""Metrics of a trial that say in a file of their own which images they are of."""


def hand_over(finding: Finding, found: Found, to: Path | None = None, *, onnx: bool = False) -> dict[str, Json]:
    """Export a network of a run, prove it equal to the trained one, and say where everything is.

    to: the folder, by default RUN/export/KEY.
    """
    settings, trial = finding.settings, found.trial
    where = to or finding.folder / "export" / trial.arch.key
    info = settings.made_info
    about: dict[str, Any] = {
        "input": {"mean": list(info.mean), "std": list(info.std), "classes": list(info.class_names)},
        "metrics": {VALIDATION.get(name, name): value for name, value in {**trial.metrics, **found.test}.items()},
        "repro": {"run": str(finding.folder), "trial": trial.id, "settings": settings.json()},
    }
    architecture = {
        "space": trial.arch.space,
        "settings": dict(settings.space_settings),
        "choices": dict(trial.arch.labels),
    }
    if ".py:" in settings.space:
        architecture["file"] = settings.space
    elif settings.space.endswith(".json"):  # the one network of a file: as the file says it, so that it is not needed
        architecture = {**plugins.written(settings.space), "settings": architecture["settings"]}
    made: Exported = export(
        found.network,
        found.input,
        found.module(),
        where,
        name=trial.arch.space,
        about=about,
        onnx=onnx,
        architecture=architecture,
    )
    return {
        "run": str(finding.folder),
        "trial": trial.id,
        "key": trial.arch.key,
        "to": str(where),
        "files": {kind: str(where / file) for kind, file in FILES.items() if file in made.files},
        "largest_difference": {
            kind: made.largest_difference[file] for kind, file in FILES.items() if file in made.largest_difference
        },
        "proved": made.proved,
    }
