"""How many architectures a second are drawn, encoded and ranked by a predictor, as integer rows and the plain way.

    python benchmarks/ranking.py [--rows 100000] [--plain 5000] [--trained 200] [--repeats 5] [--profile]

Both ways in the same minutes, by the CPU seconds of one thread, Markdown on standard output. "plain": `Space.sample`,
then `predict` on the architectures, 1,000 at a time. "rows": `coded` on rows that are there, with and without std;
"whole" draws them as well, predicts each different one, sorts, and gives the best ten as architectures with their std.
The values learnt from are a random function of pairs of choices, with noise. --profile: in which functions the time
goes, with the clock of the profiler running.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy counts the cores

import argparse
import cProfile
import io
import pstats
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nas.codes import Codes, blocks
from nas.programs.tables import costs
from nas.roles import Predictor
from nas.shortlist import top
from nas.space import Architecture, Space
from predictors.ensemble import Forest
from predictors.gp import GP
from predictors.ridge import Ridge
from search_spaces import mobile, nasbench201

SPACES: Mapping[str, Callable[[], Space]] = {"nasbench201": nasbench201, "mobile": mobile}
MODELS: Mapping[str, Callable[[], Any]] = {"ridge": Ridge, "gp": GP, "forest": Forest}
BEST, CHUNK = 10, 1000


def values(codes: Codes, rows: np.ndarray[Any, Any], seed: int = 0) -> np.ndarray[Any, Any]:
    """A random function of pairs of choices, a term for each pair of options, with a fifth of its spread as noise."""
    rng = np.random.default_rng(seed)
    worth = np.zeros(len(rows))
    for _ in range(3 * len(codes.names)):
        a, b = rng.integers(len(codes.names), size=2)
        table = rng.normal(size=(len(codes.labels[a]) + 1, len(codes.labels[b]) + 1))
        worth += table[rows[:, a], rows[:, b]]
    return worth + 0.2 * worth.std() * rng.normal(size=len(rows))


def rates(run: Callable[[], Any], count: int, repeats: int) -> list[float]:
    """Things a CPU second, after one run to warm up."""
    run()
    made = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        made.append(count / (time.process_time() - start))
    return sorted(made)


def told(found: list[float]) -> str:
    """The median, and the range."""
    return f"{statistics.median(found):,.0f} ({found[0]:,.0f} to {found[-1]:,.0f})"


def plainly(space: Space, model: Predictor, count: int) -> None:
    """Draw architectures, and predict them."""
    rng = np.random.default_rng(1)
    archs = [space.sample(rng) for _ in range(count)]
    said = np.concatenate([model.predict(archs[k : k + CHUNK]).mean for k in range(0, count, CHUNK)])
    _ = [archs[k] for k in np.argsort(-said)[:BEST]]


def by_rows(codes: Codes, model: Predictor, count: int) -> list[Architecture]:
    """Draw rows, and make architectures of the best."""
    return top(model, codes, codes.sample(np.random.default_rng(1), count), BEST).archs


def profiled(run: Callable[[], Any]) -> str:
    """The functions in which the time goes."""
    profile = cProfile.Profile()
    profile.runcall(run)
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(8)
    return "\n".join(line for line in text.getvalue().splitlines() if line.strip())


def parts(codes: Codes, rows: np.ndarray[Any, Any], repeats: int) -> dict[str, str]:
    """CPU nanoseconds a row of what every predictor needs, the median."""
    n = len(rows)
    every = [(name, label) for name, labels in zip(codes.names, codes.labels, strict=True) for label in labels]
    tables = costs(codes.space, ("params", "macs"))
    runs: dict[str, Callable[[], Any]] = {
        "draw": lambda: codes.sample(np.random.default_rng(1), n),
        "leave equal ones out": lambda: codes.unique(rows),
        f"one-hot code of {len(every)} columns": lambda: sum(len(codes.hot(some, every)) for _, some in blocks(rows)),
        f"parameters, of {len(tables['params'].parts)} tables": lambda: tables["params"].coded(codes, rows),
        f"MACs, of {len(tables['macs'].parts)} tables": lambda: tables["macs"].coded(codes, rows),
    }
    return {what: f"{1e9 / statistics.median(rates(run, n, repeats)):,.0f}" for what, run in runs.items()}


def measure(name: str, asked: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The lines of one space: what it does a second, and how long the parts take."""
    space = SPACES[name]()
    codes, lines, spent = Codes(space), [], []
    trained = codes.sample(np.random.default_rng(0), asked.trained)
    rows = codes.sample(np.random.default_rng(2), asked.rows)
    for which, make in MODELS.items():
        model = make().fit(codes.archs(trained), values(codes, trained))
        some = codes.archs(rows[:CHUNK])
        off = np.abs(model.coded(codes, rows[:CHUNK]).mean / model.predict(some).mean - 1).max()
        plain = rates(lambda model=model: plainly(space, model, asked.plain), asked.plain, 2)
        kinds = {
            "mean": lambda model=model: model.coded(codes, rows, std=False),
            "std too": lambda model=model: model.coded(codes, rows),
            "whole": lambda model=model: by_rows(codes, model, asked.rows),
        }
        quick = {what: rates(run, asked.rows, asked.repeats) for what, run in kinds.items()}
        more = statistics.median(quick["whole"]) / statistics.median(plain)
        cells = (name, which, told(plain), *map(told, quick.values()), f"{more:,.0f}", f"{off:.0e}")
        lines.append(f"| {' | '.join(cells)} |")
        if asked.profile:
            print(f"\n{name}, {which}, plain:\n{profiled(lambda model=model: plainly(space, model, asked.plain))}")
            print(f"\n{name}, {which}, rows:\n{profiled(lambda model=model: by_rows(codes, model, asked.rows))}")
    spent += [f"| {name} | {what} | {took} |" for what, took in parts(codes, rows, asked.repeats).items()]
    return lines, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, default in (("rows", 100_000), ("plain", 5000), ("trained", 200), ("repeats", 5)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    found = [measure(name, asked) for name in SPACES]
    print(f"\n{asked.rows:,} rows, {asked.plain:,} plainly, {asked.trained} trained, load {os.getloadavg()[0]:.1f}\n")
    print(
        "| space | predictor | plain, a CPU second | rows: mean | rows: std too | rows: whole | whole / plain | off |"
    )
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(line for lines, _ in found for line in lines))
    print("\n| space | part | CPU ns a row |\n|---|---|---|")
    print("\n".join(line for _, spent in found for line in spent))


if __name__ == "__main__":
    main()
