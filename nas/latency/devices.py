"""Devices by the names that people give them, and device files: what was measured on one, kept as JSON."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

import torch

from nas.errors import ENVIRONMENT, UserError
from nas.files import existing
from nas.space import Json
from nas.tree import Label

FORMAT = 1
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Units in which a device file may hold its latencies."""
NEEDED = ("device", "unit", "input", "layers")
Row: TypeAlias = Mapping[str, Any]


def device(name: str) -> torch.device:
    """The device that a person names, cpu or cuda; UserError where this machine shows none."""
    if name not in ("cpu", "cuda"):
        raise UserError(f"latency is measured on cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        fix = "give cpu; `nas doctor` says what is seen"
        raise UserError("latency was to be measured on cuda, and this machine shows no GPU", fix=fix, code=ENVIRONMENT)
    return torch.device(name)


@final
@dataclass(frozen=True)
class Known:
    """A layer of a device file: its seconds, and what an unknown layer of its kind is estimated from."""

    seconds: float
    kind: str
    macs: float
    elements: float


@final
@dataclass(frozen=True, eq=False)
class DeviceFile:
    """What was measured on a device, in seconds.

    name: of the file, for messages; device: what its maker calls it; on: cpu or cuda; input: the shape of the networks;
    networks: the choices of whole networks, with their seconds. notes: what was left out on reading, a line each.
    """

    name: str
    device: str
    on: str
    threads: int
    batch: int
    space: str
    settings: Mapping[str, Json]
    input: tuple[int, ...]
    layers: Mapping[str, Known]
    networks: tuple[tuple[Mapping[str, Label], float], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def how(self) -> str:
        """On what, and how, for people."""
        threads = "one thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.device} ({self.on}, batch {self.batch}, {threads})"


def hashed(file: str | Path) -> str:
    """16 hex digits of a device file's contents; UserError where there is none."""
    return hashlib.blake2b(_path(file).read_bytes(), digest_size=8).hexdigest()


def _path(file: str | Path) -> Path:
    path = existing(str(file))
    if path is None or not path.is_file():
        raise UserError(f"there is no device file {file}", fix="`nas latency SPACE --build --out FILE` measures one")
    return path


def read_raw(file: str | Path) -> dict[str, Any]:
    """The JSON object of a device file; UserError where it is none."""
    path = _path(file)
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"the device file {path} is no JSON: {error}", fix="see whether it is whole") from error
    if not isinstance(made, dict):
        raise UserError(f"the device file {path} holds {type(made).__name__}, not an object")
    return made


def read(file: str | Path) -> DeviceFile:
    """A device file.

    Layers and networks without a latency above 0 are left out, and the notes name the first. Raises UserError that
    names what is missing or of another kind, and where no layer is left.
    """
    made, name = read_raw(file), Path(file).name
    if made.get("format", FORMAT) != FORMAT:
        fix = "measure it anew with this nas"
        raise UserError(f"{name} is of format {made['format']}, this nas reads format {FORMAT}", fix=fix)
    for key in NEEDED:
        if key not in made:
            raise UserError(f"the device file {name} does not say its {key}", fix=f"it holds {', '.join(NEEDED)}")
    if made["unit"] not in UNITS:
        raise UserError(f"the latencies of {name} are in {made['unit']!r}", fix=f"give them in {', '.join(UNITS)}")
    for key in ("layers", "networks"):
        if not isinstance(made.get(key, []), list) or not all(isinstance(r, dict) for r in made.get(key, [])):
            raise UserError(f"the {key} of {name} are no list of objects", fix="measure it anew")
    notes: list[str] = []
    unit = UNITS[made["unit"]]
    layers = {
        str(row["key"]): Known(
            unit * row["seconds"], str(row.get("kind", "")), _number(row.get("macs")), _number(row.get("elements"))
        )
        for row in _measured(name, "layer", made["layers"], "key", notes)
    }
    if not layers:
        raise UserError(f"no layer of {name} has a latency", fix="measure it anew")
    networks = _measured(name, "network", made.get("networks", []), "choices", notes)
    return DeviceFile(
        name,
        str(made["device"]),
        str(made.get("on", "cpu")),
        int(_number(made.get("threads"), 1)),
        int(_number(made.get("batch"), 1)),
        str(made.get("space", "")),
        made.get("settings") or {},
        _shape(name, made["input"]),
        layers,
        tuple((row["choices"], unit * row["seconds"]) for row in networks),
        tuple(notes),
    )


def _measured(name: str, what: str, rows: list[Row], key: str, notes: list[str]) -> list[Row]:
    """The rows with a finite latency above 0; a note says how many are left out, and names the first."""
    good = [row for row in rows if key in row and _number(row.get("seconds"), math.nan) > 0]
    bad = [row for row in rows if row not in good]
    if bad:
        first = str(bad[0].get("key", "one without a name"))
        which = f"{len(bad)} of {len(rows)} {what}s" if len(rows) > 1 else f"the only {what}"
        instead = "are estimated from others of their kind" if what == "layer" else "do not count"
        notes.append(f"{name}: {which} without a latency above 0 ({first}, {bad[0].get('seconds')}) {instead}")
    return good


def _number(value: object, otherwise: float = 0.0) -> float:
    """A finite number, or what stands for it."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number else otherwise  # type: ignore[arg-type]  # it is a number


def _shape(name: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(isinstance(n, int) for n in value):
        raise UserError(f"the input of {name} is {value!r}", fix="it is a list of whole numbers, [3, 32, 32]")
    return tuple(value)
