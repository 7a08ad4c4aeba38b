"""The engine's hot paths: what it does per second for each space, and the same done by walking the whole tree.

    python benchmarks/engine.py

"by fill" is the plain way, a fill of the whole tree for each architecture, in the same process: the ratio says what
the plan of the holes gains.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from nas.build import build
from nas.fill import fill
from nas.graph import graph, signature
from nas.problem import Problem
from nas.profile import measure
from nas.space import Architecture, Space
from search_spaces import mobile, nasbench201

SECONDS, REPEATS = 0.3, 5


def per_second(once: Callable[[], object]) -> float:
    """How often a thing is done in a second: the median of 5 rounds of 0.3 s."""
    rates = []
    for _ in range(REPEATS):
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            once()
            done += 1
        rates.append(done / (time.perf_counter() - start))
    return statistics.median(rates)


def by_fill(space: Space, rng: np.random.Generator) -> Architecture:
    """A sample by filling the whole tree."""
    made = {}

    def pick(choice):  # type: ignore[no-untyped-def]  # the shortest plain way
        k = int(rng.random() * len(choice.options))
        made[choice.name] = choice.labels[k]
        return k

    fill(space.root, pick)
    return Architecture(space.name, tuple(sorted(made.items())))


def ways(space: Space, rng: np.random.Generator) -> dict[str, Callable[[], object]]:
    """What is timed, by name; each takes the next of 64 architectures."""
    archs = [space.sample(rng) for _ in range(64)]
    flats = [graph(space.network(a), space.input) for a in archs]
    problem, turn = Problem(space), iter(range(10**9))

    def arch() -> Architecture:
        return archs[next(turn) % 64]

    return {
        "sample": lambda: space.sample(rng),
        "by fill": lambda: by_fill(space, rng),
        "mutate": lambda: space.mutate(arch(), rng),
        "cross": lambda: space.cross(arch(), arch(), rng),
        "key": lambda: Architecture(space.name, arch().choices).key,
        "graph": lambda: graph(space.network(arch()), space.input),
        "profile": lambda: measure(flats[next(turn) % 64]),
        "signature": lambda: signature(flats[next(turn) % 64]),
        "screen": lambda: problem._screen(arch()),
        "build": lambda: build(space.network(arch()), space.input),
    }


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{'space':30}{'what':>12}{'a second':>12}{'microseconds':>14}")
    for space in (nasbench201(), mobile((1, 28, 28), 10), mobile()):
        rates = {name: per_second(once) for name, once in ways(space, rng).items()}
        for name, rate in rates.items():
            title = f"{space.name} {'x'.join(map(str, space.input))}"
            print(f"{title:30}{name:>12}{rate:12,.0f}{1e6 / rate:14.1f}")
        print(f"{'':30}sample by the plan is {rates['sample'] / rates['by fill']:.1f} times as fast as by a fill")


if __name__ == "__main__":
    main()
