"""`nas rank`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import tyro
from rich.table import Table

from nas import plugins
from nas.cli.leaderboard import whole
from nas.cli.parse import Command
from nas.cli.speak import Said
from nas.errors import INFEASIBLE, UserError
from nas.finding import Finding
from nas.problem import State
from nas.units import count

FEWEST = 3
"""Trained networks that a predictor needs."""


@final
@dataclass(frozen=True)
class Rank(Command):
    """Rank networks that were not trained, by a predictor fitted on those that were.

    Example: nas rank runs/mobile-fashion-mnist-1a2b3c4d --top 5
    """

    folder: tyro.conf.Positional[Path]
    """The run's folder."""
    predictor: str = "forest"
    """forest: a tree ensemble on the one-hot code of the choices."""
    top: int = 10
    """How many are shown."""
    sample: int = 10_000
    """How many random architectures are ranked."""
    seed: int = 0
    """Of the random architectures."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        for name, value in (("top", self.top), ("sample", self.sample)):
            if value < 1:
                raise UserError(f"--{name} must be at least 1, got {value}")
        finding = Finding.read(self.folder)
        problem = finding.settings.problem
        done = [t for t in finding.run.trials() if t.state is State.DONE]
        if len(done) < FEWEST:
            what = f"the run {self.folder} has {len(done)} done trials, a predictor needs {FEWEST}"
            raise UserError(what, fix=f"nas resume {self.folder} --trials 20", code=INFEASIBLE)
        model = plugins.predictor(self.predictor)
        y = np.array([t.metrics["accuracy"] for t in done])
        fitted = model.fit([t.arch for t in done], y)
        rng, known = np.random.default_rng(self.seed), {t.arch.key for t in done}
        drawn = {a.key: a for a in (problem.space.sample(rng) for _ in range(self.sample)) if a.key not in known}
        archs = list(drawn.values())
        if not archs:
            raise UserError(f"every one of {self.sample} random architectures was trained already", code=INFEASIBLE)
        predicted = fitted.predict(archs)
        rows = []
        for k in np.argsort(-predicted.mean, kind="stable"):
            seen = problem.screen(archs[k])
            if not seen.broken:
                rows.append((archs[k], float(predicted.mean[k]), float(predicted.std[k]), seen.metrics))
            if len(rows) == self.top:
                break
        table = Table(box=None, pad_edge=False)
        for name in ("rank", "predicted", "std", "params", "MACs", "architecture"):
            table.add_column(name, justify="right" if name != "architecture" else "left", overflow="fold")
        listed = []
        for n, (arch, mean, std, costs) in enumerate(rows, 1):
            spelled = problem.space.spell(arch) if problem.space.spelling else arch.key
            table.add_row(str(n), f"{mean:.4f}", f"{std:.4f}", count(costs["params"]), count(costs["macs"]), spelled)
            named = {"rank": n, "key": arch.key, "arch": dict(arch.labels), "mean": mean, "std": std}
            listed.append({**named, "params": whole(costs["params"]), "macs": whole(costs["macs"])})
        trained = {"run": str(self.folder), "predictor": self.predictor, "trained_on": len(done), "ranked": len(archs)}
        line = (
            f"{len(archs)} architectures ranked by a {self.predictor} of {len(done)} trained; their best {y.max():.4f}"
        )
        return Said({**trained, "rows": listed}, (table, line))
