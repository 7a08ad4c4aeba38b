"""`nas run`: the published systems, each one file in experiments/, its flags made from its Config."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import tyro

from nas import plugins
from nas.cli.parse import Command, parse
from nas.cli.speak import Said, plain
from nas.cli.terminal import Live, screen
from nas.errors import UserError
from nas.experiment import Experiment
from nas.oneshot import told


@final
@dataclass(frozen=True)
class Recipes(Command):
    """Run a published system; without a name, list them.

    Example: nas run aging_evolution --data digits --trials 30
    """

    name: tyro.conf.Positional[tuple[str, ...]] = ()
    """The experiment, and after it its own flags: nas run NAME --help lists them."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        names = plugins.experiments()
        docs = {name: (plugins.experiment(name).__doc__ or "").strip().splitlines()[0] for name in names}
        return Said({"experiments": docs}, tuple(f"{name}: {doc}" for name, doc in docs.items()))


@final
@dataclass(frozen=True)
class Where:
    """The flags that every experiment has beside its own."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The run's folder. Default: runs/NAME-xxxxxxxx, named by the settings."""
    executor: Annotated[str, tyro.conf.arg(metavar="{ray,local}")] = "ray"
    """Where candidates train."""
    workers: int = 0
    """How many train at a time; 0 for one a core."""
    ray: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = ""
    """A running cluster, HOST:PORT or auto. Default: a Ray that starts by itself."""
    gpus_per_trial: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None
    """The share of a GPU that a training takes. Default: 1 where this machine has a GPU."""
    json: bool = False
    """One JSON object on standard output."""


def run_experiment(name: str, args: list[str]) -> Said | None:
    """Run an experiment with its own flags."""
    module = plugins.experiment(name)
    mine = [a for a in args if a in ("-h", "--help")]
    where_args, own_args = _split(args)
    config = parse(module.Config, [*own_args, *mine], prog=f"nas run {name}")
    if config is None:
        sys.stdout.write(
            "and the flags of every experiment: --out DIR --executor {ray,local} --workers INT --ray ADDRESS "
            "--gpus-per-trial SHARE --json\n"
        )
        return None
    where = parse(Where, where_args, prog=f"nas run {name}")
    if where is None:
        return None
    if where.executor not in ("ray", "local"):
        raise UserError(f"--executor is ray or local, got {where.executor!r}")
    shown = screen()
    made = Experiment.open(
        name,
        config,
        where.out,
        executor=where.executor,
        workers=where.workers,
        screen=shown,
        ray=where.ray,
        gpus=where.gpus_per_trial,
    )
    try:
        said = module.main(made, config)
    except KeyboardInterrupt:
        line = f"go on with: nas run {shlex.join([name, *args])}"
        raise UserError("interrupted; everything finished is kept", fix=line, code=4) from None
    finally:
        if isinstance(shown, Live):
            shown.stop()
        made.close()
    rows = [told(v) if k == "check" and v else f"{k}: {v}" for k, v in said.items()]
    return Said({"run": str(made.folder), "experiment": name, **plain(said)}, (*rows, f"run: {made.folder}"))


def _split(args: list[str]) -> tuple[list[str], list[str]]:
    """The flags of Where, and the rest."""
    mine: list[str] = []
    rest: list[str] = []
    k = 0
    while k < len(args):
        name, given, _ = args[k].partition("=")
        if name == "--json":
            mine.append(args[k])
        elif name in ("--out", "--executor", "--workers", "--ray", "--gpus-per-trial"):
            mine += args[k : k + (1 if given else 2)]
            k += 0 if given else 1
        elif name not in ("-h", "--help"):
            rest.append(args[k])
        k += 1
    return mine, rest
