"""`nas search` and `nas resume`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, final

import tyro

from nas import plugins
from nas.beginning import warmed
from nas.cli.leaderboard import leaderboard, summary
from nas.cli.parse import Command
from nas.cli.speak import Said
from nas.cli.terminal import Live, screen
from nas.errors import UserError
from nas.estimate import estimate
from nas.finding import Finding, options
from nas.handover import hand_over
from nas.options import EMBEDDED, Options, refuse_missing, share
from nas.searching import start
from nas.settings import Settings
from nas.settle import folder_of, settle
from nas.units import count, duration, limit

Int = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Text = Annotated[str | None, tyro.conf.arg(metavar="TEXT")]
CHECKED = 16
"""Networks trained alone beside a supernet where nothing is said."""
Seconds = Annotated[float | None, tyro.conf.arg(metavar="SECONDS")]


def assigned(texts: tuple[str, ...]) -> dict[str, Any]:
    """Settings written NAME=VALUE, where VALUE is JSON, or a word."""
    import json as js  # noqa: PLC0415  # a field of the commands is called json

    made: dict[str, Any] = {}
    for text in texts:
        name, given, value = text.partition("=")
        if not given:
            raise UserError(f"--set needs NAME=VALUE, got {text!r}", fix="for example --set cells=2")
        try:
            made[name] = js.loads(value)
        except ValueError:
            made[name] = value
    return made


@final
@dataclass(frozen=True)
class Search(Command):
    """Search for a network, train the best, test it once and export it.

    Without any flag: a small cell space on the handwritten digits inside scikit-learn, beside random search.

    Example: nas search --data fashion-mnist --space mobile --max params=150k --trials 12
    """

    space: Text = None
    """A space (see `nas spaces`), FILE.py:NAME, or one network: a published one, FILE.json. Default: by the data."""
    data: Text = None
    """digits, fashion-mnist, mnist, cifar10, cifar100 (or NAME:FOLDER), a folder of folders, .npz, FILE.py:NAME."""
    strategy: str = "auto"
    """auto, random, evolution, local, bananas, tpe, asha and others that `nas bench` knows, or FILE.py:NAME."""
    trials: int = EMBEDDED
    """How many networks are trained; more go on with the same run."""
    epochs: Int = None
    """Epochs of a candidate. Default: about 36,000 images' worth; of a supernet, four times that."""
    seed: int = 0
    """Of the split, the search and every training."""
    max: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A limit METRIC=VALUE: params=150k, macs=4.5M, activations=1M, latency=5ms."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The run's folder. Default: runs/SPACE-DATA-xxxxxxxx, named by the settings."""
    executor: Literal["ray", "local"] = "ray"
    """Where candidates train: on Ray, or in processes of this machine."""
    workers: Int = None
    """How many train at a time. Default: one a core, or as many as the cards carry."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """A running cluster, HOST:PORT or auto. Default: a Ray that starts by itself."""
    gpus_per_trial: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None
    """The share of a GPU that a trial takes: 0.25 packs four on a card. Default: 1 where this machine has a GPU."""
    trial_timeout: Seconds = None
    """A trial that takes longer is stopped, and counts as failed."""
    baseline: Annotated[Literal["random", "none"] | None, tyro.conf.arg(metavar="{random,none}")] = None
    """random: the best of random search at the same budget beside it. Default: only without --space and --data."""
    warm_start: Annotated[str | None, tyro.conf.arg(metavar="{scores,none}|RUN")] = None
    """What is tried first: scores (the best of 30 random networks by zero-cost scores), none, or the best of another
    run, by its folder. Nothing else of an earlier run is ever read. Default: scores with auto, else none."""
    supernet: Annotated[str, tyro.conf.arg(metavar="RULE")] = ""
    """Train one supernet by this path rule first, and rate candidates by what they inherit from it:
    uniform, fair, sandwich, delayed, sorted, multi, progressive. --epochs are its, --check says what it is worth."""
    check: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Networks trained alone, to see how far a supernet's ratings can be trusted. Default: 16 with --supernet."""
    final_epochs: Int = None
    """Epochs of the last training, on all images but the test ones."""
    images: Int = None
    """How many images train a candidate, 0 for all. Default: 12,000 at the most without a GPU."""
    image_size: Int = None
    """The side that images from files are brought to."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A setting of the space, NAME=VALUE: cells=2."""
    recipe: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A setting of the trainings, NAME=VALUE: lr=0.1, batch_size=128, optimiser=adamw."""
    device_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """What `nas latency` measured: --max latency is judged by it before a network trains, and not measured."""
    dry_run: bool = False
    """Say what the search will cost, from one short training, and stop."""
    json: bool = False
    """One JSON object on standard output; progress goes to standard error."""

    def run(self) -> Said | None:
        limits = tuple(limit(text) for text in self.max)
        options = self.options()
        settings = settle(
            space=self.space or "",
            space_settings=assigned(self.set),
            data=self.data or "",
            image_size=self.image_size,
            strategy=self.strategy,
            seed=self.seed,
            limits=limits,
            epochs=self.epochs,
            final_epochs=self.final_epochs,
            images=self.images,
            recipe=assigned(self.recipe),
            supernet=self.supernet,
            device_file=str(self.device_file or ""),
            warm_start="" if self.warm_start == "none" else self.warm_start,
            gpu=options.gpus_per_trial > 0,
        )
        settings = warmed(settings)
        if options.baseline:
            plugins.strategy(options.baseline, settings.problem)
        folder = self.out or folder_of(settings)
        refuse_missing(options)
        if self.dry_run:
            return _cost(settings, options, folder)
        return go(settings, options, folder)

    def options(self) -> Options:
        """How it is run."""
        baseline = self.baseline or ("random" if self.space is None and self.data is None else "none")
        if self.workers == 0:
            raise UserError("--workers must be at least 1, got 0", fix="leave it out for one a core")
        return Options(
            self.trials,
            self.executor,
            self.workers or 0,
            self.ray or "",
            share(self.gpus_per_trial, cluster=self.ray is not None),
            self.trial_timeout,
            "" if baseline == "none" else baseline,
            self.checked(),
        )

    def checked(self) -> int:
        """How many networks are trained alone beside a supernet."""
        if self.check and not self.supernet:
            raise UserError("--check says what a supernet is worth, and there is none", fix="add --supernet uniform")
        return (CHECKED if self.supernet else 0) if self.check is None else self.check

    def resume(self) -> str:
        return (
            f"go on with: nas resume {shlex.quote(str(self.out))}"
            if self.out
            else "give the same command again to go on"
        )


@final
@dataclass(frozen=True)
class Resume(Command):
    """Go on with a run that was interrupted, or ask for more trials of it.

    Example: nas resume runs/mobile-fashion-mnist-1a2b3c4d --trials 24
    """

    folder: tyro.conf.Positional[Path]
    """The run's folder."""
    trials: Int = None
    """How many networks in all. Default: as many as it was started with."""
    workers: Int = None
    """How many train at a time."""
    executor: Annotated[Literal["ray", "local"] | None, tyro.conf.arg(metavar="{ray,local}")] = None
    """Where candidates train. Default: as it was started."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """A running cluster."""
    gpus_per_trial: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None
    """The share of a GPU that a trial takes. Default: as it was started."""
    trial_timeout: Seconds = None
    """A trial that takes longer is stopped."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        finding = Finding.read(self.folder)
        before = Options(**{**Options().__dict__, **options(finding)})
        finding.run.close()
        changed: dict[str, Any] = {
            "trials": self.trials,
            "workers": self.workers,
            "executor": self.executor,
            "ray": self.ray,
            "gpus_per_trial": self.gpus_per_trial,
            "timeout": self.trial_timeout,
        }
        now = replace(before, **{name: value for name, value in changed.items() if value is not None})
        return go(finding.settings, now, self.folder)

    def resume(self) -> str:
        return f"go on with: nas resume {shlex.quote(str(self.folder))}"


def go(settings: Settings, how: Options, folder: Path) -> Said:
    """Search, export the best, and say what was found."""
    before = _finished(folder, how)
    shown = screen()
    try:
        finding = start(settings, how, out=folder, screen=shown)
    except KeyboardInterrupt:
        if isinstance(shown, Live):
            shown.stop()
        raise UserError(
            "interrupted; everything finished is kept", fix=f"go on with: nas resume {shlex.quote(str(folder))}", code=4
        ) from None
    finally:
        if isinstance(shown, Live):
            shown.stop()
    made = finding.folder / "export" / finding.best().trial.arch.key
    if not (made / "model.py").exists():
        shown.say("exporting the best network")
        exported = hand_over(finding, finding.best())
        run = _record(finding, exported)
        finding = Finding.read(run)
    said = summary(finding, how)
    parts = list(leaderboard(finding, how, said))
    if before:
        more = f"nas resume {shlex.quote(str(folder))} --trials {2 * how.trials}"
        parts.insert(0, f"This run is done already. More trials: {more}; another search: another --seed.\n")
    return Said(said, tuple(parts))


def _record(finding: Finding, exported: Mapping[str, Any]) -> Path:
    from nas.run import Run  # noqa: PLC0415  # only here is a run opened to write a fact

    with Run.open(finding.folder, finding.run.settings) as run:
        run.store.put("exports", {**(run.store.fact("exports") or {}), str(exported["key"]): dict(exported)})
    return finding.folder


def _finished(folder: Path, how: Options) -> bool:
    try:
        finding = Finding.read(folder)
    except UserError:
        return False
    whole = finding.done(how.trials) and (not how.baseline or finding.done(how.trials, f"baseline-{how.baseline}"))
    best = finding.ranked(1)
    return whole and bool(best) and best[0].arch.key in finding.trained()


def _cost(settings: Settings, how: Options, folder: Path) -> Said:
    found = estimate(settings, how)
    rows = [
        f"the run's folder would be {folder}",
        f"{found['space_size']} architectures, {count(found['params']['low'])} to {count(found['params']['high'])} "
        f"parameters, {count(found['macs']['low'])} to {count(found['macs']['high'])} MACs (of 32 random ones)",
        f"a trial: {duration(found['seconds_a_trial'])}, {found['memory_bytes'] / 1e6:.0f} MB of memory (one probed)",
        f"in all: about {duration(found['seconds'])} with {found['workers']} workers",
    ]
    return Said({"run": str(folder), **found}, tuple(rows))
