"""The drawing of a network, for `nas show`."""

from __future__ import annotations

from pathlib import Path

from nas.cli.speak import Said
from nas.cli.target import Target
from nas.drawing import panels, svg
from nas.errors import UserError
from nas.files import write_text
from nas.finding import Finding
from nas.graph import graph
from nas.space import Json
from nas.units import count


def drawn(found: Target, to: Path | None) -> Said:
    """Draw a network into a file, NAME.svg where none is given, and say what it costs."""
    to = to or Path(f"{found.name}.svg")
    total = found.profile().total
    write_text(to, svg(panels(graph(found.network, found.space.input), found.name)))
    made: dict[str, Json] = {"name": found.name, "space": found.space.name, "settings": dict(found.space.settings)}
    made |= {"arch": dict(found.arch.labels), "input": list(found.space.input)}
    made |= {"params": total.params, "macs": total.macs, "svg": str(to)}
    line = f"{found.name} of {found.space.name}: {count(total.params)} params, {count(total.macs)} MACs; drawn: {to}"
    return Said(made, (line,))


def of_run(finding: Finding, trial: int | None) -> Target:
    """The best network of a run, or that of a trial."""
    found = [t for t in finding.run.trials() if t.id == trial] if trial is not None else finding.ranked(1)
    if not found:
        what = f"the run {finding.folder} has no trial {trial}" if trial is not None else finding.nothing()
        raise UserError(what, fix=f"see them: nas show {finding.folder}")
    arch = found[0].arch
    return Target(f"trial-{found[0].id}-{arch.key[:8]}", finding.settings.made_space, arch)
