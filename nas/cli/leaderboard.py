"""What a search found, for people and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from nas.best import best_of
from nas.finding import CHECK, FIRST, Finding
from nas.oneshot import told
from nas.options import Options
from nas.problem import Problem, Trial
from nas.run import Run
from nas.space import Json
from nas.units import count, duration

SHOWN = 8


def summary(finding: Finding, how: Options) -> dict[str, Json]:
    """The JSON object of `nas search`."""
    settings, best = finding.settings, finding.ranked(1)[0]
    states = finding.run.counts()
    final = finding.trained().get(best.arch.key, {})
    made: dict[str, Json] = {
        "run": str(finding.folder),
        "state": "done" if final else "interrupted",
        "space": settings.space,
        "data": settings.data,
        "strategy": settings.strategy,
        "seed": settings.seed,
        "seconds": round(finding.run.store.fact("seconds") or 0.0, 1),
        "trials": {name: states[name] for name in ("done", "failed", "infeasible", "repeat")},
        "best": row(best),
        "chosen": weighed(finding),
        "first": (finding.run.store.fact(FIRST) or {}).get("said") or None,
        "final": {name: whole(final[name]) for name in ("test_accuracy", "params", "macs") if name in final},
        "baseline": baseline(finding, how),
        "supernet": settings.supernet,
        "check": finding.run.store.fact(CHECK),
        "export": None,
    }
    exported = (finding.run.store.fact("exports") or {}).get(best.arch.key)
    if exported:
        made["export"] = {"to": exported["to"], "model": exported["files"]["model"]}
    return made


def weighed(finding: Finding) -> Json:
    """Which trial was rated highest, where the strategy takes another for the best; else None."""
    best, highest = finding.ranked(1)[0], best_of(finding.settings.problem, finding.run.trials())[0]
    return None if best.id == highest.id else {"trial": best.id, "highest": row(highest)}


def row(trial: Trial) -> dict[str, Json]:
    """A trial as the JSON of a search names its best."""
    return {
        "trial": trial.id,
        "key": trial.arch.key,
        "arch": dict(trial.arch.labels),
        "val_accuracy": trial.metrics["accuracy"],
        "params": whole(trial.metrics["params"]),
        "macs": whole(trial.metrics["macs"]),
    }


def whole(value: Any) -> Json:
    """A count as an integer, anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) >= 2 else value


def baseline(finding: Finding, how: Options) -> Json:
    """The best of the search beside, or None."""
    if not how.baseline:
        return None
    best = finding.ranked(1, f"baseline-{how.baseline}")
    return {"strategy": how.baseline, "val_accuracy": best[0].metrics["accuracy"] if best else None}


def leaderboard(finding: Finding, how: Options, said: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The best trials, the test accuracy, the baseline, and where everything is."""
    yield table(
        finding.settings.problem,
        finding.ranked(SHOWN),
        f"the best of {said['trials']['done']} {'rated' if said['supernet'] else 'trained'} networks",
    )
    best, final = said["best"], said["final"]
    if said["first"]:
        yield f"tried first: {said['first']}"
    if said["chosen"]:
        high = said["chosen"]["highest"]
        yield (
            f"trial {high['trial']} was rated highest, {high['val_accuracy']:.4f}; by what all trials tell together "
            f"{said['strategy']} takes trial {best['trial']} for better, as one rating may be luck"
        )
    yield (
        f"best network: trial {best['trial']}, {count(best['params'])} parameters, {count(best['macs'])} MACs; "
        f"test accuracy {final['test_accuracy']:.4f} after training on train and validation images together"
    )
    if said["baseline"] and said["baseline"]["val_accuracy"] is not None:
        beside = said["baseline"]["val_accuracy"]
        yield (
            f"validation accuracy {best['val_accuracy']:.4f}; "
            f"best of {how.baseline} search at the same budget {beside:.4f}"
        )
    if said["check"]:
        yield told(said["check"])
    yield f"run: {said['run']} ({duration(said['seconds'])} in all)"
    if said["export"]:
        yield f"model: {said['export']['model']} (needs only torch)"
    where = shlex.quote(said["run"])
    yield f"next: nas show {where}, nas rank {where}, nas resume {where} --trials {2 * how.trials}"


def table(problem: Problem, trials: list[Trial], title: str) -> Table:
    """Trials as a table, in the order given."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False)
    short = any(t.proposal.budget for t in trials)  # of several lengths, the longest stand first
    for name in ("rank", "trial", *(("epochs",) if short else ()), "accuracy", "params", "MACs", "seconds"):
        made.add_column(name, justify="right")
    made.add_column("architecture", overflow="fold")
    for rank, t in enumerate(trials, 1):
        m = t.metrics
        arch = problem.space.spell(t.arch) if problem.space.spelling else t.arch.key
        cells = (f"{m['accuracy']:.4f}", count(m["params"]), count(m["macs"]), f"{t.seconds:.0f}")
        epochs = (str(t.proposal.budget or "all"),) if short else ()
        made.add_row(str(rank), str(t.id), *epochs, *cells, arch)
    return made


def state(run: Run, *, finished: bool) -> str:
    """The state of a run: running, done or interrupted."""
    if run.driven:
        return "running"
    return "done" if finished else "interrupted"
