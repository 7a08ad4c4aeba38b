"""Our proxies, computed by us, beside the published scores of the same networks of NAS-Bench-201, and accuracy.

python benchmarks/proxies.py --tables FOLDER --data cifar10:FOLDER --networks 300

The published scores are those of NAS-Bench-Suite-Zero (Krishnakumar et al. 2022, arXiv:2210.03230) in
FOLDER/nb201/zero_cost_c10.parquet; -1e8 stands there for a score that failed. `--again` networks are scored a second
time from other weights and other images, which says how far a proxy agrees with itself. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from nas.data import load
from nas.proxies import BATCH, PROXIES, Rows, draw, scored
from nas.proxies.ranks import spearman
from nas.roles import Array
from nas.space import Architecture
from search_spaces import nasbench201

PUBLISHED = {"macs": "flops", "jacob_cov": "jacov"}
"""Names that differ in the table."""
SLOW = ("grasp", "ntk")
ACCURACY = "c10_test_200ep_trainsplit_seed"
FAILED = -1e8
RESAMPLES = 1000


def interval(a: Array, b: Array, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of Spearman's correlation by the bootstrap over networks."""
    rng, n = np.random.default_rng(seed), len(a)
    drawn = [spearman(a[some], b[some]) for some in rng.integers(n, size=(RESAMPLES, n))]
    low, high = np.nanquantile(drawn, [0.025, 0.975]) if np.isfinite(drawn).any() else (np.nan, np.nan)
    return float(low), float(high)


def run(archs: Sequence[Architecture], names: Sequence[str], data: str, *, seed: int, device: str) -> Rows:
    """The scores of architectures, with the time left on standard error."""
    space, begun = nasbench201(), time.monotonic()

    def report(done: int, networks: int) -> None:
        if done and done % 10 == 0:
            left = (time.monotonic() - begun) / done * (networks - done)
            print(f"  {done}/{networks}, about {left:.0f} s left", file=sys.stderr, flush=True)

    batches = draw(load(data), seed=seed, device=device)
    return scored(space, archs, names, batches, seed=seed, device=device, report=report)


def row(name: str, first: Rows, again: Rows, table: pd.DataFrame) -> str:
    """A line of the table."""
    ours, theirs = first.column(name), table.get(PUBLISHED.get(name, name))
    n, accuracy = len(ours), table[ACCURACY].to_numpy(float)[: len(ours)]
    low, high = interval(ours, accuracy)
    cells = ["", ""]
    if theirs is not None:
        known = theirs.to_numpy(float)[:n]
        known = np.where(known <= FAILED, np.nan, known)
        cells = [f"{spearman(ours, known):.3f}", f"{spearman(known, accuracy):.3f}"]
    itself = spearman(ours[: len(again.values)], again.column(name)) if name in again.names else float("nan")
    told = f"{spearman(ours, accuracy):.3f} [{low:.2f}, {high:.2f}]" if np.ptp(ours[np.isfinite(ours)]) else "constant"
    seconds = float(np.nanmean(first.seconds[:, first.names.index(name)]))
    missing = int((~np.isfinite(ours)).sum())
    return f"| {name} | {n} | {missing} | {cells[0]} | {itself:.3f} | {told} | {cells[1]} | {1000 * seconds:.1f} |"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--data", required=True, help="cifar10 or cifar10:FOLDER")
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--again", type=int, default=40, help="networks scored a second time, with another seed")
    parser.add_argument("--slow", type=int, default=300, help="networks that GraSP and the kernel score, the slowest")
    parser.add_argument("--slow-again", type=int, default=20, help="how many of them a second time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--csv", type=Path, help="where the scores are written")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    table = pd.read_parquet(asked.tables / "nb201" / "zero_cost_c10.parquet")
    table = table.sample(min(asked.networks, len(table)), random_state=asked.seed).reset_index(drop=True)
    space = nasbench201()
    archs = [space.parse(text) for text in table["arch"]]
    fast = [name for name in PROXIES if name not in SLOW]
    print(f"{len(archs)} networks, {BATCH} images, {asked.device}\n")
    pairs = ("ours, published", "ours, ours again", "ours, accuracy", "published, accuracy")
    print(f"| proxy | networks | missing | {' | '.join(pairs)} | ms |")
    print("|---|---|---|---|---|---|---|---|")
    begun, wall, made = time.process_time(), time.monotonic(), pd.DataFrame({"arch": table["arch"]})
    for names, size, more in ((fast, len(archs), asked.again), (SLOW, asked.slow, asked.slow_again)):
        first = run(archs[:size], names, asked.data, seed=asked.seed, device=asked.device)
        again = run(archs[:more], names, asked.data, seed=asked.seed + 1, device=asked.device)
        for name in names:
            print(row(name, first, again, table), flush=True)
            made[name] = pd.Series(first.column(name))
            made[f"{name}_again"] = pd.Series(again.column(name))
        print(f"{first.scored} different networks", file=sys.stderr)
        if asked.csv:
            made.to_csv(asked.csv, index=False)
    print(f"\n{time.process_time() - begun:.0f} CPU seconds, {time.monotonic() - wall:.0f} s in all")


if __name__ == "__main__":
    main()
