"""A training of shared weights, which can be killed at any moment and goes on with the same numbers."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any, Protocol

import torch

from nas.training import checkpoint
from nas.training.loop import Report
from nas.training.seeds import seeded


class Session(Protocol):
    """A training under way; runs inside `seeded`, so that it may draw from torch's global generators.

    fingerprint: of all that makes two such trainings the same. metrics: of the last epoch, numbers by name.
    """

    epoch: int
    epochs: int
    fingerprint: str
    metrics: dict[str, float]

    def run_epoch(self) -> None:
        """One epoch, of images or of whatever it counts; it counts itself up."""

    def state(self) -> dict[str, Any]:
        """All that the rest depends on, in tensors and plain values."""

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state."""

    def leave(self, folder: Path) -> None:
        """Write what it has made to a folder: `weights.safetensors` and JSON, each whole or not there."""


def carry(
    session: Session, *, seed: int, device: torch.device, folder: Path, report: Report
) -> tuple[float, tuple[str, ...]]:
    """Run a session to its end and let it leave what it made; the seconds over all sittings, and notes for a reader.

    A checkpoint is written before the first epoch, so that what a session found by timing is found once, and after each
    one, before `report` is told. A later call goes on from there with the numbers of a training that was never stopped.
    """
    with seeded(seed, device), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        saved, notes = _found(session, device, folder)
        if saved is not None:
            session.load(saved["session"])
            torch.set_rng_state(saved["random"])
            if device.type == "cuda" and saved["random_cuda"] is not None:
                torch.cuda.set_rng_state(saved["random_cuda"], device)
        seconds = 0.0 if saved is None else float(saved["seconds"])
        if saved is None:
            _write(session, device, folder, seconds)
        while session.epoch < session.epochs:
            began = time.perf_counter()
            session.run_epoch()
            seconds += time.perf_counter() - began
            _write(session, device, folder, seconds)
            report(session.epoch, session.metrics)
        session.leave(folder)
    checkpoint.forget(folder)
    return seconds, notes


def _found(session: Session, device: torch.device, folder: Path) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The checkpoint of a session, and what a reader should know of the one that is there."""
    saved, note = checkpoint.read(folder)
    if saved is not None and saved.get("fingerprint") != session.fingerprint:
        saved, note = None, f"{folder} holds the checkpoint of another training: training starts afresh"
    if saved is not None and saved["device"] != device.type:
        note = f"begun on {saved['device']}, goes on on {device.type}: its numbers are not repeatable"
    if note:
        warnings.warn(note, RuntimeWarning, stacklevel=3)
    return saved, (note,) if note else ()


def _write(session: Session, device: torch.device, folder: Path, seconds: float) -> None:
    state = {
        "fingerprint": session.fingerprint,
        "device": device.type,
        "session": session.state(),
        "seconds": seconds,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }
    checkpoint.write(folder, state)
