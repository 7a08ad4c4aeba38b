"""What strategies find on published tables, and what an ask costs.

python benchmarks/strategies.py find --tables FOLDER every table, every strategy: mean, interval, the baseline
python benchmarks/strategies.py reach --tables FOLDER          evaluations until the regret of random search after 1,000
python benchmarks/strategies.py screen --tables FOLDER         evolution screened by a predictor, and plain
python benchmarks/strategies.py front --tables FOLDER           two objectives: hypervolume at equal budgets
python benchmarks/strategies.py cost                            microseconds of an ask and its tell, Optuna beside

Strategies without a model get 500 seeds (`--seeds`), those with one a tenth of them. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np

from nas import plugins
from nas.bench.compare import Budget, Result, compare
from nas.bench.named import named
from nas.bench.simulate import simulate
from nas.bench.table import Table
from nas.objectives import hypervolume
from nas.problem import Constraint, Objective, State, Trial

LEARN = (
    "auto",
    "bananas",
    "gp",
    "tpe",
    "cmaes",
    "qmc",
    "optuna-nsga2",
    "reinforce",
    "ppo",
    "agents",
    "screened",
    "bohb",
)
"""Strategies with a model, which get a tenth of the seeds."""
FEW = 300
"""Evaluations of one of these where the question is when it gets somewhere."""
ONE = [name for name in plugins.strategies() if name not in ("program", "nsga2")]
"""Those for one objective on any table."""


@dataclass(frozen=True)
class Setting:
    """A table, what one search may spend on it, and limits on its columns."""

    table: str
    budget: Budget
    limits: tuple[Constraint, ...] = ()


SETTINGS = (
    Setting("nb201-cifar10", Budget(seconds=20_000)),
    Setting("nb201-cifar100", Budget(seconds=40_000)),
    Setting("macro", Budget(200)),
    Setting("graph-cora", Budget(500)),
    Setting("graph-citeseer", Budget(500)),
    Setting("graph-photo", Budget(500)),
    Setting("graph-arxiv", Budget(500)),
    Setting("graph-proteins", Budget(200)),
    Setting("accel-nasbench", Budget(200), (Constraint("latency_zcu102_ms", 4.0),)),
    Setting("ofa", Budget(200)),
)


def counted(name: str, seeds: int) -> int:
    return max(2, seeds // 10) if name in LEARN else seeds


def named_for(table: Table, names: Sequence[str]) -> list[str]:
    """Those that a table can rate: some train for several lengths, and most tables know one."""
    return [name for name in names if table.fidelities or not plugins.lengths(name)]


def found(setting: Setting, folder: Path | None, names: Sequence[str], seeds: int) -> tuple[Table, list[Result]]:
    table = named(setting.table, folder)
    results = []
    for name in named_for(table, names):
        limits = table.problem(setting.limits)
        results += compare(table, [name], setting.budget, seeds=counted(name, seeds), problem=limits)
    return table, results


def interval(values: Sequence[float]) -> float:
    """Half of the normal interval of 95 % of a mean."""
    return 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5


def find(folder: Path | None, names: Sequence[str], seeds: int, only: Sequence[str]) -> None:
    for setting in SETTINGS:
        if only and setting.table not in only:
            continue
        began = time.monotonic()
        table, results = found(setting, folder, names, seeds)
        limits = "".join(f", {c.metric} at most {c.at_most:g}" for c in setting.limits)
        print(f"\n{table.name}, {setting.budget} a search{limits}; best possible {table.best:.4g}")
        print("\n| strategy | seeds | mean +- 95 % | sd | evaluations | asks/s |\n|---|---|---|---|---|---|")
        for one in sorted(results, key=lambda r: -mean(r.report) if r.report else 0.0):
            if not one.report:
                print(f"| {one.strategy} | | {one.ended} | | | |")
                continue
            d = 4 if table.best <= 1 else 3
            told = f"{mean(one.report):.{d}f} +- {interval(one.report):.{d}f} | {np.std(one.report, ddof=1):.{d}f}"
            print(f"| {one.strategy} | {len(one.courses)} | {told} | {one.evals:.0f} | {one.rate:,.0f} |")
        for p in table.published:
            print(f"| published: {p.method} | {p.runs or ''} | {p.mean:.4g} | {p.std:.2g} | | |")
        print(f"\n{time.monotonic() - began:.0f} s", flush=True)


def reach(folder: Path | None, names: Sequence[str], seeds: int, only: Sequence[str]) -> None:
    """Evaluations that a strategy needs, on average over seeds, until its mean regret is that of random after 1,000."""
    most = 1000
    for setting in SETTINGS:
        if only and setting.table not in only:
            continue
        table = named(setting.table, folder)
        problem = table.problem(setting.limits)
        bar = next(iter(compare(table, ["random"], Budget(most), seeds=seeds, problem=problem))).regret(table, [most])[
            0
        ][1]
        print(
            f"\n{table.name}: regret of random search after {most}: {bar:.4g}\n\n| strategy | evaluations |\n|---|---|"
        )
        for name in named_for(table, names):
            long = FEW if name in LEARN else most
            (one,) = compare(table, [name], Budget(long), seeds=counted(name, seeds), problem=problem)
            curve = one.regret(table, range(1, long + 1))
            needed = next((n for n, regret, _, _ in curve if regret <= bar), None)
            print(f"| {name} ({len(one.courses)}) | {needed or f'more than {long}'} |", flush=True)


def screen(folder: Path | None, seeds: int, only: Sequence[str]) -> None:
    """The best so far by the report column after 50, 100 and 200 evaluations, evolution plain and screened."""
    print("\n| table | seeds | strategy | 50 | 100 | 200 |\n|---|---|---|---|---|---|")
    for setting in SETTINGS:
        if only and setting.table not in only:
            continue
        table = named(setting.table, folder)
        for name in ("random", "evolution", "screened"):
            make, problem = partial(plugins.strategy, name), table.problem(setting.limits)
            courses = [simulate(table, make, evals=200, seed=seed, problem=problem) for seed in range(seeds)]
            told = []
            for at in (50, 100, 200):
                values = [course.report[at - 1] for course in courses if len(course.report) >= at]
                told.append(f"{mean(values):.4g} +- {interval(values):.2g}" if len(values) > 1 else "")
            print(f"| {table.name} | {len(courses)} | {name} | {' | '.join(told)} |", flush=True)


def front(folder: Path | None, seeds: int, budget: int) -> None:
    """Accuracy and latency at once: the area that the told rows dominate, over that of the whole table's front."""
    table = named("accel-nasbench", folder)
    latency = "latency_zcu102_ms"
    problem = table.problem((), (Objective(latency, "min"),))
    points = np.array([[a, -b] for a, b in zip(table.columns[table.search], table.columns[latency], strict=True)])
    reference = points.min(0)
    whole = hypervolume(points, reference)
    print(f"\n{table.name}: {table.search} and {latency}, {budget} evaluations, {seeds} seeds\n")
    print("| strategy | hypervolume, share of the whole table's, +- 95 % |\n|---|---|")
    for name in ("random", "nsga2", "evolution", "local"):
        shares = []
        for seed in range(seeds):
            course = simulate(table, partial(plugins.strategy, name), evals=budget, seed=seed, problem=problem)
            shares.append(hypervolume(points[course.rows], reference) / whole)
        print(f"| {name} | {mean(shares):.4f} +- {interval(shares):.4f} |", flush=True)


SIZES = (10, 100, 1_000, 10_000)


def cost(names: Sequence[str], seconds: float) -> None:
    """Microseconds of an ask with its tell after so many told trials, and of Optuna's."""
    table = named("macro")
    problem = table.problem()
    rng = np.random.default_rng(0)
    archs = [problem.sample(rng) for _ in range(max(SIZES))]
    print("\n| strategy | " + " | ".join(f"after {n:,}" for n in SIZES) + " |\n|---|" + "---|" * len(SIZES))
    for name in names:
        print(f"| {name} | " + " | ".join(_costs(name, problem, table, archs, seconds)) + " |", flush=True)
    for kind in ("random", "TPE"):
        print(f"| Optuna's own, {kind} | " + " | ".join(_optuna(kind, seconds)) + " |", flush=True)


def _costs(name, problem, table, archs, seconds):  # type: ignore[no-untyped-def]  # a row of a printed table
    strategy, number, began, told = plugins.strategy(name, problem), 0, time.monotonic(), []
    for size in SIZES:
        spent = []
        while number < size + 20 and time.monotonic() - began < seconds:
            number += 1
            at = time.perf_counter()
            proposal = strategy.ask(np.random.default_rng((0, number)))
            asked = time.perf_counter() - at
            if proposal is None:
                break
            row = table.row[proposal.arch]
            trial = Trial(number, proposal, State.DONE, table.told(row))
            at = time.perf_counter()
            strategy.tell(trial)
            if number > size:
                spent.append(asked + time.perf_counter() - at)
        told.append(f"{1e6 * float(np.median(spent)):,.0f}" if len(spent) >= 5 else "")
    return told


def _optuna(kind, seconds):  # type: ignore[no-untyped-def]  # a row of a printed table
    import optuna  # noqa: PLC0415  # beside

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(0) if kind == "random" else optuna.samplers.TPESampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    began, number, told, rng = time.monotonic(), 0, [], np.random.default_rng(0)
    for size in SIZES:
        spent = []
        while number < size + 20 and time.monotonic() - began < seconds:
            number += 1
            at = time.perf_counter()
            trial = study.ask()
            for k in range(8):
                trial.suggest_categorical(f"layer{k}", (0, 1, 2))
            study.tell(trial, float(rng.random()))
            if number > size:
                spent.append(time.perf_counter() - at)
        told.append(f"{1e6 * float(np.median(spent)):,.0f}" if len(spent) >= 5 else "")
    return told


def main() -> None:
    say = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    say.add_argument("part", choices=("find", "reach", "screen", "front", "cost"))
    say.add_argument("--tables", type=Path, default=None)
    say.add_argument("--only", nargs="+", default=[], help="tables")
    say.add_argument("--strategies", nargs="+", default=ONE)
    say.add_argument("--seeds", type=int, default=500)
    say.add_argument("--budget", type=int, default=200)
    say.add_argument("--seconds", type=float, default=60.0, help="of a strategy, for cost")
    said = say.parse_args()
    if said.part == "find":
        find(said.tables, said.strategies, said.seeds, said.only)
    elif said.part == "reach":
        reach(said.tables, said.strategies, said.seeds, said.only)
    elif said.part == "screen":
        screen(said.tables, said.seeds, said.only)
    elif said.part == "front":
        front(said.tables, said.seeds, said.budget)
    else:
        cost(said.strategies, said.seconds)


if __name__ == "__main__":
    main()
