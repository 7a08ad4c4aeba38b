"""Whether the intervals of tau and of predictions hold what they say, in searches simulated on published tables.

python benchmarks/honesty.py --tables FOLDER

The searches take turns among 27 kinds: random search, evolution and auto, told 20, 50 and 100 different rows, of
NAS-Bench-201 (CIFAR-10, validation after 12 epochs), NAS-Bench-Macro and NAS-Bench-Graph (Cora). Each is judged from
what it was told alone, by `nas.trust.judge.judged`, with the rows' costs as features and 300 random rows, untold, as
the population. The truth is the order of 2,000 random rows that it was not told, by the predictor that learnt from all
it was told. Prints Markdown: how often the interval of tau held the true tau, what part of the 2,000 values lay in
their intervals, and what the probabilities of being the best said and came to.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from nas import plugins
from nas.bench.named import named
from nas.bench.simulate import simulate
from nas.bench.table import Table
from nas.candidates import RANDOM, costs
from nas.problem import Problem, Proposal, State, Trial
from nas.ranking import kendall
from nas.roles import Prediction, Strategy
from nas.space import Architecture, Rng
from nas.trust.judge import judged

TABLES = ("nb201-cifar10", "macro", "graph-cora")
STRATEGIES = ("random", "evolution", "auto")
TOLD = (20, 50, 100)
KINDS = [(table, strategy, told) for told in TOLD for strategy in STRATEGIES for table in TABLES]
UNTOLD = 2000
SHOWN = 10


@dataclass(frozen=True)
class Search:
    """What one search came to; held: whether the interval held the true tau; covered: what part of the values."""

    table: str
    strategy: str
    told: int
    tau: float
    estimate: float
    held: bool
    above: bool
    width: float
    covered: float
    trusted: bool
    chances: tuple[float, ...]


class Until:
    """A strategy that proposes nothing more once it was told so many different architectures."""

    def __init__(self, name: str, most: int, told: dict[Architecture, float], problem: Problem) -> None:
        self._inside: Strategy = plugins.strategy(name, problem)
        self._most, self._told, self._problem = most, told, problem

    def ask(self, rng: Rng) -> Proposal | None:
        """What the strategy inside asks for."""
        return None if len(self._told) >= self._most else self._inside.ask(rng)

    def tell(self, trial: Trial) -> None:
        """The strategy inside learns, and what it was told is kept."""
        self._inside.tell(trial)
        if trial.state is State.DONE:
            self._told.setdefault(trial.arch, self._problem.value(trial.metrics)[0])


def searched(table: Table, strategy: str, told: int, predictor: str, seed: int, level: float) -> Search:
    """One search, judged, and the truth of it."""
    known: dict[Architecture, float] = {}
    problem = table.problem()
    simulate(table, partial(Until, strategy, told, known), evals=4 * told, seed=seed, problem=problem)
    archs, y = list(known), np.array(list(known.values()))
    rng = np.random.default_rng((seed, 1))
    order = [n for n in rng.permutation(len(table.archs)).tolist() if table.archs[n] not in known]
    rest = [table.archs[n] for n in order[:UNTOLD]]
    truth = table.columns[table.search][order[:UNTOLD]]
    features, its = costs(problem, archs), costs(problem, rest)
    population = (rest[:RANDOM], None if its is None else its[:RANDOM])
    how = judged(
        partial(plugins.predictor, predictor, table.space), archs, y, features,
        population=population, level=level, seed=seed,
    )  # fmt: skip
    said = how.predictor.predict(rest, its)
    tau, (low, high) = kendall(said.mean, truth), how.interval(said)
    return Search(
        table.name, strategy, told, tau, how.tau.tau,
        held=how.tau.low <= tau <= how.tau.high,
        above=tau > how.tau.high,
        width=how.tau.high - how.tau.low,
        covered=float(((low <= truth) & (truth <= high)).mean()),
        trusted=how.trusted,
        chances=best(said, truth, *how.chances(said, y), y),
    )  # fmt: skip


def best(said: Prediction, truth: np.ndarray, rest: np.ndarray, told: np.ndarray, y: np.ndarray) -> tuple[float, ...]:
    """What was said and what is so: the best is one of the told, and one of the SHOWN that are predicted best."""
    shown, kept = np.argsort(-said.mean, kind="stable")[:SHOWN], y.max() >= truth.max()
    there = bool(truth.argmax() in shown) and not kept
    return float(told.sum()), float(kept), float(rest[shown].sum()), float(there)


def row(name: str, some: Sequence[Search]) -> str:
    """A line of the table."""
    held = float(np.mean([s.held for s in some]))
    off = 1.96 * np.sqrt(held * (1 - held) / len(some))
    cells = [
        f"{np.mean([s.tau for s in some]):.2f}",
        f"{np.mean([s.estimate - s.tau for s in some]):+.2f}",
        f"{np.mean([s.width for s in some]):.2f}",
        f"{held:.3f} +- {off:.3f}",
        f"{np.mean([s.above for s in some]):.3f}",
        f"{np.mean([s.covered for s in some]):.3f} ({np.std([s.covered for s in some]):.3f})",
        f"{np.mean([s.trusted for s in some]):.2f}",
        *(f"{a:.2f}, {b:.2f}" for a, b in np.mean([s.chances for s in some], axis=0).reshape(2, 2)),
    ]
    return f"| {name} | {len(some)} | {' | '.join(cells)} |"


def main() -> None:
    """Run it."""
    say = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    say.add_argument("--tables", type=Path, required=True)
    say.add_argument("--searches", type=int, default=200)
    say.add_argument("--first", type=int, default=0, help="the first seed")
    say.add_argument("--predictor", default="gp-ranks")
    say.add_argument("--level", type=float, default=0.9)
    asked = say.parse_args()
    begun, tables = time.process_time(), {name: named(name, asked.tables) for name in TABLES}
    done = []
    for seed in range(asked.first, asked.first + asked.searches):
        table, strategy, told = KINDS[seed % len(KINDS)]
        done.append(searched(tables[table], strategy, told, asked.predictor, seed, asked.level))
    print(f"{asked.predictor}, level {asked.level:g}, seeds {asked.first} to {asked.first + asked.searches - 1}\n")
    print(
        "| | searches | true tau | estimate less it | width | interval holds it, 95 % | true tau above it | "
        "values in theirs (deviation) | trusted | best was told: said, is | best is among the 10: said, is |"
    )
    print("|---|" + "---|" * 10)
    parts: list[tuple[str, Callable[[Search], bool]]] = [("all", lambda s: True)]
    parts += [(name, lambda s, name=name: s.strategy == name) for name in STRATEGIES]  # type: ignore[misc]
    parts += [(f"{n} told", lambda s, n=n: s.told == n) for n in TOLD]  # type: ignore[misc]
    parts += [(name, lambda s, name=name: s.table == name) for name in TABLES]  # type: ignore[misc]
    for name, takes in parts:
        some = [s for s in done if takes(s)]
        if some:
            print(row(name, some))
    print(f"\n{time.process_time() - begun:.0f} CPU seconds")


if __name__ == "__main__":
    main()
