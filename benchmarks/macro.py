"""A supernet of NAS-Bench-Macro by uniform sampling, and how it ranks the published accuracies of all 6,561 networks.

python benchmarks/macro.py TABLE --data cifar10 --epochs 60 --rated 1000

TABLE: a Parquet file with the columns arch (eight digits) and test_acc_mean (per cent, CIFAR-10). Without training,
counting MACs has a tau of 0.556 there. Meant for a GPU; `--width 8 --epochs 2 --rated 20` tries it on a CPU.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nas.experiment import Experiment
from nas.options import Silent
from nas.problem import Problem
from nas.ranking import trust
from nas.training import Recipe
from nas.training.rules import RULES
from nas.training.sharing import ByRule


@dataclass(frozen=True)
class Macro:
    """What makes two such runs the same."""

    data: str
    rule: str
    width: int
    epochs: int
    images: int
    seed: int


def main() -> None:
    say = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    say.add_argument("table", type=Path)
    say.add_argument("--data", default="cifar10")
    say.add_argument("--rule", default="uniform", choices=sorted(RULES))
    say.add_argument("--width", type=int, default=32, help="channels of the stem: 32 in the benchmark")
    say.add_argument("--epochs", type=int, default=60)
    say.add_argument("--images", type=int, default=0)
    say.add_argument("--rated", type=int, default=1000, help="networks of the table that are rated; 0 for all")
    say.add_argument("--seed", type=int, default=0)
    say.add_argument("--workers", type=int, default=0)
    say.add_argument("--out", type=Path, default=None)
    said = say.parse_args()
    frame = pd.read_parquet(said.table, columns=["arch", "test_acc_mean"])
    if 0 < said.rated < len(frame):
        frame = frame.sample(said.rated, random_state=said.seed)
    config = Macro(said.data, said.rule, said.width, said.epochs, said.images, said.seed)
    run = Experiment.open("macro", config, said.out, executor="local", workers=said.workers, screen=Silent())
    try:
        data = run.data(said.data)
        space = run.space("nasbench_macro", data, channels=said.width, head=40 * said.width)
        problem = Problem(space)
        recipe = Recipe(epochs=said.epochs, ema=0.0)
        method = ByRule(RULES[said.rule], {"affine": False})
        folder = run.shared(problem, data, method, recipe=recipe, images=said.images)
        truth = {space.parse(str(a)): float(m) for a, m in zip(frame["arch"], frame["test_acc_mean"], strict=True)}
        rate = run.inherited(space, data, folder, images=2000)
        rated = run.rate(problem, list(truth), rate, study="ratings")
        archs = [a for a in truth if a in rated]
        counts = {m: [problem.screen(a).metrics[m] for a in archs] for m in ("macs", "params")}
        found = trust([rated[a]["accuracy"] for a in archs], [truth[a] for a in archs], counts, resamples=500)
        order = np.argsort([-rated[a]["accuracy"] for a in archs])
        best = max(truth[archs[k]] for k in order[:10])
        print(f"tau {found.score} over {len(archs)} networks; {found.verdict} ({found.beside[found.best]})")
        print(
            f"best of the ten rated highest: {best:.2f}; of all: {max(truth.values()):.2f}; trained in {run.timed()} s"
        )
    finally:
        run.close()


if __name__ == "__main__":
    main()
