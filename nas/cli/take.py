"""`nas train` and `nas export`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, final

import tyro

from nas.cli.leaderboard import whole
from nas.cli.parse import Command
from nas.cli.speak import Said
from nas.cli.terminal import Live, screen
from nas.errors import UserError
from nas.finding import Finding, Found, options
from nas.handover import hand_over
from nas.options import Options
from nas.searching import train

Int = Annotated[int | None, tyro.conf.arg(metavar="INT")]


def chosen(finding: Finding, best: int | None, trial: int | None) -> Found:
    """The network that --best or --trial names; the best where neither does."""
    if best is not None and trial is not None:
        raise UserError("--best and --trial both name a network", fix="give one of them")
    if best is not None and best < 1:
        raise UserError(f"--best is a rank from 1, got {best}")
    return finding.trial(trial) if trial is not None else finding.best(best or 1)


@final
@dataclass(frozen=True)
class Train(Command):
    """Train a network of a run on train and validation images together, and test it once.

    Example: nas train runs/mobile-fashion-mnist-1a2b3c4d --best 2 --epochs 30
    """

    folder: tyro.conf.Positional[Path]
    """The run's folder."""
    best: Int = None
    """Its rank by validation accuracy. Default: 1."""
    trial: Int = None
    """Its trial, instead of a rank."""
    epochs: Int = None
    """Default: as the run's last training."""
    executor: Annotated[Literal["ray", "local"] | None, tyro.conf.arg(metavar="{ray,local}")] = None
    """Default: as the run was started."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        if self.epochs is not None and self.epochs < 1:
            raise UserError(f"--epochs must be at least 1, got {self.epochs}")
        finding = Finding.read(self.folder)
        found = chosen(finding, self.best, self.trial)
        how = Options(**{**Options().__dict__, **options(finding)})
        how = replace(how, executor=self.executor or how.executor)
        finding.run.close()
        shown = screen()
        try:
            finding = train(finding, found.trial, how, epochs=self.epochs, screen=shown)
        finally:
            if isinstance(shown, Live):
                shown.stop()
        made = finding.trained()[found.trial.arch.key]
        said = {"run": str(self.folder), "trial": found.trial.id, "key": found.trial.arch.key}
        line = f"trial {found.trial.id} after {made['epochs']:.0f} epochs: test accuracy {made['test_accuracy']:.4f}"
        next_line = f"next: nas export {shlex.quote(str(self.folder))} --trial {found.trial.id}"
        return Said({**said, **{k: whole(v) for k, v in made.items() if k != "trial"}}, (line, next_line))

    def resume(self) -> str:
        return "give the same command again to go on"


@final
@dataclass(frozen=True)
class Export(Command):
    """Write a network of a run as plain PyTorch, and prove it equal to the trained one.

    The proof is made in a process where nas cannot be imported.

    Example: nas export runs/mobile-fashion-mnist-1a2b3c4d --best 1 --to model --onnx
    """

    folder: tyro.conf.Positional[Path]
    """The run's folder."""
    best: Int = None
    """Its rank by validation accuracy. Default: 1."""
    trial: Int = None
    """Its trial, instead of a rank."""
    to: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The folder to write. Default: RUN/export/KEY."""
    onnx: bool = False
    """Write model.onnx too, checked in onnxruntime (extra: treenas[onnx])."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        finding = Finding.read(self.folder)
        made = hand_over(finding, chosen(finding, self.best, self.trial), self.to, onnx=self.onnx)
        rows = [f"{kind}: {path}" for kind, path in made["files"].items()]
        rows += [
            f"{kind} differs from the trained network by at most {d:.2g}"
            for kind, d in made["largest_difference"].items()
        ]
        rows.append("proved in a process without nas" if made["proved"] else "NOT equal to the trained network")
        return Said(made, tuple(rows), code=0 if made["proved"] else 5)
