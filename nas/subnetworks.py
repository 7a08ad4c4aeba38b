"""The sub-networks of a run's supernet: rated by what they inherit, and timed on a device."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final

import numpy as np

from nas import plugins
from nas.build import Network, build
from nas.data import Data
from nas.errors import UserError
from nas.evaluators import Source
from nas.evaluators.oneshot import Inherited
from nas.evaluators.rating import Rater
from nas.evaluators.scratch import WEIGHTS
from nas.expected import Predictions, Timing
from nas.finding import Finding
from nas.latency.devices import device
from nas.latency.timing import called, latency
from nas.problem import COSTS, Problem
from nas.programs.additive import Additive, columns_of
from nas.programs.choose import Chooser
from nas.programs.tables import Tables, costs
from nas.run import Run
from nas.space import Architecture, Rng, Space

CALIBRATION, IMAGES = 512, 1000
"""Training images for the statistics of a sub-network, and validation images that rate it."""
LEAST, SECONDS = 24, 12.0
"""So many random sub-networks are looked at, at least; and for so long."""
FEWEST = 3
"""Sub-networks that a ridge is fitted on, at least."""
REPEATS = 3
"""How often a sub-network is timed for the model of latencies, of which the least counts: what else runs only adds."""
CLOSE = 1e-3
"""By so much a network's outputs may differ from those of its path in the supernet."""


@final
class Subnetworks:
    """What is known of the sub-networks of a supernet; it is kept in the run, so that a second look goes on from it.

    on: cpu or cuda, where latencies are measured. Raises UserError for a run without a supernet, and, naming the first
    thing that differs, for one whose space has changed since.
    """

    def __init__(self, run: Run, on: str, study: str = "supernet") -> None:
        of, folder = run.store.fact(f"{study}.of"), run.folder.resolve() / study
        if of is None:
            raise UserError(f"the run {run.folder} holds no {study}", fix="give a one-shot run: nas run spos")
        if not (folder / WEIGHTS).is_file():
            fix = "give the command that began it again"
            raise UserError(f"the {study} of {run.folder} is not trained to its end", fix=fix)
        self.run, self.study, self.device = run, study, device(on)
        self.space = _space(run, of)
        self.source = Source(**of["data"])
        self.weights = hashlib.blake2b((folder / WEIGHTS).read_bytes(), digest_size=8).hexdigest()
        self._inherited = Inherited(self.space, self.source, folder, CALIBRATION, IMAGES)
        self._columns, self._free = columns_of(self.space), Problem(self.space)
        self.rated: dict[Architecture, float] = {}
        self.timed: dict[Architecture, list[float]] = {}
        self._others: dict[Architecture, dict[str, list[float]]] = {}
        self.sample: list[Architecture] = []
        self.spent = 0.0
        self._recall()

    @cached_property
    def data(self) -> Data:
        """The data of the run, train and validation alone."""
        return self.source.load()

    @cached_property
    def rater(self) -> Rater:
        """What rates them, all on the same images; UserError where the supernet is of another tree."""
        return self._inherited.rater(self.data)

    def rate(self, arch: Architecture) -> float:
        """The accuracy on validation images with the weights that it inherits."""
        if arch not in self.rated:
            self.rated[arch] = self.rater(arch)["accuracy"]
        return self.rated[arch]

    def module(self, arch: Architecture) -> Network:
        """A sub-network to be timed, on the device; its weights are its first ones."""
        return build(self.space.network(arch), self.space.input).to(self.device)

    def inherited(self, arch: Architecture) -> Network:
        """A sub-network with the weights that it inherits and the statistics that it was rated with, on the CPU.

        Raises UserError where it needs a part that networks have only while they are searched.
        """
        module, supernet = build(self.space.network(arch), self.space.input).eval(), self.rater.supernet
        first, held = module.state_dict(), self.rater.statistics(arch)
        own = {name: value.detach() for name, value in {**supernet.weights(arch), **held}.items()}
        x = next(module.parameters()).new_tensor(np.random.default_rng(0).standard_normal((4, *self.space.input)))
        if own.keys() <= first.keys():
            module.load_state_dict({**first, **own})
            gap = float((module(x) - supernet(x.to(self.rater.device), arch, held).cpu()).abs().max().detach())
        if not own.keys() <= first.keys() or not gap < CLOSE:
            parts = ", ".join(f"{name}={value}" for name, value in supernet.parts.items())
            what = f"the supernet's networks have parts that no exported network has ({parts})"
            raise UserError(what, fix="train the supernet without them")
        return module

    def quick(self, arch: Architecture) -> float:
        """The least of a few latencies, in seconds."""
        times = self.timed.setdefault(arch, [])
        module = self.module(arch) if len(times) < REPEATS else None
        while module is not None and len(times) < REPEATS:
            times.append(latency(module, self.space.input, self.device))
        return min(times)

    def metrics(self, arch: Architecture) -> Mapping[str, float]:
        """Its params, MACs and activations."""
        return self._free.screen(arch).metrics

    def learn(self, seconds: float, seed: int) -> None:
        """Rate and time random sub-networks until so many seconds were spent on it, this time and before.

        Of four drawn each time the smallest, any, the largest, any by turns, so that the ends are known as well. A
        network is timed again beside the next two, so that what else the machine did meanwhile is not taken for it.
        """
        for arch in self.sample:
            self.quick(arch)
        recent: deque[tuple[Architecture, Network]] = deque(maxlen=REPEATS)
        began, before = time.monotonic(), self.spent
        for number in range(len(self.sample), int(min(self.space.size, 10_000))):
            if number >= LEAST and self.spent >= seconds:
                break
            arch = self._drawn(number, np.random.default_rng((seed, number)))
            self.rate(arch)
            if arch not in self.timed:
                self.sample.append(arch)
            recent.append((arch, self.module(arch)))
            for known, module in recent:
                self.timed.setdefault(known, []).append(latency(module, self.space.input, self.device))
            self.spent = before + time.monotonic() - began

    def _drawn(self, number: int, rng: Rng) -> Architecture:
        for _ in range(50):
            some = [self._free.sample(rng) for _ in range(4)]
            ordered = sorted(some, key=lambda a: self.metrics(a).get("macs", 0.0))
            arch = (ordered[0], some[0], ordered[-1], some[1])[number % 4]
            if arch not in self.rated:
                break
        return arch

    def keep(self) -> None:
        """Write what is known into the run."""
        every = dict.fromkeys([*self.sample, *self._others, *self.timed, *self.rated])  # the sample first
        mine, rows = called(self.device), list[dict[str, Any]]()
        for arch in every:
            times = {**(self._others.get(arch) or {}), **({mine: self.timed[arch]} if arch in self.timed else {})}
            rows.append({"choices": dict(arch.labels), "accuracy": self.rated.get(arch), "times": times})
        known = {"weights": self.weights, "images": [CALIBRATION, IMAGES], "sample": len(self.sample)}
        self.run.store.put(f"specialise.{self.study}", {**known, "spent": self.spent, "rows": rows})

    def _recall(self) -> None:
        known = self.run.store.fact(f"specialise.{self.study}") or {}
        if known.get("weights") != self.weights or known.get("images") != [CALIBRATION, IMAGES]:
            return
        mine = called(self.device)
        for row in known["rows"]:
            arch = Architecture(self.space.name, tuple(sorted(row["choices"].items())))
            self._others[arch] = row["times"]
            if row["accuracy"] is not None:
                self.rated[arch] = row["accuracy"]
            if mine in row["times"]:
                self.timed[arch] = row["times"][mine]
            if len(self.sample) < known["sample"]:
                self.sample.append(arch)
        self.spent = known["spent"]

    def predictions(self) -> Predictions | None:
        """What the ratings and times so far say of all others; None where there are too few."""
        archs = [a for a in self.rated if self.timed.get(a)]
        if len(archs) < FEWEST:
            return None
        accuracy = Additive.fit(archs, np.array([self.rated[a] for a in archs]), self._columns)
        archs = [a for a, times in self.timed.items() if times]
        seconds = Timing(self._free, archs, np.array([min(self.timed[a]) for a in archs]), self._columns)
        return Predictions(self.space, accuracy, seconds, self._chooser, self._costs)

    @cached_property
    def _chooser(self) -> Chooser | None:
        try:
            return Chooser(self.space)
        except UserError:
            return None

    def _costs(self) -> Mapping[str, Tables]:
        return self._tables

    @cached_property
    def _tables(self) -> Mapping[str, Tables]:
        return costs(self.space, COSTS)


def _space(run: Run, of: Mapping[str, Any]) -> Space:
    """The space of a supernet: of a search by its settings, which know a user's own file; of an experiment by name."""
    finding = Finding(run)
    if finding.experiment:
        return plugins.space(of["space"], **of["settings"])
    finding.settings.check_code()
    return finding.settings.made_space


def middle(times: Sequence[float]) -> float:
    """The median of several latencies."""
    return statistics.median(times)
