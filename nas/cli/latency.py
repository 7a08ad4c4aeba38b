"""`nas latency`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

import numpy as np
import tyro
from scipy.stats import spearmanr

from nas import plugins
from nas.build import build
from nas.cli.parse import Command
from nas.cli.search import assigned
from nas.cli.spaces import shaped
from nas.cli.speak import Said
from nas.cli.target import Target, target
from nas.cli.terminal import Live, screen
from nas.errors import UserError
from nas.latency.devices import device, read
from nas.latency.script import SCRIPT, script
from nas.latency.table import Table
from nas.latency.taking import spread, take, together
from nas.latency.timing import MEMORY, ROUNDS, called, measure, memory
from nas.options import Screen
from nas.space import Architecture
from nas.training import keep_heap
from nas.units import count, duration, quantity

LEAST = 3
"""Whole networks that a correction, or a comparison, needs."""


@final
@dataclass(frozen=True)
class Latency(Command):
    """How long networks take on a device: measured, or summed from a table of layers that this command measures.

    Without --build, --device-file or --script: one network is measured here, with its memory.

    Example: nas latency resnet-18 --on cpu

    Example: nas latency mobile --input 3,32,32 --build --out here.json

    Example: nas latency mobile --input 3,32,32 --device-file here.json --check 10
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TARGET")]
    """A space; or a network of one: a published name, JSON or a file of it."""
    on: Literal["cpu", "cuda"] = "cpu"
    """Where it is measured."""
    build: bool = False
    """Measure each distinct layer of the space, and a few whole networks that correct their sum, into a device file."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """The device file that --build writes, or goes on with. Default: latency/SPACE-INPUT-ON.json."""
    device_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Predict from a device file, measured here or elsewhere, instead of measuring."""
    script: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Write measure.py, which needs PyTorch alone and measures a device file where it is run."""
    threads: int = 1
    """Threads of a CPU."""
    batch: int = 1
    """Images at a time."""
    networks: int = 10
    """Whole networks that correct the sums of --build or --script."""
    sample: int = 1000
    """Random architectures that --device-file predicts."""
    check: int = 0
    """Networks that are measured here beside what --device-file predicts."""
    input: Annotated[str | None, tyro.conf.arg(metavar="C,H,W")] = None
    """The input shape. Default: the space's own."""
    classes: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """The number of classes."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A setting of the space, NAME=VALUE."""
    seed: int = 0
    """Of random architectures."""
    json: bool = False
    """One JSON object on standard output; progress goes to standard error."""

    def resume(self) -> str:
        return "give the same command again to go on" if self.build else ""

    def run(self) -> Said | None:
        given = [
            f"--{n}"
            for n, v in (("build", self.build), ("device-file", self.device_file), ("script", self.script))
            if v
        ]
        if len(given) > 1:
            raise UserError(f"{' and '.join(given)} are different things to do", fix="give one of them")
        for name, value, least in (
            ("threads", self.threads, 1), ("batch", self.batch, 1), ("networks", self.networks, LEAST),
            ("sample", self.sample, 1), ("check", self.check, 0), ("seed", self.seed, 0),
        ):  # fmt: skip
            if value < least:
                raise UserError(f"--{name} must be at least {least}, got {value}")
        if 0 < self.check < LEAST:
            raise UserError(f"--check must be 0, or at least {LEAST}, got {self.check}", fix="for example --check 10")
        if self.check and self.device_file is None:
            raise UserError("--check compares what a device file predicts", fix="add --device-file FILE")
        keep_heap()  # as a worker does before it measures: else large values cost page faults each time
        settings = {**shaped(self.input, self.classes), **assigned(self.set)}
        found = target(self.target, seed=self.seed, settings=settings)
        if self.build:
            return self._build(found)
        if self.script is not None:
            return self._script(found, self.script)
        return self._one(found) if self.device_file is None else self._predict(found, self.device_file)

    def _one(self, found: Target) -> Said:
        """One network, measured here."""
        on = device(self.on)
        found.profile()  # says where an input is too small
        module = build(found.network, found.space.input).to(on)
        timed = measure(module, found.space.input, on, threads=self.threads, batch=self.batch)
        need = memory(module, found.space.input, on, batch=self.batch)
        made = {
            "name": found.name, "arch": dict(found.arch.labels), "space": found.space.name,
            "settings": dict(found.space.settings), "device": called(on), "on": self.on, "threads": self.threads,
            "batch": self.batch, "latency_s": timed.seconds, "low_s": timed.low, "high_s": timed.high,
            "times": timed.times, "memory_bytes": need, "memory_is": MEMORY[self.on],
        }  # fmt: skip
        low, high = (quantity("latency_s", s) for s in (timed.low, timed.high))
        lines = [
            f"{found.name}: {quantity('latency_s', timed.seconds)}, the median of {timed.times} (quartiles {low} and "
            f"{high}), {count(need)}B of memory ({MEMORY[self.on]})",
            f"on {called(on)} ({self.on}, batch {self.batch}, {self._threads})",
        ]
        return Said(made, (*lines, *_busy()))

    def _build(self, found: Target) -> Said:
        """A device file of the whole space."""
        space, on, began = found.space, device(self.on), screen()
        file = self.out or Path("latency") / f"{space.name}-{'x'.join(map(str, space.input))}-{self.on}.json"
        if self.target not in plugins.spaces() and ".py:" not in self.target:
            raise UserError(f"{self.target} is one network", fix=f"a device file is of a space: {space.name}")
        try:
            walked = take(
                space, on, file, threads=self.threads, batch=self.batch, networks=self.networks, seed=self.seed,
                say=_Said(began),
            )  # fmt: skip
        finally:
            if isinstance(began, Live):
                began.stop()
        table = Table(space, read(file))
        right = table.correction
        made = {
            "file": str(file), "space": space.name, "device": table.file.device, "on": self.on,
            "threads": self.threads, "batch": self.batch, "layers": len(table.file.layers), "walked": walked.by,
            "architectures": walked.architectures, "correction": dict(right.__dict__), "notes": list(table.notes()),
        }  # fmt: skip
        how = "all" if walked.by == "all" else "random architectures until 300 in a row brought nothing new:"
        lines = [
            f"{len(table.file.layers)} distinct layers ({how} {walked.architectures}), on {table.file.how}",
            f"latency = {1000 * right.offset:.3g} ms + {right.slope:.3g} x sum of layers, by {right.networks} whole "
            f"networks; off by {right.error:.1%} on average where one is left out, the sum itself by {right.raw:.1%}",
            *table.notes(),
            f"device file: {file}",
            f"next: nas latency {shlex.quote(self.target)} --device-file {shlex.quote(str(file))}",
        ]
        return Said(made, (*lines, *_busy()))

    def _script(self, found: Target, folder: Path) -> Said:
        layers = script(found.space, folder, networks=self.networks, seed=self.seed)
        made = {"script": str(folder / SCRIPT), "layers": layers, "networks": self.networks}
        line = f"{folder / SCRIPT} measures {layers} layers and {self.networks} networks; it needs PyTorch alone"
        next_line = f"there: python {SCRIPT}; here: nas latency {shlex.quote(self.target)} --device-file device.json"
        return Said(made, (line, next_line))

    def _predict(self, found: Target, file: Path) -> Said:
        """What a device file says of random architectures, or of one network."""
        table, space = Table(found.space, read(file)), found.space
        rng = np.random.default_rng(self.seed)
        whole = self.target in plugins.spaces() or ".py:" in self.target
        archs = [space.sample(rng) for _ in range(self.sample)] if whole else [found.arch]
        seconds = table.predict(archs)
        low, middle, high = (float(v) for v in np.quantile(seconds, (0.25, 0.5, 0.75)))
        made: dict[str, Any] = {
            "file": str(file), "device": table.file.device, "on": table.file.on, "threads": table.file.threads,
            "batch": table.file.batch, "space": space.name, "architectures": len(archs), "latency_s": middle,
            "low_s": low, "high_s": high, "least_s": float(seconds.min()), "most_s": float(seconds.max()),
            "correction": dict(table.correction.__dict__), "notes": list(table.notes()),
        }  # fmt: skip
        said = {k: quantity("latency_s", made[f"{k}_s"]) for k in ("latency", "low", "high", "least", "most")}
        lines = [f"{found.name}: {said['latency']}"]
        if len(archs) > 1:
            spread_out = f"half of them {said['low']} to {said['high']}, all {said['least']} to {said['most']}"
            lines = [
                f"{len(archs)} random architectures of {space.name}: {said['latency']} in the median, {spread_out}"
            ]
        lines += [f"predicted for {table.file.how}, {_accuracy(table)}", *table.notes()]
        if self.check:
            made["check"], more = self._checked(table)
            lines += more
        return Said(made, (*lines, *(_busy() if self.check else ())))

    def _checked(self, table: Table) -> tuple[dict[str, Any], list[str]]:
        """Predictions beside networks that are measured here."""
        on = device(table.file.on)
        archs: Sequence[Architecture] = spread(table.space, self.check, self.seed + 1)
        shown = screen()
        try:
            rows = together(
                table.space, archs, on, threads=table.file.threads, batch=table.file.batch, say=_Said(shown)
            )
        finally:
            if isinstance(shown, Live):
                shown.stop()
        measured, predicted = np.array([row["seconds"] for row in rows]), table.predict(archs)
        rank = float(spearmanr(predicted, measured).statistic)
        error = float(np.mean(np.abs(predicted / measured - 1)))
        made = {"networks": len(archs), "spearman": rank, "error": error, "device": called(on)}
        lines = [
            f"{len(archs)} networks measured here (the least of {ROUNDS} medians): rank correlation {rank:.3f} "
            f"(Spearman), off by {error:.1%} on average"
        ]
        if called(on) != table.file.device:
            lines.append(f"this device is another: {called(on)}, not {table.file.device}")
        return made, lines

    @property
    def _threads(self) -> str:
        return "one thread" if self.threads == 1 else f"{self.threads} threads"


@final
class _Said:
    """A line for each tenth that is measured."""

    def __init__(self, shown: Screen) -> None:
        self._shown = shown

    def __call__(self, what: str, done: int, of: int, left: float) -> None:
        if done == of or done % max(1, of // 10) == 0:
            rest = f", about {duration(left)} left" if done < of else ""
            self._shown.say(f"{what}: {done} of {of}{rest}")


def _accuracy(table: Table) -> str:
    right = table.correction
    if right.networks < LEAST:
        return "the sum of layers as it is: the file holds too few whole networks to correct it"
    return (
        f"off by {right.error:.1%} on average on the {right.networks} whole networks of the file, each left out in turn"
    )


def _busy() -> Iterator[str]:
    """Whether what else runs here may have made latencies longer."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores + 0.5:
        yield f"this machine is busy (load {load:.1f} on {cores} cores): latencies are longer here than at rest"
