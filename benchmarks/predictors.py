"""How predictors order networks that they have not seen, by how many they have learnt from.

python benchmarks/predictors.py --tables FOLDER [--only nb201-cifar10 ...] [--predictors auto ...] [--seeds 20]
python benchmarks/predictors.py --tables FOLDER --only nb201-cifar100 --known nb201-cifar10 --predictors auto

Kendall's tau on 1,000 held-out rows (mean, and its normal 95 % interval over seeds), with the seconds of a fit and of
the predictions. "+ proxies" hands the 13 published zero-cost scores over as features, "+ costs" what a table knows
beforehand. `--seeds` seeds on nb201-cifar10, a quarter of them elsewhere; the networks learnt from are random. The
graph network and the pairwise one learn from 50 and 200 alone. `--workers` processes share the seeds. `--known`:
the same after a predictor of the same kind has learnt from 200 networks of another table (`Transferred`), and what that
one says by itself ("known alone").
Prints Markdown.
"""

from __future__ import annotations

import argparse
import ast
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from nas import plugins
from nas.bench.named import named
from nas.ranking import kendall
from nas.roles import Array, Predictor
from nas.space import Architecture, Space

SIZES = (10, 20, 50, 100, 200, 400)
SLOW = {"graph": (50, 200), "pairwise": (50, 200)}
HELD, TAUGHT = 1000, 200
PREDICTORS = ("auto", "gp-ways", "gp-ranks", "trees", "boosted", "forest", "ridge", "graph", "pairwise")
TASKS = ("class_scene", "class_object", "room_layout", "segmentsemantic")
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
"""Of TransNAS-Bench-101's cells, by their number in the published scores; edges stand by the node that they end at."""


@dataclass(frozen=True, eq=False)
class Rated:
    """Architectures of a space, what each reached, and what is known of them beforehand, (n, f)."""

    space: Space
    archs: Sequence[Architecture]
    y: Array
    features: Array | None
    what: str = ""


def cells(folder: Path, column: str) -> Rated:
    """NAS-Bench-201: the 9,445 cells that have proxies."""
    table = named("nb201-cifar10", folder)
    accuracy = pd.read_parquet(folder / "nb201/accuracy.parquet")
    scores = pd.read_parquet(folder / "nb201/zero_cost_c10.parquet")
    proxies = [name for name in scores if name not in ("arch", "index") and "test" not in name]
    joined = scores.merge(accuracy[["arch", column]], on="arch")
    archs = [table.space.parse(text) for text in joined["arch"]]
    return Rated(table.space, archs, joined[column].to_numpy(float), joined[proxies].to_numpy(float), "proxies")


def tabled(name: str, folder: Path | None) -> Rated:
    """A named table, its report column, and the costs that it holds."""
    table = named(name, folder)
    y = table.columns[table.report]
    there = np.flatnonzero(np.isfinite(y))
    costs = [table.columns[cost][there] for cost in table.costs]
    features = np.stack(costs, 1) if costs else None
    return Rated(table.space, [table.archs[k] for k in there], y[there], features, "costs")


def sampled(folder: Path) -> Rated:
    """1,000 random cells of NAS-Bench-101, validation after 108 epochs."""
    space = plugins.space("nasbench101")
    found = pd.read_parquet(folder / "nb101/sample_1000.parquet")
    archs = []
    for adjacency, ops in zip(found["adjacency"], found["ops"], strict=True):
        matrix = ",".join("".join(map(str, row)) for row in ast.literal_eval(adjacency))
        archs.append(space.parse(f"{matrix} {','.join(ops.split(',')[1:-1])}"))
    return Rated(space, archs, found["val_acc_108ep"].to_numpy(float), found[["params"]].to_numpy(float), "costs")


def tasks(folder: Path, task: str) -> Rated:
    """Cells of TransNAS-Bench-101 with their proxies; of class_scene the larger, later file."""
    whole = pd.read_parquet(folder / "zero_cost_suite/tnb101_micro.parquet")
    rows = whole[whole["task"] == task]
    if task == "class_scene":
        rows = pd.read_parquet(folder / "zero_cost_suite/tnb101_micro_class_scene_2128.parquet")
    skip = ("task", "arch", "val_metric")
    proxies = [name for name in rows if name not in skip and not name.endswith("_time_s")]
    space = plugins.space("nasbench201")
    archs = []
    for text in rows["arch"]:
        a, b, c, d, e, f = (OPERATIONS[k] for k in ast.literal_eval(text))
        archs.append(space.parse(f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"))
    return Rated(space, archs, rows["val_metric"].to_numpy(float), rows[proxies].to_numpy(float), "proxies")


TABLES: dict[str, Callable[[Path], Rated]] = {
    "nb201-cifar10": lambda folder: cells(folder, "c10_test_200ep"),
    "nb201-cifar100": lambda folder: cells(folder, "c100_test_200ep"),
    "macro": lambda folder: tabled("macro", folder),
    "graph-cora": lambda folder: tabled("graph-cora", folder),
    "accel-nasbench": lambda folder: tabled("accel-nasbench", folder),
    "nb101": sampled,
    **{f"transnas-{task}": (lambda folder, task=task: tasks(folder, task)) for task in TASKS},
}


def taught(data: Rated, name: str, seed: int) -> Predictor:
    """A predictor that has learnt from 200 networks."""
    some = np.random.default_rng((seed, 1)).permutation(len(data.archs))[:TAUGHT]
    return plugins.predictor(name, data.space).fit([data.archs[k] for k in some], data.y[some])


def measured(
    data: Rated, name: str, size: int, seed: int, known: bool, other: Predictor | None = None
) -> tuple[float, float, float]:
    """Tau, seconds to fit, and seconds to predict 1,000; size 0: of the other alone."""
    order = np.random.default_rng(seed).permutation(len(data.archs))
    learnt, held = order[:size], order[size : size + HELD]
    some, others = [data.archs[k] for k in learnt], [data.archs[k] for k in held]
    features = data.features if known else None
    if other is not None and not size:
        return kendall(other.predict(others).mean, data.y[held]), 0.0, 0.0
    made = plugins.predictor(name, data.space)
    began = time.perf_counter()
    model = (made if other is None else plugins.package("predictors").Transferred(made, other)).fit(
        some, data.y[learnt], None if features is None else features[learnt]
    )
    fitted = time.perf_counter()
    said = model.predict(others, None if features is None else features[held]).mean
    return kendall(said, data.y[held]), fitted - began, 1000 * (time.perf_counter() - fitted) / len(others)


def warm(data: Rated, before: Rated, names: Sequence[str], seeds: int) -> Iterator[str]:
    """A row a predictor, alone and after another table."""
    for name in names:
        others = [taught(before, name, seed) for seed in range(seeds)]
        alone = [measured(data, name, 0, seed, False, others[seed])[0] for seed in range(seeds)]
        for title, some in ((name, [None] * seeds), (f"{name}, warm", others)):
            told = []
            for size in SIZES[:4]:
                made = np.array([measured(data, name, size, seed, False, some[seed])[0] for seed in range(seeds)])
                told.append(f"{made.mean():.3f} +- {1.96 * made.std(ddof=1) / seeds**0.5:.3f}")
            yield f"| {title} | {' | '.join(told)} | {np.mean(alone):.3f} |"


HERE: dict[str, Rated] = {}
"""The table of a worker."""


def begin(table: str, folder: Path) -> None:
    """A worker reads its table, and computes on one thread: there is a worker for each core."""
    torch.set_num_threads(1)
    HERE["table"] = TABLES[table](folder)


def one(name: str, size: int, known: bool, seed: int) -> tuple[float, float, float]:
    """What a worker measures."""
    return measured(HERE["table"], name, size, seed, known)


def rows(data: Rated, names: Sequence[str], seeds: int, workers: Executor) -> Iterator[str]:
    """A row of the printed table a predictor, without what is known beforehand and with it."""
    for name in names:
        for known in (False, True) if data.features is not None else (False,):
            cells, last = [], (0.0, 0.0)
            for size in SIZES:
                if size not in SLOW.get(name, SIZES) or size + 100 > len(data.archs):
                    cells.append("")
                    continue
                made = np.array(list(workers.map(partial(one, name, size, known), range(seeds))))
                half = 1.96 * made[:, 0].std(ddof=1) / seeds**0.5
                cells.append(f"{made[:, 0].mean():.3f} +- {half:.3f}")
                last = (made[:, 1].mean(), made[:, 2].mean())
            title = f"{name} + {data.what}" if known else name
            yield f"| {title} | {' | '.join(cells)} | {last[0]:.2f} | {last[1]:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=TABLES, default=list(TABLES))
    parser.add_argument("--predictors", nargs="*", default=list(PREDICTORS))
    parser.add_argument("--known", choices=TABLES, default="")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes, default one a core")
    asked = parser.parse_args()
    for table in asked.only:
        data, began = TABLES[table](asked.tables), time.monotonic()
        seeds = asked.seeds if table == "nb201-cifar10" else max(2, asked.seeds // 4)
        if asked.known:
            print(f"\n{table} after {asked.known}, {seeds} seeds\n")
            print("| predictor | " + " | ".join(map(str, SIZES[:4])) + " | known alone |\n|---|---|---|---|---|---|")
            for row in warm(data, TABLES[asked.known](asked.tables), asked.predictors, seeds):
                print(row, flush=True)
            continue
        print(f"\n{table}: {len(data.archs)} networks, {seeds} seeds\n")
        print("| predictor | " + " | ".join(map(str, SIZES)) + " | fit, s | predict 1,000, s |")
        print("|---|" + "---|" * (len(SIZES) + 2), flush=True)
        with ProcessPoolExecutor(
            asked.workers, get_context("spawn"), initializer=begin, initargs=(table, asked.tables)
        ) as workers:
            for row in rows(data, asked.predictors, seeds, workers):
                print(row, flush=True)
        print(f"\n{time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
