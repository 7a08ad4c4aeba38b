"""What `nas design` says to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table

from nas.cli.solving import percent
from nas.cli.speak import Said
from nas.designing import Designed
from nas.programs.deepmad.certificate import Checked
from nas.space import Json
from nas.units import count, duration, quantity

UNITS = {"macs": (1e6, "1M MACs"), "params": (1e3, "1k params"), "rho": (0.01, "0.01 of rho")}
"""A step of each budget that people think in."""


def people(made: Designed) -> tuple[RenderableType, ...]:
    """The stages, the answer, and the budgets."""
    return (_stages(made), _answer(made), _budgets(made), *_notes(made))


def _stages(made: Designed) -> Table:
    template, design, entropies = made.asked.template, made.design, made.entropies()
    table = Table(box=None, pad_edge=False)
    for name in ("stage", "blocks", "out", "inner", "kernel", "stride", "image", "entropy"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    sides = _sides(template.input[1:], (2, *template.strides))
    table.add_row("stem", "", str(design.stem), "", "3", "2", sides[0], _entropy(entropies[0]))
    rows = zip(design.depths, design.outs, design.mids, design.kernels, template.strides, strict=True)
    for n, row in enumerate(rows, 1):
        depth, out, mid, kernel, stride = map(str, row)
        table.add_row(str(n), depth, out, mid, kernel, stride, sides[n], _entropy(entropies[n]))
    if design.head:
        table.add_row("head", "", str(design.head), "", "1", "1", sides[-1], "")
    return table


def _sides(shape: Sequence[int], strides: Sequence[int]) -> list[str]:
    made, (height, width) = [], shape
    for stride in strides:
        height, width = -(-height // stride), -(-width // stride)
        made.append(f"{height}x{width}")
    return made


def _entropy(value: float) -> str:
    return f"{value:,.1f}" if value else "-"


def _answer(made: Designed) -> str:
    answer, measured, total = made.answer, made.measured, made.profile.total
    entropy, penalty = float(measured.entropies.sum()), float(measured.penalty[0])
    proved = "proved optimal" if answer.status == "optimal" else f"gap {percent(answer.gap)}"
    bound = f"{answer.bound:,.1f}" if isfinite(answer.bound) else "not known"
    return "\n".join(
        (
            f"value {answer.value:,.1f}, no design has more than {bound}: {proved}, in {duration(answer.seconds)}",
            f"entropy {entropy:,.1f}, less {penalty:,.1f} for uneven depths; "
            f"effectiveness {float(measured.effectiveness.max()):.4f}",
            f"{total.params:,} parameters, {total.macs:,} MACs, {total.activations:,} activations",
        )
    )


def _budgets(made: Designed) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("budget", "limit", "used", "", "more of it buys"):
        table.add_column(name, justify="left" if name in ("budget", "", "more of it buys") else "right")
    for name, used in made.used.items():
        limit = getattr(made.asked.budgets, name)
        if isfinite(limit):
            step, unit = UNITS[name]
            worth = made.answer.marginals.get(name, 0.0) * step
            binds = "binding" if name in made.answer.binding else "slack"
            buys = f"{worth:+,.3g} of value for {unit}" if worth else "nothing"
            table.add_row(name, _amount(name, limit), _amount(name, used), binds, buys)
    if isfinite(made.asked.latency):
        limit, took = made.asked.latency, made.latency
        table.add_row("latency", quantity("latency_s", limit), quantity("latency_s", took), "measured", "")
    return table


def _amount(name: str, value: float) -> str:
    return f"{value:.4f}" if name == "rho" else f"{value:,.0f}"


def _notes(made: Designed) -> list[str]:
    notes = []
    if made.asked.score.count == "tool":
        notes.append("budgets are counted as the released tool counts: without the classifier")
    if isfinite(made.asked.latency):
        where = "this GPU" if made.asked.on == "gpu" else "this CPU"
        notes.append(
            f"the latency was measured on {where} (median of 20, one thread, batch 1) and is not part of the proof: "
            f"the bound is that of the MACs budget found by measuring"
        )
    return notes


def curve(points: Sequence[Designed], said: Mapping[str, Json], *, interrupted: bool) -> tuple[RenderableType, ...]:
    """The trade-off curve as a table, and where its plot is."""
    table = Table(box=None, pad_edge=False)
    for name in (said["front"], "value", "bound", "gap", "params", "MACs", "activations", "blocks", "widths"):
        table.add_column(name, justify="right" if name not in ("blocks", "widths") else "left", overflow="fold")
    for made, row in zip(points, said["points"], strict=True):
        if row["value"] is None:
            table.add_row(count(row["budget"]), "none", *[""] * 7)
            continue
        bound = f"{row['bound']:,.1f}" if isfinite(row["bound"]) else "not known"
        costs = (count(row[name]) for name in ("params", "macs", "activations"))
        shape = (" ".join(map(str, part)) for part in (made.design.depths, made.design.outs))
        table.add_row(count(row["budget"]), f"{row['value']:,.1f}", bound, percent(row["gap"]), *costs, *shape)
    note = ["stopped by Ctrl-C: the budgets so far"] if interrupted else []
    return (table, *note, f"plot: {said['plot']} (opens offline); table: {said['table']}")


def checked(file: Path, found: Checked) -> Said:
    """What a certificate proves."""
    there = isfinite(found.value)
    gap = (found.bound - found.value) / max(abs(found.value), 1e-12) if there else float("nan")
    counts = {name: n for name, n in vars(found).items() if name not in ("design", "value", "bound", "vectors")}
    made: dict[str, Json] = {
        "certificate": str(file),
        "holds": True,
        "value": found.value,
        "bound": found.bound,
        "gap": gap,
        "design": dict(vars(found.design)),
        "depth_vectors": found.vectors,
        **counts,
    }
    lines = [f"{file} holds: every number in it was recomputed, without a solver"]
    if found.open:
        lines.append(f"nothing bounds {found.open:,} of the depth vectors, so that no bound is proved")
    elif there:
        lines.append(
            f"the design is worth {found.value:,.4f}, and no design of the template under these budgets is worth more "
            f"than {found.bound:,.4f} (gap {percent(max(0.0, gap))})"
        )
    else:
        lines.append("no design of the template meets these budgets")
    lines.append(f"{found.vectors:,} depth vectors: {', '.join(f'{n:,} {name}' for name, n in counts.items())}")
    return Said(made, tuple(lines))
