"""Short trainings first, for real: what strategies of several lengths find on Fashion-MNIST, beside random search.

python benchmarks/fidelity.py --seeds 10        every strategy at one budget of epochs; goes on where it was stopped

Cells of NAS-Bench-201 in a small network; a search may spend so many epochs as its whole trainings take. What it found
is then trained anew by other seeds than its own, and compared by what that reaches on the validation images.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from nas import plugins
from nas.budgets import length, spent
from nas.experiment import Experiment
from nas.options import Silent
from nas.problem import Problem

NAMES = ("random", "asha", "hyperband", "halving", "bohb")


@dataclass(frozen=True)
class Study:
    """What one seed's searches are."""

    seed: int = 0
    data: str = "fashion-mnist"
    images: int = 1000
    rated: int = 1000
    """Validation images that rate a network in the search; all rate what is trained anew."""
    epochs: int = 9
    whole: int = 8
    """Whole trainings that a search may spend."""
    again: int = 2
    """Trainings of what it found."""


@dataclass(frozen=True)
class Found:
    """What one search found: in the search, trained anew, and how many networks it trained at all and whole."""

    told: float
    anew: float
    networks: int
    longest: int


def found(out: Path | None, study: Study, names: Sequence[str]) -> dict[str, Found]:
    """Search by each strategy, then train what it found anew."""
    run = Experiment.open("fidelity", study, out, executor="local", workers=1, screen=Silent())
    try:
        data = run.data(study.data)
        space = run.space("nasbench201", data, cells=1, channels=8)
        problem, epochs = Problem(space), study.epochs
        evaluate = run.scratch(space, data, epochs=epochs, images=study.images, rated=study.rated)
        judge = run.scratch(space, data, epochs=epochs, images=study.images)
        made = {}
        for name in names:
            strategy = plugins.strategy(name, problem, most=epochs)
            best = run.search(
                problem, strategy=strategy, evaluate=evaluate, trials=study.whole, study=name, epochs=epochs
            )[0]
            anew = [
                run.rate(problem, [best.arch], judge, study=f"{name}-{k}", epochs=epochs, seed=1000 + k)[best.arch]
                for k in range(study.again)
            ]
            told = run.run.trials(name)
            whole = [t for t in told if length(t) >= epochs]
            assert spent(told, epochs) <= study.whole * epochs + epochs, "a search spent more than it may"
            made[name] = Found(
                best.metrics["accuracy"],
                mean(m["accuracy"] for m in anew),
                len({t.arch for t in told}),
                len({t.arch for t in whole}),
            )
        return made
    finally:
        run.close()


def interval(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{mean(values):.4f}"
    return f"{mean(values):.4f} +- {1.96 * stdev(values) / len(values) ** 0.5:.4f}"


def main() -> None:
    say = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    say.add_argument("--seeds", type=int, default=10)
    say.add_argument("--out", type=Path, default=Path("runs"), help="a folder for the runs, one a seed")
    say.add_argument("--strategies", nargs="+", default=NAMES)
    said = say.parse_args()
    every: list[dict[str, Found]] = []
    for seed in range(said.seeds):
        every.append(found(said.out / f"fidelity-{seed}", Study(seed), said.strategies))
        print(seed, {name: round(f.anew, 4) for name, f in every[-1].items()}, flush=True)
    print("\n| strategy | trained anew, +- 95 % | less random, +- 95 % | in the search | networks | whole |")
    print("|---|---|---|---|---|---|")
    for name in said.strategies:
        got = [seed[name] for seed in every]
        beside = interval([seed[name].anew - seed["random"].anew for seed in every]) if "random" in every[0] else ""
        counts = f"{mean(f.networks for f in got):.1f} | {mean(f.longest for f in got):.1f}"
        print(f"| {name} | {interval([f.anew for f in got])} | {beside} | {mean(f.told for f in got):.4f} | {counts} |")


if __name__ == "__main__":
    main()
