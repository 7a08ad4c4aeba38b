"""`nas spaces` and `nas profile`."""

from __future__ import annotations

import json as text
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, final

import tyro
from rich.table import Table

from nas import plugins
from nas.cli.parse import Command
from nas.cli.search import assigned
from nas.cli.speak import Said
from nas.cli.target import target
from nas.errors import UserError
from nas.space import Json
from nas.units import count

Text = Annotated[str | None, tyro.conf.arg(metavar="TEXT")]


@final
@dataclass(frozen=True)
class Spaces(Command):
    """The search spaces there are; or the laws of a space, checked on one's own.

    Example: nas spaces check my.py:space
    """

    check: tyro.conf.Positional[tuple[str, ...]] = ()
    """`check NAME` or `check FILE.py:NAME` runs every law of a space on it."""
    input: Annotated[str | None, tyro.conf.arg(metavar="C,H,W")] = None
    """The input shape. Default: the space's own."""
    classes: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """The number of classes."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A setting of the space, NAME=VALUE."""
    published: bool = False
    """The published networks: what they cost, and where they come from."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        if self.published:
            return self._published()
        if not self.check and self.set:
            raise UserError("--set is for one space", fix="give it with `nas spaces check NAME`")
        if not self.check:
            return self._all()
        if self.check[0] != "check" or len(self.check) != 2:
            raise UserError(f"nas spaces takes nothing or `check NAME`, got {' '.join(self.check)!r}")
        from nas.testing import space_laws  # noqa: PLC0415  # the laws need torch's counters; only this asks for them

        space = plugins.space(self.check[1], **shaped(self.input, self.classes), **assigned(self.set))
        results = []
        for law, check in space_laws().items():
            start = time.monotonic()
            try:
                check(space)
                problem = ""
            except Exception as error:  # a law may fail in any way; each is reported
                problem = " ".join(f"{error}".split())[:300] or type(error).__name__
            results.append(
                {"law": law, "kept": not problem, "problem": problem, "seconds": round(time.monotonic() - start, 2)}
            )
        broken = [r for r in results if not r["kept"]]
        rows = [
            f"{'kept  ' if r['kept'] else 'BROKEN'}  {r['law']}" + (f": {r['problem']}" if r["problem"] else "")
            for r in results
        ]
        rows.append(
            f"{space.name}: {len(results) - len(broken)} of {len(results)} laws kept, {space.size:,} architectures"
        )
        return Said({"space": space.name, "size": space.size, "laws": results}, tuple(rows), code=2 if broken else 0)

    def _published(self) -> Said:
        if self.check or self.set:
            raise UserError("--published lists networks", fix="see one with `nas profile NAME --set NAME=VALUE`")
        listed, table = [], Table(box=None, pad_edge=False)
        for name in ("name", "space", "input", "params", "MACs", "source"):
            table.add_column(name, justify="right" if name in ("params", "MACs") else "left", overflow="fold")
        for name in sorted(plugins.catalogue()):
            found = target(name, settings=shaped(self.input, self.classes))
            made, of = found.profile(), plugins.published(name)
            row: dict[str, Json] = {"name": name, "space": found.space.name, "settings": dict(found.space.settings)}
            row |= {"arch": dict(found.arch.labels), "input": list(found.space.input), "classes": made.out[0]}
            row |= {"params": made.total.params, "macs": made.total.macs}
            listed.append({**row, "source": of.source, "read_from": of.read_from})
            costs = (count(made.total.params), count(made.total.macs))
            table.add_row(name, found.space.name, "x".join(map(str, found.space.input)), *costs, of.source)
        return Said({"published": listed}, (table, f"{len(listed)} published networks"))

    def _all(self) -> Said:
        from nas.weights import unmixed  # noqa: PLC0415  # relaxing needs torch; only this asks for it

        listed, rows = [], []
        for name, make in sorted(plugins.spaces().items()):
            space = make(**shaped(self.input, self.classes))
            listed.append(
                {
                    "name": name,
                    "settings": dict(space.settings),
                    "choices": {c.name: list(c.labels) for c in space.choices.values()},
                    "size": space.size,
                    "shares": space.shares,
                    "relaxes": unmixed(space),
                }
            )
            about = (make.__doc__ or "").strip().splitlines()[0]
            settings = ", ".join(f"{k}={text.dumps(v)}" for k, v in space.settings.items())
            why = listed[-1]["relaxes"]
            words = [f"shares no weights: {space.shares}" if space.shares else "shares weights"]
            words.append(f"cannot be relaxed: {why}" if why else "can be relaxed")
            size = f"{space.size:,}" if space.size < 10**12 else f"{Decimal(space.size):.3e}"
            counted = f"{size} architectures, {len(space.choices)} choices"
            rows.append("\n  ".join((f"{name}: {about}", counted, *words, settings, "")))
        return Said({"spaces": listed}, tuple(rows))


@final
@dataclass(frozen=True)
class Profile(Command):
    """What a network costs, layer by layer, without building it.

    Example: nas profile efficientnet-b0 --input 3,260,260
    """

    target: tyro.conf.Positional[str]
    """A published network (see `nas spaces --published`), JSON or a file of it, a spelling, or a space (random)."""
    space: Text = None
    """The space of a spelling. Default: nasbench201."""
    input: Annotated[str | None, tyro.conf.arg(metavar="C,H,W")] = None
    """The input shape. Default: the architecture's settings, else the space's own."""
    classes: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """The number of classes."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A setting of the space, NAME=VALUE."""
    seed: int = 0
    """Of a random architecture."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        settings = {**shaped(self.input, self.classes), **assigned(self.set)}
        found = target(self.target, space=self.space, seed=self.seed, settings=settings)
        space, arch = found.space, found.arch
        start = time.perf_counter()
        made = found.profile()
        seconds = time.perf_counter() - start
        layers = [{"name": x.name, "op": x.op, "out": list(x.out), **x.cost.__dict__} for x in made.layers]
        total = made.total
        head: dict[str, Json] = {
            "name": found.name,
            "space": space.name,
            "settings": dict(space.settings),
            "arch": dict(arch.labels),
            "input": list(space.input),
            "classes": made.out[0],
            "params": total.params,
            "macs": total.macs,
            "activations": total.activations,
            "seconds": round(seconds, 6),
        }
        table = Table(box=None, pad_edge=False)
        for name in ("layer", "op", "out", "params", "MACs", "activations"):
            table.add_column(name, justify="left" if name in ("layer", "op") else "right")
        for x in made.layers:
            costs = (f"{x.cost.params:,}", f"{x.cost.macs:,}", f"{x.cost.activations:,}")
            table.add_row(x.name, x.op, "x".join(map(str, x.out)), *costs)
        line = f"{total.params:,} parameters, {total.macs:,} MACs, {total.activations:,} activations for {space.input}"
        return Said({**head, "layers": layers}, (table, line))


def shaped(shape: str | None, classes: int | None) -> dict[str, Json]:
    """The settings `input` and `classes` from their flags."""
    made: dict[str, Json] = {} if classes is None else {"classes": classes}
    if shape is not None:
        try:
            numbers = tuple(int(n) for n in shape.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != 3 or min(numbers) < 1:
            raise UserError(f"--input is C,H,W, got {shape!r}", fix="for example --input 3,224,224")
        made["input"] = numbers
    if classes is not None and classes < 2:
        raise UserError(f"--classes must be at least 2, got {classes}")
    return made
