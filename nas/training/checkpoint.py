"""A training on disk: one file, written whole or not at all, and read without trust."""

from __future__ import annotations

import errno
import io
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nas.errors import ENVIRONMENT, UserError

FILE = "checkpoint.pt"
_DRAFT = "checkpoint.pt.draft"
_FULL = (errno.ENOSPC, errno.EDQUOT)


def write(folder: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint of a folder by a state of tensors and plain values.

    The earlier checkpoint stays whole until the new one is on the disk. Raises UserError on a full disk.
    """
    # Through memory: torch's own file writer would turn a full disk into a RuntimeError without a reason.
    content = io.BytesIO()
    torch.save(dict(state), content)
    replace(folder / FILE, content.getbuffer(), draft=folder / _DRAFT)


def replace(path: Path, content: bytes | memoryview, *, draft: Path) -> None:
    """Replace a file in one step, by way of a draft in the same folder. Raises UserError on a full disk."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        _discard(draft)
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"no space left for {path} ({len(content):,} bytes); the earlier checkpoint, if any, is whole",
            fix="free some space and resume",
            code=ENVIRONMENT,
        ) from error


def read(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """The state in a folder, or None, and a note that says why a checkpoint that is there cannot be used."""
    path = folder / FILE
    if not path.exists():
        return None, ""
    try:
        # torch reads its archive without comparing the sums that it wrote; a flipped bit would pass as a weight.
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken is not None:
            return None, f"{path} is damaged ({broken}): training starts afresh"
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        return None, f"{path} cannot be read ({type(error).__name__}): training starts afresh"
    if not isinstance(state, dict):
        return None, f"{path} holds a {type(state).__name__}, not a training: training starts afresh"
    return state, ""


def forget(folder: Path) -> None:
    """Remove the checkpoint of a folder, and the draft that a killed process may have left."""
    _discard(folder / FILE)
    _discard(folder / _DRAFT)


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
