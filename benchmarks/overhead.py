"""What a trial costs that does nothing: trials per second through the executor alone, and through the whole search.

    python benchmarks/overhead.py [--trials 500] [--no-ray]
    python benchmarks/overhead.py --asleep 2 --trials 200 [--workers 8]

"search" asks a strategy, screens, enters the ask and the end into the ledger on disk, submits and waits. To compare,
Optuna's own loop on SQLite runs in the same minutes.

--asleep: trials that sleep so many seconds instead, as a card trains while this machine rests: by how much a strategy
that learns holds its workers up. The bound is the same trials without anything between them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import optuna

from nas import plugins
from nas.executors import Local
from nas.executors.ray import RayExecutor
from nas.problem import Metrics, Problem, Proposal
from nas.roles import Executor, Task, Work
from nas.store import Store
from nas.strategies import Random
from nas.study import Terms, search
from search_spaces import mobile

REPEATS = 3
PROBLEM = Problem(mobile((1, 28, 28), 10))


def nothing(proposal: Proposal, work: Work) -> Metrics:
    """Metrics at once."""
    return {"accuracy": 0.5}


@dataclass(frozen=True)
class Asleep:
    """Sleeps, then says something that depends on the architecture."""

    seconds: float

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        time.sleep(self.seconds)
        return {"accuracy": int(proposal.arch.key, 16) / 2**64}


def asleep(seconds: float, trials: int, workers: int) -> None:
    """How long a search of sleeping trials takes, over what the trials alone take on so many workers."""
    bound = seconds * trials / workers
    print(f"{trials} trials of {seconds:g} s on {workers} workers: {bound:.1f} s without anything between them")
    for name in ("random", "evolution", "screened", "auto"):
        with Local(workers) as executor, tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder) / "ledger")
            strategy, terms = plugins.strategy(name, PROBLEM), Terms("s", "t", Path(folder))
            search(
                PROBLEM, Random(PROBLEM), nothing, executor, store, replace(terms, study="w"), trials=workers, seed=1
            )
            began = time.perf_counter()
            search(PROBLEM, strategy, Asleep(seconds), executor, store, terms, trials=trials, seed=0)
            took = time.perf_counter() - began
            store.close()
        print(f"{name:10} {took:6.1f} s: {took / bound:.3f} of the bound", flush=True)


def alone(executor: Executor, trials: int, folder: Path) -> None:
    """Submit and wait, as many at a time as the executor holds."""
    proposal = Proposal(PROBLEM.space.sample(np.random.default_rng(0)))
    submitted = ended = 0
    while ended < trials:
        while submitted < trials and submitted - ended < executor.capacity:
            submitted += 1
            executor.submit(Task(submitted, f"overhead / trial {submitted}", nothing, proposal, 0, folder / "x"))
        came = executor.wait()
        for _, outcome in came:
            outcome()
        ended += len(came)


def searched(executor: Executor, trials: int, folder: Path) -> None:
    """The whole search, ledger included."""
    store = Store(folder / "ledger")
    search(PROBLEM, Random(PROBLEM), nothing, executor, store, Terms("s", "t", folder), trials=trials, seed=0)
    store.close()


def peer(trials: int, folder: Path) -> float:
    """Trials per second of Optuna's loop on SQLite, random sampling, one hole as a parameter."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(storage=f"sqlite:///{folder / 'optuna.db'}", sampler=sampler)
        space = PROBLEM.space
        start = time.perf_counter()
        study.optimize(
            lambda t: float(len(space.decide(lambda c: t.suggest_categorical(c.name, range(len(c.options)))).choices)),
            n_trials=trials,
        )
        return trials / (time.perf_counter() - start)


def rate(run: Callable[[Executor, int, Path], None], executor: Executor, trials: int) -> list[float]:
    """Trials per second, repeated, after a few to warm up."""
    rates = []
    for n in range(REPEATS + 1):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            run(executor, trials if n else 10 * executor.capacity, Path(folder))
            rates.append(trials / (time.perf_counter() - start))
    return rates[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--no-ray", action="store_true")
    parser.add_argument("--asleep", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--workers", type=int, default=8, help="of --asleep")
    asked = parser.parse_args()
    if asked.asleep:
        return asleep(asked.asleep, asked.trials, asked.workers)
    with tempfile.TemporaryDirectory() as folder:
        optunas = peer(max(10, asked.trials // 20), Path(folder))
    print(f"Optuna on SQLite, in this process: {optunas:.1f} trials/s")
    makes: dict[str, Callable[[int], Local | RayExecutor]] = {"local": Local}
    if not asked.no_ray:
        makes["ray"] = lambda capacity: RayExecutor(capacity, study="overhead")
    print(f"{'executor':10}{'workers':>8}{'what':>10}{'trials/s':>10}{'x Optuna':>10}   (median of {REPEATS}, range)")
    for name, make in makes.items():
        for capacity in (1, 2):
            with make(capacity) as executor:
                for what, run in (("alone", alone), ("search", searched)):
                    rates = rate(run, executor, asked.trials)
                    middle = statistics.median(rates)
                    told = f"{middle:10.0f}{middle / optunas:10.0f}   {min(rates):.0f} to {max(rates):.0f}"
                    print(f"{name:10}{capacity:8}{what:>10}{told}")


if __name__ == "__main__":
    main()
