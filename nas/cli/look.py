"""`nas status` and `nas show`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import tyro
from rich.table import Table

from nas.cli.draw import drawn, of_run
from nas.cli.leaderboard import state, whole
from nas.cli.parse import Command
from nas.cli.speak import Said
from nas.cli.target import target
from nas.errors import nearest
from nas.files import existing
from nas.finding import Finding, options
from nas.problem import Trial
from nas.space import Json, Space
from nas.units import count


@final
@dataclass(frozen=True)
class Status(Command):
    """How far a run is.

    Example: nas status runs/mobile-fashion-mnist-1a2b3c4d
    """

    folder: tyro.conf.Positional[Path]
    """The run's folder."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        finding = Finding.read(self.folder)
        if finding.experiment:
            return self._experiment(finding)
        wanted = options(finding).get("trials", 0)
        counts, best = finding.run.counts(), finding.ranked(1)
        finished = finding.done(wanted) and bool(best) and best[0].arch.key in finding.trained()
        seconds = finding.run.store.fact("seconds")
        now = state(finding.run, finished=finished)
        made: dict[str, Json] = {
            "run": str(self.folder),
            "state": now,
            "wanted": wanted,
            "counts": counts,
            "best": None if not best else {"trial": best[0].id, "val_accuracy": best[0].metrics["accuracy"]},
            "seconds": seconds,
        }
        line = ", ".join(f"{n} {name}" for name, n in counts.items() if n) or "no trials yet"
        rows = [f"{self.folder}: {now}", f"{line} (of {wanted} wanted)"]
        if best:
            m = best[0].metrics
            rows.append(f"best so far: trial {best[0].id}, accuracy {m['accuracy']:.4f}, {count(m['params'])} params")
        rows += [f"trial {t}: epoch {seen[-1][0]}" for t, seen in self._epochs(finding).items()]
        if now == "interrupted":
            rows.append(f"go on with: nas resume {self.folder}")
        return Said(made, tuple(rows))

    def _experiment(self, finding: Finding) -> Said:
        counts = {study: finding.run.counts(study) for study in finding.studies}
        now = state(finding.run, finished=not any(c["running"] + c["lost"] for c in counts.values()))
        rows = [f"{self.folder}: {now}, the experiment {finding.experiment}"]
        rows += [f"{study}: {', '.join(f'{n} {name}' for name, n in c.items() if n)}" for study, c in counts.items()]
        return Said(
            {"run": str(self.folder), "state": now, "experiment": finding.experiment, "counts": counts}, tuple(rows)
        )

    def _epochs(self, finding: Finding) -> dict[int, Any]:
        running = {t.id for t in finding.run.trials() if t.state == "running"}
        return {t: seen for t, seen in finding.run.store.epochs("search").items() if t in running}


@final
@dataclass(frozen=True)
class Show(Command):
    """Every trial of a run: what was tried, what it came to, why it failed; or a network, drawn.

    Example: nas show runs/mobile-fashion-mnist-1a2b3c4d --csv trials.csv

    Example: nas show nasnet-a-mobile --svg nasnet.svg
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TARGET")]
    """A run's folder; or a network as `nas profile` takes it: a published name, a file, JSON, a space."""
    study: str = "search"
    """search, or baseline-random; of an experiment as `nas status` names them."""
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write a row a trial into this file."""
    svg: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Draw the network into this file: of a run the best one, or that of --trial. Default for a network: NAME.svg."""
    trial: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """The trial whose network is drawn."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        folder = existing(self.target)
        if folder is None or not folder.is_dir():
            return drawn(target(self.target, settings={}), self.svg)
        finding = Finding.read(folder)
        if self.svg or self.trial is not None:
            return drawn(of_run(finding, self.trial), self.svg)
        if self.study not in finding.studies and (finding.studies or finding.experiment):
            raise nearest(self.study, finding.studies, what=f"study of {folder}")
        trials = finding.run.trials(self.study)
        if self.csv:
            finding.frame(self.study).to_csv(self.csv, index=False)
        finished = finding.done(options(finding).get("trials", 0)) and bool(finding.trained())
        rows = [_trial(t) for t in trials]
        made = {"run": str(folder), "state": state(finding.run, finished=finished), "trials": rows}
        spelt = None if finding.experiment else finding.settings.made_space
        parts: list[Any] = [_table(spelt, trials)]
        if self.csv:
            parts.append(f"{len(trials)} rows written to {self.csv}")
        return Said(made, tuple(parts))


def _trial(t: Trial) -> dict[str, Json]:
    metrics = {name: whole(value) for name, value in t.metrics.items()}
    made = {"id": t.id, "state": str(t.state), "reason": t.reason, "key": t.arch.key, "arch": dict(t.arch.labels)}
    return {**made, "budget": t.proposal.budget, "metrics": metrics, "seconds": round(t.seconds, 3)}


def _table(space: Space | None, trials: list[Trial]) -> Table:
    made = Table(box=None, pad_edge=False)
    for name in ("trial", "state", "accuracy", "params", "MACs", "seconds"):
        made.add_column(name, justify="right")
    made.add_column("architecture, or what happened", overflow="fold")
    for t in trials:
        m = t.metrics
        accuracy = f"{m['accuracy']:.4f}" if "accuracy" in m else ""
        costs = (count(m["params"]), count(m["macs"])) if "params" in m else ("", "")
        last = t.error.strip().splitlines()[-1] if t.error.strip() else ""
        named = space.spell(t.arch) if space and space.spelling else t.arch.key
        what = ": ".join(x for x in (t.reason, last) if x) or named
        made.add_row(str(t.id), str(t.state), accuracy, *costs, f"{t.seconds:.0f}" if t.seconds else "", what)
    return made
