"""Latencies: carried over to a new device from ten samples, and summed from layers beside whole networks.

    python benchmarks/latency.py transfer --tables FOLDER [--seeds 20]
    python benchmarks/latency.py layers [--networks 100]

transfer: the published latencies of help_latency (nasbench201), fbnet and ofa_mbv3 (Lee et al. 2021, arXiv:2106.08630).
Ten networks are chosen and "measured" on one device; predicted are all others there, from the other devices' latencies.
Printed is Spearman's rank correlation, the mean over devices and seeds: each device by all others; by those of other
machines alone (1080ti_32 does not help 1080ti_1); and HELP's own split, nine devices known and three new, beside what
HELP printed for the same three devices.

layers: a device file of `mobile` measured here on one thread, and other networks beside its sums. Networks are measured
in rounds, one after another, and the least of the rounds' medians counts; the load of the machine is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from nas import plugins
from nas.latency.devices import read
from nas.latency.table import Table
from nas.latency.taking import spread, take, together
from nas.latency.timing import called
from nas.latency.transfer import Devices
from nas.roles import Array
from nas.training import keep_heap

FILES = {
    "nasbench201": "nb201/help_latency.parquet",
    "fbnet": "hw_latency/fbnet.parquet",
    "ofa": "hw_latency/ofa_mbv3.parquet",
}
HELP_KNOWN = ("silver_4114", "silver_4210r", "samsung_a50", "pixel3", "essential_ph_1", "samsung_s7")
"""HELP's devices to learn from, with the three batches of 1080ti; its `--meta_train_devices`."""
HELP = {
    "nasbench201": {"raspi4": 0.890, "eyeriss": 0.940, "fpga": 0.985},
    "fbnet": {"raspi4": 0.887, "eyeriss": 0.943, "fpga": 0.892},
}
"""Printed by HELP at 10 samples, tables 3 and 2 in its repository's README."""


def parts(space: str, arch: str) -> list[str]:
    """The operations of a published architecture, place by place."""
    if space == "nasbench201":
        return [op.split("~")[0] for op in arch.replace("+", "").split("|") if op]
    if space == "fbnet":
        return arch.split("-")
    made = json.loads(arch)
    blocks = [
        (f"k{k}e{e}", n % 4 < made["d"][n // 4]) for n, (k, e) in enumerate(zip(made["ks"], made["e"], strict=True))
    ]
    return [*(word if there else "none" for word, there in blocks), str(made["r"])]


def features(space: str, archs: Sequence[str]) -> Array:
    """Which operation stands at each place, and how often each occurs: (n, f)."""
    words = np.array([parts(space, arch) for arch in archs])
    places = [words[:, p, None] == np.unique(words[:, p]) for p in range(words.shape[1])]
    counts = [(words == word).sum(1)[:, None] for word in np.unique(words)]
    return np.concatenate([*places, *counts], 1).astype(float)


def machine(device: str) -> str:
    """A device without its batch."""
    head, _, last = device.rpartition("_")
    return head if last in ("1", "32", "64", "256") and head != "essential_ph" else device


def scores(
    latencies: Array,
    described: Array,
    names: Sequence[str],
    known: Callable[[str, str], bool],
    new: Sequence[str],
    seeds: int,
) -> dict[str, list[float]]:
    """For each new device the rank correlation of every seed."""
    made: dict[str, list[float]] = {}
    for device in new:
        from_these = [k for k, name in enumerate(names) if name != device and known(name, device)]
        devices, truth = Devices(latencies[:, from_these], described), latencies[:, names.index(device)]
        for seed in range(seeds):
            some = devices.choose(np.random.default_rng(seed))
            rest = np.setdiff1d(np.arange(len(truth)), some)
            found = devices.transfer(some, truth[some]).predict(rest)
            made.setdefault(device, []).append(float(spearmanr(found.mean, truth[rest]).statistic))
    return made


def transfer(tables: Path, seeds: int) -> None:
    for space, file in FILES.items():
        began = time.process_time()
        frame = pd.read_parquet(tables / file)
        columns = [c for c in frame.columns if c.endswith("_ms")]
        names, latencies = [c.removesuffix("_ms") for c in columns], frame[columns].to_numpy(float)
        described = features(space, list(frame["arch"]))
        print(f"\n{space}: {len(frame)} networks, {len(names)} devices, 10 samples, {seeds} seeds")
        splits: dict[str, tuple[Callable[[str, str], bool], Sequence[str]]] = {
            "all other devices known": (lambda name, device: True, names),
            "other machines known": (lambda name, device: machine(name) != machine(device), names),
        }
        if space in HELP:
            splits["HELP's nine known"] = (
                lambda name, device: name in HELP_KNOWN or machine(name) == "1080ti",
                list(HELP[space]),
            )
        for what, (known, new) in splits.items():
            found = scores(latencies, described, names, known, new, seeds)
            means = {device: float(np.mean(values)) for device, values in found.items()}
            by_seed = np.mean(list(found.values()), axis=0)
            worst = min(means, key=means.__getitem__)
            print(
                f"  {what:26} mean {by_seed.mean():.3f}, standard deviation over seeds {by_seed.std(ddof=1):.3f}; "
                f"lowest device {worst} {means[worst]:.3f}"
            )
            targets = {d: m for d, m in means.items() if d in HELP.get(space, {})}
            if targets:
                print(f"  {'':26} {told(targets)}")
        if space in HELP:
            print(f"  {'HELP, as printed':26} {told(HELP[space])}")
        print(f"  {time.process_time() - began:.0f} CPU seconds")


def told(targets: Mapping[str, float]) -> str:
    """Each device's number, and their mean."""
    listed = ", ".join(f"{device} {value:.3f}" for device, value in sorted(targets.items()))
    return f"{listed}: mean {np.mean(list(targets.values())):.3f}"


def quiet(what: str, done: int, of: int, left: float) -> None:
    """Say nothing."""


def layers(count: int, name: str, side: int) -> None:
    torch.set_num_threads(1)
    keep_heap()
    space, device = plugins.space(name, input=(3, side, side)), torch.device("cpu")
    began, load = time.process_time(), f"{os.getloadavg()[0]:.1f}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "device.json"
        take(space, device, file, say=quiet)
        table, took = Table(space, read(file)), time.process_time() - began
    archs = spread(space, count, seed=1)
    rows = together(space, archs, device, times=5, say=quiet)
    measured = np.array([row["seconds"] for row in rows])
    high = np.array([row["high"] for row in rows])
    sums = np.array([table.total(arch) for arch in archs])
    corrected = table.correction(sums)
    right, load = table.correction, f"{load} to {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{space.name} {space.input} on {called(device)}, one thread, batch 1; load {load}")
    print(f"{len(table.file.layers)} layers and {right.networks} networks measured in {took:.0f} CPU seconds; {right}")
    print(
        f"{len(archs)} other networks, {1e3 * measured.min():.2f} to {1e3 * measured.max():.2f} ms; "
        f"the largest of a network's medians over its least: {np.median(high / measured):.2f} in the median"
    )
    for what, values in (("sum", sums), ("corrected", corrected)):
        error = np.abs(values / measured - 1)
        print(
            f"  {what:10} Spearman {spearmanr(values, measured).statistic:.3f}; off by {error.mean():.1%} on average, "
            f"{np.median(error):.1%} in the median, {error.max():.1%} at most"
        )
    print(f"{time.process_time() - began:.0f} CPU seconds in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["transfer", "layers"])
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--side", type=int, default=224)
    given = parser.parse_args()
    if given.what == "layers":
        layers(given.networks, given.space, given.side)
    elif given.tables is None:
        parser.error("transfer reads published tables: give --tables FOLDER")
    else:
        transfer(given.tables, given.seeds)


if __name__ == "__main__":
    main()
