"""What a search will cost: one short training in a worker, and a look at some random networks."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from nas.build import build
from nas.data import load, subset
from nas.errors import ENVIRONMENT, UserError
from nas.evaluators import Source
from nas.evaluators.scratch import device_of
from nas.executors import Local
from nas.options import Options
from nas.problem import Metrics, Proposal
from nas.roles import Failed, Task, Work
from nas.settings import Settings
from nas.space import Json, Space
from nas.training import Recipe, fit, seeded

SAMPLE, IMAGES = 32, 1024
"""How many networks are looked at, and how many images the probe trains on."""


@final
@dataclass(frozen=True)
class Probe:
    """Trains on a few images; gives images per second and the memory that the process took."""

    space: Space
    source: Source
    recipe: Recipe

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        """Two short trainings, the second of which is timed."""
        data, device = self.source.load(), device_of()
        few = subset(data.train, min(IMAGES, len(data.train)), seed=0)
        for _ in range(2):
            with seeded(0):
                module = build(self.space.network(proposal.arch), self.space.input).to(device)
            start = time.perf_counter()
            fit(module, few, None, data.info, self.recipe, seed=0, device=device, folder=None, report=lambda e, m: None)
            seconds = time.perf_counter() - start
        kilo = 1 if sys.platform == "darwin" else 1024
        return {
            "images_per_second": len(few) / seconds,
            "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo,
        }


def estimate(settings: Settings, options: Options) -> dict[str, Json]:
    """Parameters and MACs of random networks, memory and seconds of a trial, seconds of the whole search."""
    rng = np.random.default_rng(settings.seed)
    problem, recipe = settings.problem, settings.trained(1)
    archs = [problem.sample(rng) for _ in range(SAMPLE)]
    costs = {name: sorted(problem.screen(a).metrics[name] for a in archs) for name in ("params", "macs")}
    typical = sorted(archs, key=lambda a: problem.screen(a).metrics["macs"])[SAMPLE // 2]
    with tempfile.TemporaryDirectory() as folder:
        runs = Local(1)
        try:
            runs.submit(
                Task(
                    0,
                    "probe",
                    Probe(problem.space, settings.source, recipe),
                    Proposal(typical),
                    settings.seed,
                    Path(folder),
                )
            )
            ended = runs.wait(600)
            while not ended:
                runs.reports()
                ended = runs.wait(600)
            measured = ended[0][1]()
        except Failed as failed:
            raise UserError(f"the probe failed ({failed.reason}): {failed.message}", code=ENVIRONMENT) from failed
        finally:
            runs.close()
    there = load(settings.data, seed=settings.seed, image_size=settings.image_size).info.counts
    cores = len(os.sched_getaffinity(0))
    workers = options.workers or (max(1, int(1 / options.gpus_per_trial)) if options.gpus_per_trial else cores)
    # The probe had all cores; a worker beside others has one.
    speed = measured["images_per_second"] / (1 if options.gpus_per_trial else min(workers, cores) ** 0.5)
    trial = (settings.images or there["train"]) * settings.epochs / speed + there["validation"] * settings.epochs / (
        3 * speed
    )
    last = (there["train"] + there["validation"]) * settings.final_epochs / measured["images_per_second"]
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
