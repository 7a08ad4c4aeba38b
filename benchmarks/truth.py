"""Do supernets rank truly? Networks of a small space trained alone, and how each path rule's supernet ranks them.

python benchmarks/truth.py alone        trains the networks alone and writes benchmarks/truth.csv
python benchmarks/truth.py supernets    trains the supernets and prints Kendall's tau of each, beside counting
python benchmarks/truth.py compare      which rule ranks better than which, by the mean of its supernets' ratings

The first two go on where they were stopped: `--out` names the folder. Fashion-MNIST, 12,000 training images; every
supernet sees equally many images in its passes.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

import nas
from nas.data import Data
from nas.experiment import Experiment
from nas.oneshot import some
from nas.options import Silent
from nas.problem import Problem
from nas.ranking import kendall, trust
from nas.run import Run
from nas.space import Architecture, Space
from nas.training import Recipe
from nas.training.rules import RULES
from nas.training.sharing import ByRule
from nas.tree import Chain, Choice
from search_spaces.ops import Classifier, ConvNormAct, MBConv

TABLE = Path(__file__).with_name("truth.csv")
IMAGES, NETWORKS, EPOCHS, PASSES = 12_000, 64, 6, 12
"""Of training; networks trained alone, and for how many epochs; epochs of a supernet with one pass a step."""
RULES_SEEDS = {"uniform": 3, "fair": 3, "sandwich": 3, "delayed": 3, "sorted": 3, "progressive": 1, "multi": 1}
COST = {"uniform": 1.0, "fair": 3.0, "sandwich": 4.0, "delayed": 2.5, "sorted": 2.0, "progressive": 2.5, "multi": 1.0}
"""Passes a step takes on average, so that all supernets are given as many."""


@dataclass(frozen=True)
class Study:
    """What makes two studies the same."""

    part: str
    data: str = "fashion-mnist"
    images: int = IMAGES
    networks: int = NETWORKS
    epochs: int = EPOCHS
    passes: int = PASSES
    seed: int = 0


@nas.recorded
def small(
    input: tuple[int, int, int] = (1, 28, 28), classes: int = 10, widths: tuple[int, ...] = (16, 32, 64)
) -> Space:
    """Three stages of inverted residuals: width and depth of each, kernel and expansion of each block."""
    body: dict[str, Any] = {"stem": ConvNormAct(widths[0], 3, 2)}
    names = ("block1", "block2", "block3")
    for s, width in enumerate(widths, 1):
        channels = Choice(f"stage{s}.width", (width // 2, width))
        blocks = tuple(
            MBConv(
                channels,
                Choice(f"stage{s}.{name}.kernel", (1, 3, 5)),
                Choice(f"stage{s}.{name}.expand", (1, 2, 4)),
                2 if s > 1 and name == "block1" else 1,
            )
            for name in names
        )
        body[f"stage{s}"] = Chain(names, blocks, Choice(f"stage{s}.depth", (1, 2, 3)))
    return Space("small", Chain.of(**body, classifier=Classifier(classes)), tuple(input))


@contextmanager
def opened(study: Study, out: Path | None) -> Iterator[tuple[Experiment, Problem, Data]]:
    run = Experiment.open(f"truth-{study.part}", study, out, executor="local", workers=0, screen=Silent())
    try:
        data = run.data(study.data)
        yield run, Problem(small(data.info.input, data.info.classes)), data
    finally:
        run.close()


def alone(out: Path | None, repeats: int, networks: int) -> None:
    """Train the networks alone, `repeats` times each with other seeds, and write the table."""
    with opened(Study("alone", networks=networks), out) as (run, problem, data):
        archs = some(problem, networks, np.random.default_rng(run.seed))
        evaluate = run.scratch(problem.space, data, epochs=EPOCHS, images=IMAGES)
        found = [
            run.rate(problem, archs, evaluate, study=f"alone-{k}", epochs=EPOCHS, seed=run.seed + k)
            for k in range(repeats)
        ]
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file)
        write.writerow(["architecture", "macs", "params", *(f"accuracy{k}" for k in range(repeats))])
        for arch in archs:
            costs = problem.screen(arch).metrics
            reached = [rated[arch]["accuracy"] for rated in found]
            write.writerow([json.dumps(dict(arch.labels)), int(costs["macs"]), int(costs["params"]), *reached])
    print(f"{len(archs)} networks, {repeats} trainings each: {TABLE}")


def table(space: Space) -> tuple[list[Architecture], list[list[float]]]:
    """The architectures, and the accuracies of each."""
    with TABLE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    archs = [space.read(json.loads(row["architecture"])) for row in rows]
    return archs, [[float(v) for k, v in row.items() if k.startswith("accuracy")] for row in rows]


def supernets(out: Path | None, names: list[str]) -> None:
    """Train each rule's supernets, rate the networks of the table by what they inherit, and print tau."""
    with opened(Study("supernets"), out) as (run, problem, data):
        archs, reached = table(problem.space)
        truth = [mean(r) for r in reached]
        counts = {m: [problem.screen(a).metrics[m] for a in archs] for m in ("macs", "params")}
        if len(reached[0]) > 1:
            print(f"one training against the other: tau {kendall(*list(zip(*reached, strict=True))[:2]):.3f}")
        for name in names:
            taus = []
            for seed in range(RULES_SEEDS[name]):
                study = f"{name}-{seed}"
                recipe = Recipe(epochs=max(1, round(PASSES / COST[name])), ema=0.0)
                folder = run.shared(
                    problem, data, ByRule(RULES[name], {}), recipe=recipe, images=IMAGES, study=study, seed=seed
                )
                rate = run.inherited(problem.space, data, folder, images=2000, calibration=1024)
                rated = run.rate(problem, archs, rate, study=f"{study}-ratings")
                found = trust([rated[a]["accuracy"] for a in archs], truth, counts)
                taus.append(found.score.tau)
                beside = ", ".join(f"{m} {t}" for m, t in found.beside.items())
                print(
                    f"{study}: tau {found.score} (counting: {beside}); {found.verdict}; {run.timed(study)} s",
                    flush=True,
                )
            spread = f" +- {stdev(taus):.3f}" if len(taus) > 1 else ""
            print(f"{name}: mean tau {mean(taus):.3f}{spread} over {len(taus)} supernets", flush=True)


CLAIMS = (("delayed", "sandwich"), ("fair", "uniform"), ("sandwich", "uniform"), ("uniform", "sorted"))
"""Which rule is said to rank better than which, or to be better trained."""


def compare(folders: list[Path]) -> None:
    """Tau of the mean rating of each rule's supernets, and the differences with their intervals."""
    archs, reached = table(small())
    truth, found = [mean(r) for r in reached], dict[str, list[list[float]]]()
    for folder in folders:
        run = Run.read(folder)
        for study in run.store.studies():
            if study.endswith("-ratings"):
                rated = {t.arch: t.metrics["accuracy"] for t in run.trials(study) if "accuracy" in t.metrics}
                found.setdefault(study.split("-")[0], []).append([rated[a] for a in archs])
        run.close()
    means = {name: [mean(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    for name, ratings in means.items():
        best = truth[max(range(len(archs)), key=ratings.__getitem__)]
        rank = sum(t > best for t in truth) + 1
        print(
            f"{name} ({len(found[name])}): tau {trust(ratings, truth, {}).score}; rated best: {best:.4f}, rank {rank}"
        )
    for a, b in CLAIMS:
        if a in means and b in means:
            print(f"{a} less {b}: {trust(means[a], truth, {b: means[b]}).ahead}")


def main() -> None:
    say = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    say.add_argument("part", choices=("alone", "supernets", "compare"))
    say.add_argument("--out", type=Path, nargs="+", default=[None], help="one folder; several to compare")
    say.add_argument("--repeats", type=int, default=1)
    say.add_argument("--networks", type=int, default=NETWORKS)
    say.add_argument("--rules", nargs="+", default=list(RULES_SEEDS))
    said = say.parse_args()
    if said.part == "alone":
        alone(said.out[0], said.repeats, said.networks)
    elif said.part == "supernets":
        supernets(said.out[0], said.rules)
    else:
        compare(said.out)


if __name__ == "__main__":
    main()
