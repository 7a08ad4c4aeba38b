"""`nas train` and `nas export`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, final

import tyro

from nas import plugins
from nas.cli.leaderboard import whole
from nas.cli.parse import Command
from nas.cli.search import Search
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
    """Train a network on train and validation images together, and test it once: of a run, or any by --data.

    Example: nas train runs/mobile-fashion-mnist-1a2b3c4d --best 2 --epochs 30

    Example: nas train resnet-18 --data photos/ --epochs 60
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TARGET")]
    """A run's folder; with --data a network: a published name, an architecture's file, a design's folder."""
    data: Annotated[str | None, tyro.conf.arg(metavar="TEXT")] = None
    """What a network is trained on, as for `nas search`; a run has its own."""
    best: Int = None
    """Its rank by validation accuracy. Default: 1."""
    trial: Int = None
    """Its trial, instead of a rank."""
    epochs: Int = None
    """Default: as the run's last training, or by the data."""
    executor: Annotated[Literal["ray", "local"] | None, tyro.conf.arg(metavar="{ray,local}")] = None
    """Default: as the run was started, or ray."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        if self.epochs is not None and self.epochs < 1:
            raise UserError(f"--epochs must be at least 1, got {self.epochs}")
        return self._of_run(Path(self.target)) if self.data is None else self._network(self.data)

    def _network(self, data: str) -> Said | None:
        """A search in the space of one network: it is rated once, trained on all images, tested once and exported."""
        if self.best is not None or self.trial is not None:
            raise UserError("--best and --trial name a network of a run", fix="leave them out beside --data")
        file = Path(self.target) / "architecture.json"
        space = str(file) if file.is_file() else self.target
        wanted = Search(space=space, data=data, trials=1, final_epochs=self.epochs, executor=self.executor or "ray")
        return replace(wanted, json=self.json).run()

    def _of_run(self, folder: Path) -> Said | None:
        if not folder.is_dir() and self.target in plugins.catalogue():
            raise UserError(f"{self.target} is a network and no run", fix=f"nas train {self.target} --data DATA")
        finding = Finding.read(folder)
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
        said = {"run": str(folder), "trial": found.trial.id, "key": found.trial.arch.key}
        line = f"trial {found.trial.id} after {made['epochs']:.0f} epochs: test accuracy {made['test_accuracy']:.4f}"
        next_line = f"next: nas export {shlex.quote(str(folder))} --trial {found.trial.id}"
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
