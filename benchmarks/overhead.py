"""What a trial costs that does nothing: trials per second through each executor.

    python benchmarks/overhead.py [--trials 1000] [--no-ray]

Published figures to hold them against: Ray Tune 1 to 10 trials per second, Optuna on SQLite 2.5. Those include the
work of a scheduler or a database; these are submit and wait alone, so they bound what the rest may cost.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nas.executors import Local
from nas.executors.ray import RayExecutor
from nas.problem import Metrics, Proposal
from nas.roles import Executor, Task, Work
from nas.space import Architecture

RAY_TUNE, OPTUNA_SQLITE = 10.0, 2.5
"""Trials per second, as published; Ray Tune's is the upper end."""
REPEATS = 3


def nothing(proposal: Proposal, work: Work) -> Metrics:
    """Metrics at once."""
    return {"accuracy": 0.5}


def rate(executor: Executor, trials: int, folder: Path) -> float:
    """Trials per second through an executor that is warm, as many at a time as it holds."""
    proposal = Proposal(Architecture("overhead", (("choice", 0),)))

    def through(count: int, start: int) -> None:
        submitted = ended = 0
        while ended < count:
            while submitted < count and submitted - ended < executor.capacity:
                trial = start + submitted
                name = f"overhead / trial {trial}"
                executor.submit(Task(trial, name, nothing, proposal, 0, folder / str(trial)))
                submitted += 1
            came = executor.wait()
            for _, outcome in came:
                outcome()
            ended += len(came)

    through(10 * executor.capacity, 0)
    start = time.perf_counter()
    through(trials, 10 * executor.capacity)
    return trials / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--no-ray", action="store_true")
    asked = parser.parse_args()
    makes: dict[str, Callable[[int], Local | RayExecutor]] = {"local": Local}
    if not asked.no_ray:
        makes["ray"] = lambda capacity: RayExecutor(capacity, study="overhead")
    print(f"{'executor':10}{'capacity':>10}{'trials/s':>10}{'x Ray Tune':>12}{'x Optuna':>10}   (median of {REPEATS})")
    for name, make in makes.items():
        for capacity in (1, 2):
            with make(capacity) as executor:
                rates: list[float] = []
                for _ in range(REPEATS):
                    with tempfile.TemporaryDirectory() as folder:
                        rates.append(rate(executor, asked.trials, Path(folder)))
            middle = statistics.median(rates)
            told = f"{middle:10.0f}{middle / RAY_TUNE:12.0f}{middle / OPTUNA_SQLITE:10.0f}"
            print(f"{name:10}{capacity:10}{told}   {min(rates):.0f} to {max(rates):.0f}")


if __name__ == "__main__":
    main()
