"""A supernet on disk: its shared tensors as safetensors, and of which space they are."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as written
from torch import Tensor

from nas.errors import ENVIRONMENT, UserError
from nas.space import Space
from nas.weights.supernet import Supernet

KIND = "nas supernet 1"
_FULL = (errno.ENOSPC, errno.EDQUOT)


@final
@dataclass(frozen=True)
class _Said:
    """What a file says of itself: the space and its settings, the first weights' seed, the search-only parts."""

    space: str
    settings: Mapping[str, Any]
    seed: int
    parts: Mapping[str, Any]


def save(supernet: Supernet, path: Path) -> None:
    """Write the shared tensors to a file, whole or not at all, with the space, its settings and the search-only parts.

    Raises UserError on a full disk.
    """
    held = {name: value.detach().cpu().contiguous() for name, value in supernet.shared.state_dict().items()}
    about = {
        "space": supernet.space.name,
        "settings": dict(supernet.space.settings),
        "seed": supernet.seed,
        "parts": supernet.parts,
    }
    content = written(held, metadata={KIND: json.dumps(about, sort_keys=True)})
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with half.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        message = f"no space left for {path} ({len(content):,} bytes)"
        raise UserError(message, fix="free some space and resume", code=ENVIRONMENT) from error
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)


def restored(space: Space, path: Path, *, device: torch.device | str = "cpu") -> Supernet:
    """The supernet of a file, as one of this space. UserError names the first thing in which the file differs."""
    about, held = read(path)
    said = _said(about)
    if said is None:
        raise UserError(f"{path} is no supernet", fix="give the file that a one-shot run left")
    if said.space != space.name:
        message = f"{path} is a supernet of the space {said.space!r}, not of {space.name!r}"
        raise UserError(message, fix=f"give the space {said.space}, or the file of another run")
    try:
        supernet = Supernet(space, seed=said.seed, **said.parts)
    except TypeError as error:
        parts = json.dumps(said.parts)
        raise UserError(
            f"{path} has parts that no supernet has: {parts}", fix="use the version that made it"
        ) from error
    own = supernet.shared.state_dict()
    for key in (*own, *sorted(held.keys() - own.keys())):
        if key not in held or key not in own:
            where = "the space has, the file has not" if key in own else "the file has, the space has not"
            raise UserError(f"{path} is a supernet of another tree: {key} ({where})", fix=_fix(said, space))
        if own[key].shape != held[key].shape:
            shapes = f"{tuple(held[key].shape)} in the file, {tuple(own[key].shape)} in the space"
            raise UserError(f"{path} is a supernet of another tree: {key} is {shapes}", fix=_fix(said, space))
    supernet.shared.load_state_dict(held)
    return supernet.to(device).eval()


def read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What a file says of itself, and its tensors; UserError where it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {}), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # it is no mapping
    except (OSError, SafetensorError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} cannot be read: {line}", fix="give the file that a run left", code=ENVIRONMENT
        ) from None


def _said(about: Mapping[str, str]) -> _Said | None:
    """What a file says; None where it is no supernet's."""
    try:
        match json.loads(about.get(KIND, "")):
            case {"space": str(space), "settings": dict(settings), "seed": int(seed), "parts": dict(parts)}:
                return _Said(space, settings, seed, parts)
    except (ValueError, RecursionError):
        pass
    return None


def _fix(said: _Said, space: Space) -> str:
    """Which setting of the space differs."""
    now = dict(space.settings)
    for name in sorted({*said.settings, *now}):
        if said.settings.get(name) != now.get(name):
            return f"the file's space has {name}={said.settings.get(name)}, this one {now.get(name)}"
    return "the space's code has changed since"
