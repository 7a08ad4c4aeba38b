"""The program of DeepMAD: our answer and its bound, beside the released structures and the released search.

    python benchmarks/design.py [--names r18,29m] [--seconds 60] [--networks 10000,100000,500000] [--seeds 1]

For each released configuration (its family, steps, strides, score and budgets): what the released structure is worth
and uses, the value that `solve` finds in so many seconds with its bound and gap, and what the evolutionary search
(our code with the tool's rules) has after so many networks, each with its ratio to our value. The tool's own evaluator
builds a module for each network, so that its seconds are not comparable; the values are. A released structure may lie
outside of what its configuration can reach: "uses" says what of the budgets it takes. The last lines are evaluations a
second of the objective with all its budgets, on one core, by the number of networks at a time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np

from nas import plugins
from nas.programs.deepmad.evolution import evolve
from nas.programs.deepmad.grid import Grid
from nas.programs.deepmad.measure import Batch, feasible, measure, over
from nas.programs.deepmad.presets import TEMPLATES, Released, design_of, released
from nas.programs.deepmad.problem import broken
from nas.programs.deepmad.solve import solve

SECONDS, REPEATS = 0.5, 5


def main() -> None:
    """Print the tables."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--names", default=",".join(TEMPLATES))
    asked.add_argument("--seconds", type=float, default=60.0)
    asked.add_argument("--networks", default="10000,100000,500000")
    asked.add_argument("--seeds", type=int, default=1)
    flags = asked.parse_args()
    marks = [int(n) for n in flags.networks.split(",") if n]
    for name in flags.names.split(","):
        configuration = released(name)
        value = ours(name, configuration, flags.seconds)
        if marks:
            searched(configuration, marks, flags.seeds, value)
    for name in ("r18", "29m"):
        print(f"{name}: {', '.join(rates(released(name)))} evaluations a second")


def ours(name: str, of: Released, seconds: float) -> float:
    """Print the released structure and our answer; our value."""
    found = plugins.published(f"deepmad-{name}")
    design = design_of(found.arch.labels, of.template.head)
    own = replace(of.template, strides=tuple(int(s) for s in found.own.settings["strides"]))
    batch = Batch.of([design])
    theirs = float(measure(own, of.score, batch).value[0])
    used = {k: float(v[0]) for k, v in over(own, of.score, of.budgets, batch).items()}
    why = broken(of.template, design) or ("" if own == of.template else "other strides")
    answer = solve(of.template, of.score, of.budgets, seconds=seconds)
    uses = ", ".join(f"{100 * v:.1f} % of {k}" for k, v in used.items())
    print(f"{name}: released {theirs:,.1f} (uses {uses}{f'; outside the search: {why}' if why else ''})")
    print(
        f"{name}: ours {answer.value:,.1f}, bound {answer.bound:,.1f}, gap {100 * answer.gap:.3f} % in "
        f"{answer.seconds:.1f} s; {answer.value / theirs:.4f} of the released; depths {answer.design.depths}",
        flush=True,
    )
    return answer.value


def searched(of: Released, marks: list[int], seeds: int, value: float) -> None:
    """Print what the evolutionary search has after so many networks: the median over the seeds."""
    best: dict[int, list[float]] = {n: [] for n in marks}
    took: dict[int, list[float]] = {n: [] for n in marks}
    for seed in range(seeds):
        began = time.perf_counter()

        def watch(made: int, at: float, began: float = began, seed: int = seed) -> None:
            for n in marks:
                if made >= n and len(best[n]) == seed:
                    best[n].append(at)
                    took[n].append(time.perf_counter() - began)

        rng = np.random.default_rng(seed)
        evolve(of.template, of.score, of.budgets, networks=max(marks), rng=rng, watch=watch)
    for n in marks:
        at, spent = statistics.median(best[n]), statistics.median(took[n])
        print(f"     evolution, {n:,} networks: {at:,.1f} in {spent:.1f} s, {at / value:.4f} of ours", flush=True)


def rates(of: Released) -> list[str]:
    """Networks measured and checked against the budgets a second, for several sizes of a batch."""
    said = []
    for size in (1, 384, 4096):
        batch = Grid(of.template).draw(size, np.random.default_rng(0))
        found = []
        for _ in range(REPEATS):
            count, began = 0, time.perf_counter()
            while time.perf_counter() - began < SECONDS:
                feasible(measure(of.template, of.score, batch), of.budgets)
                count += size
            found.append(count / (time.perf_counter() - began))
        said.append(f"{statistics.median(found):,.0f} ({size:,} at a time)")
    return said


if __name__ == "__main__":
    main()
