"""What a search will cost: one short training in a worker, and a look at some random networks."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch

from nas.build import build
from nas.data import subset
from nas.errors import ENVIRONMENT, UserError
from nas.evaluators import Source
from nas.evaluators.scratch import device_of
from nas.executors import Local
from nas.options import Options
from nas.problem import Metrics, Proposal
from nas.roles import Failed, Task, Work
from nas.settings import Settings
from nas.space import Json, Space
from nas.training import Recipe, fit, keep_heap, seeded
from nas.training.speed import SHORT

SAMPLE, IMAGES = 32, 1024
"""How many networks are looked at, and how many images the probe trains on."""


@final
@dataclass(frozen=True)
class Probe:
    """Trains on a few images in each memory layout; gives the most images per second, and the memory of the process.

    threads: of a worker, 0 for those that it has.
    """

    space: Space
    source: Source
    recipe: Recipe
    threads: int = 0

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        """An epoch in each layout; a training longer than the ones that are never timed takes the faster."""
        data, device = self.source.load(), device_of()
        keep_heap()
        few = subset(data.train, min(IMAGES, len(data.train)), seed=0)
        if self.threads:
            torch.set_num_threads(self.threads)
        rates = {}
        for layout in ("contiguous", "channels_last"):
            with seeded(0):
                module = build(self.space.network(proposal.arch), self.space.input).to(device)
            recipe = replace(self.recipe, layout=layout, precision="fp32")
            fitted = fit(
                module, few, None, data.info, recipe, seed=0, device=device, folder=None, report=lambda e, m: None
            )
            rates[layout] = fitted.images_per_second
        kilo = 1 if sys.platform == "darwin" else 1024
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo
        return {"plain": rates["contiguous"], "best": max(rates.values()), "memory_bytes": memory}


def estimate(settings: Settings, options: Options) -> dict[str, Json]:
    """Parameters and MACs of random networks, memory and seconds of a trial, seconds of the whole search."""
    rng = np.random.default_rng(settings.seed)
    problem, recipe = settings.problem, settings.trained(1)
    archs = [a for a in (problem.sample(rng) for _ in range(SAMPLE)) if problem.screen(a).metrics]
    costs = {name: sorted(problem.screen(a).metrics[name] for a in archs) for name in ("params", "macs")}
    typical = sorted(archs, key=lambda a: problem.screen(a).metrics["macs"])[len(archs) // 2]
    cores = len(os.sched_getaffinity(0))
    workers = options.workers or (max(1, int(1 / options.gpus_per_trial)) if options.gpus_per_trial else cores)
    threads = 1 if workers > 1 else 0
    measured = _probed(Probe(problem.space, settings.source, recipe, threads), Proposal(typical), settings.seed)
    there = settings.made_info.counts
    # A validation image costs a third of one that is trained on: a forward pass alone.
    trial = _seconds(((settings.images or there["train"]) + there["validation"] / 3) * settings.epochs, measured)
    last = _seconds((there["train"] + there["validation"]) * settings.final_epochs, measured)
    searches = 2 if options.baseline else 1
    return {
        "space_size": problem.space.size,
        "params": {"low": costs["params"][0], "high": costs["params"][-1]},
        "macs": {"low": costs["macs"][0], "high": costs["macs"][-1]},
        "memory_bytes": measured["memory_bytes"],
        "seconds_a_trial": trial,
        "workers": workers,
        "seconds": searches * -(-options.trials // workers) * trial + last,
        "trials": options.trials,
        "epochs": settings.epochs,
        "images": settings.images or there["train"],
        "final_epochs": settings.final_epochs,
    }


def _seconds(images: float, measured: Metrics) -> float:
    """A training's time, which takes the best layout if it is long enough to try them."""
    plain = images / measured["plain"]
    return plain if plain < SHORT else images / measured["best"]


def _probed(probe: Probe, proposal: Proposal, seed: int) -> Metrics:
    with tempfile.TemporaryDirectory() as folder, Local(1) as runs:
        runs.submit(Task(0, "probe", probe, proposal, seed, Path(folder)))
        while not (ended := runs.wait(600)):
            runs.reports()
        try:
            return ended[0][1]()
        except Failed as failed:
            raise UserError(f"the probe failed ({failed.reason}): {failed.message}", code=ENVIRONMENT) from failed
