"""`nas specialise`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

import tyro
from rich.console import RenderableType
from rich.table import Table

from nas.cli.leaderboard import whole
from nas.cli.parse import Command
from nas.cli.speak import Said
from nas.cli.terminal import Live, screen
from nas.errors import ENVIRONMENT, INFEASIBLE, UserError
from nas.latency.timing import called
from nas.oneshot import told
from nas.run import Run, settings_in
from nas.specialising import MEDIANS, Specialised, Target, specialise, verdict
from nas.subnetworks import IMAGES, SECONDS
from nas.units import count, quantity


@final
@dataclass(frozen=True)
class Specialise(Command):
    """From one supernet the best sub-network for each of several targets, without training, and exported.

    Random sub-networks are rated by what they inherit and timed; a sum over choices, fitted on them, says which are the
    best within a target; those are measured. A second call goes on from what the first one learnt.

    Example: nas specialise runs/spos-1a2b3c4d --max latency=5ms --max latency=8ms,params=1M
    """

    folder: tyro.conf.Positional[Path]
    """The folder of a run that trained a supernet."""
    max: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="LIMITS")] = ()
    """A target: latency=5ms, params=1M, macs=20M or activations=1M, or several of them joined by commas."""
    on: Literal["cpu", "cuda"] = "cpu"
    """Where latency is measured: the median of 20, batch 1, one thread; 5 of them decide."""
    seconds: float = SECONDS
    """For rating and timing random sub-networks, all calls together; more make the choice better."""
    seed: int = 0
    """Of the random sub-networks."""
    supernet: Annotated[str, tyro.conf.arg(metavar="NAME")] = "supernet"
    """Which, where a run has several."""
    json: bool = False
    """One JSON object on standard output."""

    def resume(self) -> str:
        return "give the same command again to go on"

    def run(self) -> Said | None:
        if not self.max:
            raise UserError("no target is given", fix="for example --max latency=5ms --max latency=8ms")
        if not 0 <= self.seconds < math.inf:
            raise UserError(f"--seconds must be 0 or more, got {self.seconds:g}", fix="for example --seconds 30")
        if self.seed < 0:
            raise UserError(f"--seed must be 0 or more, got {self.seed}")
        targets = list({target.folder: target for target in map(Target.read, self.max)}.values())
        began, shown = time.monotonic(), screen()
        shown.phase(f"specialising {self.supernet}", 0)
        run = Run.open(self.folder, settings_in(self.folder))
        try:
            found, known = specialise(
                run,
                targets,
                on=self.on,
                seconds=self.seconds,
                seed=self.seed,
                study=self.supernet,
                say=shown.say,
            )
            check = verdict(known)
        finally:
            run.close()
            if isinstance(shown, Live):
                shown.stop()
        code = INFEASIBLE if any(one.short for one in found) else 0 if all(one.kept for one in found) else ENVIRONMENT
        made: dict[str, Any] = {
            "run": str(self.folder),
            "supernet": self.supernet,
            "on": self.on,
            "device": called(known.device),
            "sampled": len(known.sample),
            "images": IMAGES,
            "targets": [_row(one) for one in found],
            "check": check,
            "seconds": round(time.monotonic() - began, 1),
        }
        if code:
            made |= {"error": next((o.short for o in found if o.short), "too slow when measured again"), "code": code}
        return Said(made, tuple(_people(made, found)), code=code)


def _row(one: Specialised) -> dict[str, Any]:
    """A target as JSON."""
    return {
        "target": one.target.text,
        "limits": {c.metric: c.at_most for c in one.target.limits},
        "met": not one.short,
        "short": one.short,
        "key": one.arch.key,
        "arch": dict(one.arch.labels),
        "latency_s": one.latency,
        "medians_s": list(one.medians),
        "again_s": one.again,
        "kept_again": one.kept,
        "params": whole(one.costs["params"]),
        "macs": whole(one.costs["macs"]),
        "accuracy": one.accuracy,
        "random_accuracy": one.random,
        "export": None if one.folder is None else str(one.folder),
    }


def _people(made: dict[str, Any], found: list[Specialised]) -> Iterator[RenderableType]:
    table = Table(box=None, pad_edge=False)
    table.add_column("target", overflow="fold")
    for name in ("latency", "again", "params", "MACs", "accuracy", "random", "key"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        again = "" if one.short else quantity("latency_s", one.again)
        costs = (count(one.costs["params"]), count(one.costs["macs"]))
        random = "" if one.random is None else f"{one.random:.4f}"
        met = one.target.text.replace(",", "\n") + ("\nNOT MET" if one.short else "")
        seconds = quantity("latency_s", one.latency)
        table.add_row(met, seconds, again, *costs, f"{one.accuracy:.4f}", random, one.arch.key[:8])
    yield table
    yield from (one.short for one in found if one.short)
    slow = [one for one in found if not one.short and not one.kept]
    yield from (f"{one.target.text}: TOO SLOW when measured again, {quantity('latency_s', one.again)}" for one in slow)
    yield (
        f"latency: on {made['device']}, the median of {MEDIANS} medians of 20, batch 1, one thread; "
        "again: the same of the exported module, after the export"
    )
    yield (
        f"accuracy: inherited, not trained, on {made['images']} validation images; random: the best of "
        f"{made['sampled']} random sub-networks within the target"
    )
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores + 0.5:
        yield f"this machine is busy (load {load:.1f} on {cores} cores): latencies are longer here than at rest"
    alone = "how true the ranking is was not checked: the run trained no sub-network alone"
    yield told(made["check"]) if made["check"] else alone
    yield from (f"{one.target.text}: {one.folder}/model.py (needs only torch)" for one in found if one.folder)
