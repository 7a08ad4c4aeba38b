"""What a supernet costs: its steps beside those of standalone networks, its ratings beside bare forward passes.

python benchmarks/supernet.py [--threads 1] [--steps 20]

1. a step of the supernet over a step of the standalone network of the same path, forward and backward, at the size of
   Once-for-all (45 choices), batch 64, images of 32x32. Each path is new to the supernet, so building it counts;
   the standalone network is there already.
2. paths rated a second (statistics anew, then validation) over the bare forward rate of the same networks.
3. training a supernet (the step, the optimiser, a path new to it each time) over a plain eager fp32 loop of the same
   networks with SGD, in a process each: for dense convolutions (resnet) and depthwise ones (ofa).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas import plugins
from nas.build import Network, build
from nas.data import Info
from nas.data.part import Memory
from nas.evaluators.rating import Rater
from nas.problem import Problem
from nas.space import Architecture, Rng, Space
from nas.training import Recipe, keep_heap, seeded
from nas.training.rules import Moment, Pass, Step
from nas.training.sharing import Sharing
from nas.weights import Supernet

BATCH, CLASSES = 64, 10
WARM = 3  # steps that are not counted
CPU = torch.device("cpu")
INFO = Info("made", "made", (3, 32, 32), CLASSES, tuple("abcdefghij"), {}, "0" * 16, (0.5,) * 3, (0.25,) * 3)
SPACES = {
    "depthwise": ("ofa", {"dropout": 0.0}),
    "dense": ("resnet", {"stem": "cifar"}),
}


def space_of(kind: str) -> Space:
    name, settings = SPACES[kind]
    return plugins.space(name, input=(3, 32, 32), classes=CLASSES, **settings)


def images(size: int) -> Memory:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (size,), generator=generator)
    return Memory(torch.randint(256, (size, 3, 32, 32), generator=generator, dtype=torch.uint8), labels)


def drawn(space: Space, count: int, seed: int) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def seconds(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def both_ways(forward: Callable[[Tensor], Tensor], weights: list[nn.Parameter], x: Tensor, y: Tensor) -> None:
    for weight in weights:
        weight.grad = None
    torch.autograd.backward(functional.cross_entropy(forward(x), y))


def steps(kind: str, count: int) -> list[float]:
    """Supernet over standalone, path by path."""
    space, x = space_of(kind), torch.randn(BATCH, 3, 32, 32)
    y = torch.randint(CLASSES, (BATCH,))
    net = Supernet(space).train()
    shared = list(net.parameters())
    ratios = []
    for n, arch in enumerate(drawn(space, count + 3, 1)):
        module = build(space.network(arch), space.input).train()
        own = list(module.parameters())
        both_ways(module, own, x, y)
        alone = min(seconds(lambda m=module, o=own: both_ways(m, o, x, y)) for _ in range(2))  # type: ignore[misc]  # the default binds the loop's value
        ours = seconds(lambda a=arch: both_ways(lambda z: net(z, a), shared, x, y))  # type: ignore[misc]  # the same
        if n >= 3:
            ratios.append(ours / alone)
    return ratios


def ratings(kind: str, count: int) -> list[float]:
    """Rated paths a second over forward passes of the same networks on as many images."""
    space, train, held = space_of(kind), images(1024), images(1024)
    net = Supernet(space)
    rate = Rater(net, train, held, INFO, device=CPU, calibration=1024, batch_size=BATCH)
    batches = [torch.randn(BATCH, 3, 32, 32) for _ in range(2048 // BATCH)]
    ratios = []
    for arch in drawn(space, count, 2):
        module: Network = build(space.network(arch), space.input).eval()

        def bare(module: Network = module) -> None:
            with torch.no_grad():
                for x in batches:
                    module(x)

        before, ours, after = seconds(bare), seconds(lambda a=arch: rate(a)), seconds(bare)  # type: ignore[misc]  # the same
        ratios.append(min(before, after) / ours)
    return ratios


@dataclass(frozen=True)
class Listed:
    """These members, one a step."""

    archs: tuple[Architecture, ...]

    def __call__(self, problem: Problem, at: Moment, rng: Rng) -> Step:
        return Step((Pass(self.archs[at.step]),))


def trained(kind: str, count: int) -> float:
    """Images a second of our supernet training, one new path a step."""
    keep_heap()
    space, part = space_of(kind), images(BATCH * count)
    recipe = Recipe(epochs=100, ema=0.0, clip=0.0, batch_size=BATCH)  # so long that the fastest way is looked for
    rule = Listed(tuple(drawn(space, count, 3)))
    session = Sharing(Supernet(space), rule, Problem(space), part, INFO, recipe, seed=0, device=CPU)
    times, began = [], time.perf_counter()
    for n, (x, y) in enumerate(session.stream.epoch()):
        session.step(x, y, n)
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
    return BATCH * (count - WARM) / sum(times[WARM:])


def plain(kind: str, count: int) -> float:
    """Images a second of a plain eager fp32 loop over standalone networks with SGD, each built before its step."""
    space = space_of(kind)
    x, y = torch.randn(BATCH, 3, 32, 32), torch.randint(CLASSES, (BATCH,))
    times = []
    for arch in drawn(space, count, 3):
        module = build(space.network(arch), space.input).train()
        optimiser = torch.optim.SGD(module.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
        for repeat in range(2):
            began = time.perf_counter()
            optimiser.zero_grad()
            functional.cross_entropy(module(x), y, label_smoothing=0.1).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if repeat:
                times.append(time.perf_counter() - began)
    return BATCH * (count - WARM) / sum(times[WARM:])


def apart(part: str, kind: str, said: argparse.Namespace) -> float:
    """One measurement in a process of its own."""
    flags = ["--only", part, kind, "--threads", str(said.threads), "--steps", str(said.steps)]
    done = subprocess.run([sys.executable, __file__, *flags], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    say = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    say.add_argument("--threads", type=int, default=1)
    say.add_argument("--steps", type=int, default=20)
    say.add_argument("--turns", type=int, default=3)
    say.add_argument("--only", nargs=2, default=None, help=argparse.SUPPRESS)
    said = say.parse_args()
    torch.set_num_threads(said.threads)
    with seeded(0):
        if said.only:
            part, kind = said.only
            print(json.dumps((trained if part == "ours" else plain)(kind, said.steps)))
            return
        keep_heap()
        for kind in SPACES:
            print(f"{kind}: a supernet step over a standalone one: {_told(steps(kind, said.steps))}", flush=True)
            print(f"{kind}: paths rated over the bare forward rate: {_told(ratings(kind, 8))}", flush=True)
    for kind in SPACES:
        pairs = [(apart("ours", kind, said), apart("plain", kind, said)) for _ in range(said.turns)]
        rates = ", ".join(f"{a:.0f}/{b:.0f}" for a, b in pairs)
        print(f"{kind}: supernet training over a plain eager fp32 loop: {_told([a / b for a, b in pairs])} ({rates})")


def _told(ratios: list[float]) -> str:
    low, high = np.quantile(ratios, [0.25, 0.75])
    return f"{median(ratios):.2f} (quartiles {low:.2f}, {high:.2f}; {len(ratios)})"


if __name__ == "__main__":
    main()
