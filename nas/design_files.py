"""What `nas design` leaves on disk: the network in plain PyTorch with new weights, and its certificate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from nas.build import build
from nas.designing import Asked, Designed, facts
from nas.drawing.curve import Curve
from nas.errors import UserError
from nas.export import export
from nas.files import write_text
from nas.programs.deepmad.certificate import Checked, check
from nas.space import Json
from nas.training import seeded
from nas.units import count

CERTIFICATE, ARCHITECTURE, FRONT, PLOT = "certificate.json", "architecture.json", "front.json", "front.html"


def folder_of(asked: Asked, front: str = "") -> Path:
    """The folder where none was given: runs/design-FAMILY-xxxxxxxx, named by what was asked."""
    text = json.dumps([asdict(asked), front], sort_keys=True, default=str)
    code = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return Path("runs") / f"{'front' if front else 'design'}-{asked.template.family}-{code}"


def refuse_taken(folder: Path, *, front: bool) -> None:
    """Raise UserError where the folder holds something that is not ours to replace."""
    mine = FRONT if front else ARCHITECTURE
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / mine).is_file())):
        raise UserError(f"{folder} exists and holds other files (no {mine})", fix="name another folder with --to")


def hand_over(made: Designed, to: Path) -> dict[str, str]:
    """Export the network with new weights, and put its certificate beside it; where each file is.

    The weights are those of the seed: nothing was trained.
    """
    with seeded(made.asked.seed):
        module = build(made.network, made.space.input)
    known = facts(made)
    numbers = {k: known[k] for k in ("value", "bound", "gap", "entropy", "effectiveness", "params", "macs")}
    about = {"metrics": {**numbers, "trained": False}, "repro": {"design": {k: known[k] for k in ("score", "budgets")}}}
    done = export(
        made.network,
        made.space.input,
        module,
        to,
        name=made.space.name,
        about=about,
        architecture=made.architecture(),
    )
    write_text(to / CERTIFICATE, json.dumps(made.answer.certificate) + "\n")
    return {Path(name).stem: str(to / name) for name in (*done.files, CERTIFICATE) if name != "__pycache__"}


def read_certificate(file: Path) -> Checked:
    """What a certificate proves, all of it recomputed without a solver; UserError where it does not hold."""
    if not file.is_file():
        raise UserError(f"there is no certificate {file}", fix="`nas design` writes one: DIR/certificate.json")
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is no JSON: {error}", fix="give the certificate.json of a design") from error
    if not isinstance(held, dict) or "template" not in held:
        raise UserError(f"{file} is no certificate", fix="give the certificate.json of a design")
    return check(held)


def hand_over_front(points: Sequence[Designed], what: str, to: Path) -> dict[str, Json]:
    """Write the table, the plot and each design's architecture and certificate; the JSON of the curve."""
    rows: list[dict[str, Json]] = []
    for n, made in enumerate(points, 1):
        row: dict[str, Any] = {"budget": getattr(made.asked.budgets, what), **facts(made)}
        if not made.found:
            row |= dict.fromkeys(("value", "gap"))
        else:
            for name, held in (("architecture", made.architecture()), ("certificate", made.answer.certificate)):
                write_text(to / f"{name}-{n}.json", json.dumps(held) + "\n")
                row[name] = str(to / f"{name}-{n}.json")
        rows.append(row)
    said: dict[str, Json] = {"front": what, "family": points[0].asked.template.family, "points": rows}
    said |= {"plot": str(to / PLOT), "table": str(to / FRONT), "seconds": sum(made.answer.seconds for made in points)}
    write_text(to / PLOT, _plot(rows, what).html())
    write_text(to / FRONT, json.dumps(_finite(said), indent=1) + "\n")
    return said


def _plot(rows: Sequence[Mapping[str, Json]], what: str) -> Curve:
    curve = Curve(f"What more {what} buys", f"{what} allowed", "value of the design")
    there = [row for row in rows if row["value"] is not None]
    notes = [_note(row, what) for row in there]
    curve.line("value", [(row["budget"], row["value"]) for row in there], notes)
    bounded = [row for row in there if row["bound"] is not None and isfinite(row["bound"])]
    curve.line("upper bound", [(row["budget"], row["bound"]) for row in bounded], dash="dot")
    return curve


def _note(row: Mapping[str, Json], what: str) -> str:
    depths = ", ".join(str(stage["depth"]) for stage in row["stages"])
    widths = ", ".join(str(stage["out"]) for stage in row["stages"])
    gap = f"{100 * row['gap']:.3f} %" if isfinite(row["gap"]) else "unknown"
    costs = f"{count(row['macs'])} MACs, {count(row['params'])} params, {count(row['activations'])} activations"
    first = f"{what} {count(row['budget'])}: value {row['value']:,.1f}, gap {gap}"
    return f"{first}\n{costs}\nblocks {depths}\nwidths {widths}"


def _finite(value: Any) -> Any:
    """A value with None for what JSON cannot hold."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not isfinite(value) else value
