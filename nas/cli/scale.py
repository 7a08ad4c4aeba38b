"""`nas scale`: a network, larger or smaller."""

from __future__ import annotations

import importlib
import json as text
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

import tyro
from rich.table import Table

from nas import plugins
from nas.cli.parse import Command
from nas.cli.search import assigned
from nas.cli.spaces import shaped
from nas.cli.speak import Said
from nas.cli.target import Target, target
from nas.errors import UserError, nearest
from nas.files import write_text
from nas.profile import profile
from nas.space import Json
from nas.tree import Cost, Node
from nas.units import limit

Text = Annotated[str | None, tyro.conf.arg(metavar="TEXT")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
FACTOR = re.compile(r"([0-9]+(?:\.[0-9]*)?)x\Z")


@final
@dataclass(frozen=True)
class Scale(Command):
    """A network, larger or smaller: what it then costs, and a file of it to profile, search around or build.

    Depth, width and resolution grow by a rule; what rounding leaves of the nominal factors is shown.

    Example: nas scale efficientnet-b0 --macs 4x --rule fast --to b0-4x.json
    """

    target: tyro.conf.Positional[str]
    """A published network (see `nas spaces --published`), JSON or a file of it, a spelling, or a space (random)."""
    macs: Annotated[str, tyro.conf.arg(metavar="4x|2G")]
    """How many times the MACs, or how many."""
    rule: str = "fast"
    """fast (mostly width), dwr (all alike), d, w, r, dw, dr, wr, or compound (EfficientNet's)."""
    keep: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A part whose width stays: stem."""
    rounding: Literal["nearest", "efficientnet"] = "nearest"
    """How widths and depths become whole: to the nearest, or as EfficientNet rounds, depths up."""
    space: Text = None
    """The space of a spelling. Default: nasbench201."""
    input: Annotated[str | None, tyro.conf.arg(metavar="C,H,W")] = None
    """The input before it is scaled. Default: the network's own."""
    classes: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """The number of classes."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A setting of the network's space, NAME=VALUE."""
    seed: int = 0
    """Of a random architecture."""
    to: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None
    """Write the scaled network into this file: `nas profile` and `nas show` read it, and `nas scale` again."""
    module: Annotated[Path | None, tyro.conf.arg(metavar="FILE.py")] = None
    """Write it as plain PyTorch, without weights."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        settings = {**shaped(self.input, self.classes), **assigned(self.set)}
        found = target(self.target, space=self.space, seed=self.seed, settings=settings)
        plugins.package("search_spaces")
        rules = importlib.import_module("search_spaces.scaling")
        if self.rule not in (*rules.RULES, "compound"):
            raise nearest(self.rule, [*rules.RULES, "compound"], what="rule of scaling")
        before = found.profile()
        factor = times(self.macs, before.total.macs)
        by = rules.factors(self.rule, factor)
        network, shape = rules.scaled(found.network, found.space.input, by, keep=self.keep, rounding=self.rounding)
        after = profile(network, shape)
        made: dict[str, Json] = {
            "name": f"{found.name}@{self.rule}{factor:g}x",
            "rule": self.rule,
            "factors": {"depth": by.depth, "width": by.width, "resolution": by.resolution},
            "input": list(shape),
            "classes": after.out[0],
            **asdict(after.total),
            "before": {"input": list(found.space.input), **asdict(before.total)},
            "nominal": by.nominal(),
            "achieved": _ratios(before.total, after.total),
            "architecture": self._architecture(found, factor, shape, after.out[0]),
        }
        files = self._write(made, network, shape)
        return Said({**made, "files": files}, (*_people(made), *self._next(made, files)))

    def _architecture(self, found: Target, factor: float, shape: tuple[int, ...], classes: int) -> dict[str, Json]:
        """The scaled network as an architecture of the space `scaled`."""
        scaled = importlib.import_module("search_spaces.scaled")
        known = plugins.catalogue().get(found.name)
        own = known is not None and not self.set
        network: Any = found.name if own else self._plain(found)
        settings = {
            "input": list(shape),
            "classes": classes,
            "network": network,
            "rules": [self.rule],
            "factors": [factor],
            "keep": list(self.keep),
            "rounding": self.rounding,
            "original": list(found.space.input),
        }
        return {"space": "scaled", "settings": settings, "choices": {"scale": scaled.label(self.rule, factor)}}

    def _plain(self, found: Target) -> dict[str, Json]:
        """The network before it was scaled, as JSON holds it; one of a user's own space names the file."""
        made = {"space": found.arch.space, "settings": dict(found.space.settings), "choices": dict(found.arch.labels)}
        given = Path(self.target).expanduser()
        if ".py:" in (spec := self.space or self.target) and not spec.lstrip().startswith("{"):
            made["file"] = plugins.absolute(spec)
        elif given.suffix == ".json" and given.is_file():
            held = text.loads(given.read_text(encoding="utf-8"))
            made |= {"file": held["file"]} if "file" in held else {}
        return made

    def _write(self, made: Mapping[str, Json], network: Node, shape: tuple[int, ...]) -> dict[str, str]:
        files = {}
        if self.to:
            write_text(self.to, text.dumps(made["architecture"], indent=1) + "\n")
            files["architecture"] = str(self.to)
        if self.module:
            from nas.export import source  # noqa: PLC0415  # it needs torch; the rest of the command does not

            written = source(network, shape, made["name"], {}, dtypes=())
            write_text(self.module, written.text)
            files |= {"module": str(self.module), "class": written.network}
        return files

    def _next(self, made: Mapping[str, Json], files: Mapping[str, str]) -> list[str]:
        settings = made["architecture"]["settings"]
        asked = " ".join(f"--set {shlex.quote(f'{k}={text.dumps(settings[k])}')}" for k in ("network", "rules"))
        lines = []
        if self.module:
            lines.append(f"{self.module}: {files['class']}() is the network in plain PyTorch, with new weights")
        lines.append(
            f"train it, or choose a size: nas search --space scaled {asked} --set factors=[0.5,1,2] --data DATA"
        )
        to = shlex.quote(str(self.to))
        return [*lines, f"next: nas profile {to}, nas train {to} --data DATA"] if self.to else lines


def times(said: str, macs: int) -> float:
    """How many times the MACs a user asks for: 4x, 0.5x, or 600M of them."""
    read = FACTOR.match(said.strip())
    factor = float(read[1]) if read else limit(f"macs={said}").at_most / macs
    if not 1e-3 <= factor <= 1e3:
        raise UserError(f"--macs {said} is {factor:.3g} times the MACs", fix="give 0.001x to 1000x")
    return float(f"{factor:.4g}")


def _ratios(before: Cost, after: Cost) -> dict[str, float]:
    old, new = asdict(before), asdict(after)
    return {name: new[name] / old[name] if old[name] else 1.0 for name in new}


def _people(made: Mapping[str, Json]) -> tuple[Table, str]:
    table = Table(box=None, pad_edge=False)
    for name in ("", "before", "after", "nominal", "achieved"):
        table.add_column(name, justify="right" if name else "left")
    for name, word in (("params", "parameters"), ("macs", "MACs"), ("activations", "activations")):
        row = (f"{made['before'][name]:,}", f"{made[name]:,}", f"{made['nominal'][name]:.3g}x")
        table.add_row(word, *row, f"{made['achieved'][name]:.3g}x")
    sides = ("x".join(map(str, made["before"]["input"])), "x".join(map(str, made["input"])))
    table.add_row("input", *sides)
    by = made["factors"]
    line = f"{made['name']}: depth {by['depth']:.3g}x, width {by['width']:.3g}x, resolution {by['resolution']:.3g}x"
    return table, line
