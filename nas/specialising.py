"""Specialising: from one supernet a sub-network for each of several targets, without training (arXiv:1908.09791)."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from nas import plugins
from nas.errors import UserError
from nas.export import export
from nas.finding import CHECK
from nas.latency.timing import called, latency
from nas.oneshot import judged
from nas.problem import COSTS, Constraint, Problem, State
from nas.run import Run
from nas.space import Architecture, Json
from nas.subnetworks import SECONDS, Subnetworks, middle
from nas.units import limit, quantity

FOLDER, REPRO, RATINGS = "specialised", "repro.json", "check-ratings"
NOISE = 1.25
"""A latency is not thought to be lengthened more than so many times by what else runs."""
MEDIANS = 5
"""How often a latency, itself a median of 20, is measured before it decides; of several networks in turn."""
MARGIN = 0.03
"""All but one of the medians must be so far below a target."""
PROPOSED, FINALISTS, ROUNDS = 4, 3, 5
"""Networks that predictions propose at a time, finalists that are measured to decide, and how often that is done."""
CLOSER = 0.95
"""The latency that is looked for after no finalist kept the target, in parts of the one before, at most."""
RETRIES = 2
"""How often an exported network that is too slow when measured again makes room for a faster one."""

Say = Callable[[str], None]


@final
@dataclass(frozen=True)
class Target:
    """Limits that one sub-network must keep, as they were typed."""

    text: str
    limits: tuple[Constraint, ...]

    @staticmethod
    def read(text: str) -> Target:
        """The target of `latency=5ms` or `latency=5ms,params=1M`; UserError where it is none."""
        limits = tuple(limit(part.strip()) for part in text.split(","))
        names = [one.metric for one in limits]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UserError(f"the target {text} limits {twice[0]} twice", fix="give each target a --max of its own")
        return Target(text.replace(" ", ""), limits)

    @property
    def latency(self) -> float:
        """The seconds that one image may take; infinite where nothing is said."""
        return next((c.at_most for c in self.limits if c.metric not in COSTS), math.inf)

    @property
    def costs(self) -> tuple[Constraint, ...]:
        """The limits that need no device."""
        return tuple(c for c in self.limits if c.metric in COSTS)

    @property
    def folder(self) -> str:
        """It as the name of a folder: latency-5ms-params-1M."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.text)


@final
@dataclass(frozen=True, eq=False)
class Specialised:
    """What a target came to.

    arch: the sub-network, or the nearest where `short` says why none meets the target. accuracy: inherited, on
    validation images; random: the best of the random sample that keeps the target, None where none does. medians: the
    latencies that decided; again: measured once more, of the exported module.
    """

    target: Target
    arch: Architecture
    accuracy: float
    random: float | None
    costs: Mapping[str, float]
    medians: tuple[float, ...]
    short: str = ""
    folder: Path | None = None
    again: float = math.nan

    @property
    def latency(self) -> float:
        """The median of the medians, in seconds."""
        return middle(self.medians)

    @property
    def kept(self) -> bool:
        """Whether the exported module keeps the target too."""
        return not self.short and self.again <= self.target.latency


def specialise(
    run: Run,
    targets: Sequence[Target],
    *,
    on: str = "cpu",
    seconds: float = SECONDS,
    seed: int = 0,
    study: str = "supernet",
    say: Say = lambda text: None,
) -> tuple[list[Specialised], Subnetworks]:
    """The best sub-network for each target, exported under RUN/specialised; and what was learnt on the way.

    seconds: for rating and timing random sub-networks, all calls together. Raises UserError as `Subnetworks` does.
    """
    known = Subnetworks(run, on, study)
    began = time.monotonic()
    try:
        known.learn(seconds, seed)
        say(f"{len(known.sample)} random sub-networks rated and timed on {called(known.device)}")
        search = _Search(known, seed)
        found = {target: search.found(target, target.latency) for target in targets}
        say(f"chosen after {time.monotonic() - began:.0f} s; writing and proving them")
        for attempt in range(RETRIES + 1):
            new = [t for t, one in found.items() if not one.short and one.folder is None]
            for t in new:
                found[t] = replace(found[t], folder=_exported(known, found[t]))
            slow = _again(known, found, new)
            if attempt < RETRIES:
                for t in slow:
                    what = (
                        f"{t.text}: {quantity('latency_s', found[t].again)} when measured again, a faster one follows"
                    )
                    say(what)
                    search.barred.setdefault(t, set()).add(found[t].arch)
                    other = search.found(t, t.latency * found[t].latency / found[t].again)
                    found[t] = other if not other.short else found[t]
    finally:
        known.keep()
    return [found[target] for target in targets], known


@final
@dataclass(eq=False)
class _Search:
    """The choice of sub-networks by predictions, and by measuring what they propose.

    ratio: measured over expected latency of what was proposed, which is more than 1 since the best by a prediction are
    also those in whose favour it errs.
    """

    known: Subnetworks
    seed: int
    barred: dict[Target, set[Architecture]] = field(default_factory=dict)
    medians: dict[Architecture, tuple[float, ...]] = field(default_factory=dict)
    ratios: list[float] = field(default_factory=lambda: [1.0])

    def found(self, target: Target, allowed: float) -> Specialised:
        """The most accurate known sub-network within a target, of which predictions propose some; or the nearest."""
        roof, barred = (1 - MARGIN) * allowed, self.barred.get(target, set())
        for n in range(ROUNDS):
            self.propose(target, roof, np.random.default_rng((self.seed, n)), barred)
            there = [a for a in self.within(target) if a not in barred and self.known.quick(a) <= roof]
            if kept := self.settled(there[:FINALISTS], allowed):
                return self.told(target, kept)
            longer = [sorted(self.medians[a])[-2] / self.known.quick(a) for a in there[:FINALISTS]]
            noise = min(max(float(np.median(longer or [1.0])), 1.0), NOISE)
            roof = min(CLOSER * roof, (1 - MARGIN) * allowed / noise)
        model, rng = self.known.predictions(), np.random.default_rng(self.seed)
        for arch in model.fastest(target.costs, rng, count=FINALISTS) if model else ():
            self.known.quick(arch)
            self.known.rate(arch)
        there = sorted((a for a in self.within(target) if a not in barred), key=self.known.quick)
        kept = self.settled(there[:FINALISTS], allowed)
        return self.told(target, kept) if kept else self.nearest(target)

    def propose(self, target: Target, roof: float, rng: np.random.Generator, barred: Collection[Architecture]) -> None:
        """Time what the predictions propose, and rate what is fast enough."""
        known, model, ratio = self.known, self.known.predictions(), max(1.0, float(np.median(self.ratios)))
        if model is None:
            return
        archs = model.best(target.costs, roof / ratio, rng, count=PROPOSED, without=barred)
        for arch in archs:
            seconds = known.quick(arch)
            self.ratios.append(seconds / max(float(model.seconds([arch])[0]), 0.1 * seconds))
            if seconds <= target.latency:
                known.rate(arch)

    def settled(self, archs: Sequence[Architecture], allowed: float) -> Architecture | None:
        """The most accurate of these that is measured to keep a latency with a margin.

        Where none does, those that were fast enough at times are measured anew, once.
        """
        limit = (1 - MARGIN) * allowed
        for _ in range(2):
            self.measure(archs)
            if kept := [a for a in archs if sorted(self.medians[a])[-2] <= limit]:
                return max(kept, key=self.known.rate)
            self.medians = {a: times for a, times in self.medians.items() if a not in archs or min(times) > limit}
        self.measure(archs)
        return None

    def within(self, target: Target) -> list[Architecture]:
        """The known sub-networks that keep the limits on costs, the most accurate first."""
        limits = Problem(self.known.space, constraints=target.costs)
        there = [a for a in self.known.rated if a in self.known.timed and not limits.violation(self.known.metrics(a))]
        return sorted(there, key=lambda a: -self.known.rated[a])

    def measure(self, archs: Sequence[Architecture]) -> None:
        """Several latencies of each, in turn, so that a disturbance meets all of them."""
        fresh = {arch: self.known.module(arch) for arch in archs if arch not in self.medians}
        times = _in_turn(self.known, list(fresh.values()))
        self.medians |= dict(zip(fresh, times, strict=True))

    def told(self, target: Target, arch: Architecture, short: str = "") -> Specialised:
        known = self.known
        self.measure([arch])
        sample, roof = set(known.sample), (1 - MARGIN) * target.latency
        random = [known.rated[a] for a in self.within(target) if a in sample and known.quick(a) <= roof]
        best = max(random, default=None)
        return Specialised(target, arch, known.rate(arch), best, known.metrics(arch), self.medians[arch], short)

    def nearest(self, target: Target) -> Specialised:
        """The sub-network that breaks the target least, and what it breaks."""
        known, problem = self.known, Problem(self.known.space, constraints=target.limits)
        free = Problem(known.space)
        there = {*known.timed, *(free.smallest(c.metric)[0] for c in target.costs)}

        def costs(arch: Architecture) -> dict[str, float]:
            return {**known.metrics(arch), "latency_s": known.quick(arch)}

        arch = min(there, key=lambda a: (problem.violation(costs(a)), a.key))
        self.measure([arch])
        reached = {**known.metrics(arch), "latency_s": max(self.medians[arch])}
        parts = [
            f"{c.metric.removesuffix('_s')} {quantity(c.metric, reached[c.metric])}"
            for c in target.limits
            if reached[c.metric] > c.at_most or c.metric not in COSTS
        ]
        return self.told(target, arch, f"no sub-network keeps {target.text}; the nearest has {' and '.join(parts)}")


def _in_turn(known: Subnetworks, modules: Sequence[Any]) -> list[tuple[float, ...]]:
    """Several latencies of each module, a round of all of them after another."""
    rounds = [[latency(m, known.space.input, known.device) for m in modules] for _ in range(MEDIANS)]
    return list(zip(*rounds, strict=True)) if modules else []


def _exported(known: Subnetworks, one: Specialised) -> Path:
    """The folder of a sub-network in plain PyTorch, proved; one that is there already is left as it is."""
    to = known.run.folder / FOLDER / one.target.folder
    made = {"key": one.arch.key, "weights": known.weights, "target": one.target.text, "on": called(known.device)}
    if (to / REPRO).is_file() and json.loads((to / REPRO).read_text(encoding="utf-8")).get("inherited") == made:
        return to
    info = known.data.info
    about = {
        "input": {"mean": list(info.mean), "std": list(info.std), "classes": list(info.class_names)},
        "metrics": {"val_accuracy": one.accuracy, "latency_s": one.latency, **one.costs},
        "repro": {"run": str(known.run.folder), "supernet": known.study, "inherited": made},
    }
    architecture = {"space": one.arch.space, "settings": dict(known.space.settings), "choices": dict(one.arch.labels)}
    network, module = known.space.network(one.arch), known.inherited(one.arch)
    export(network, known.space.input, module, to, name=one.arch.space, about=about, architecture=architecture)
    return to


def _again(known: Subnetworks, found: dict[Target, Specialised], new: Sequence[Target]) -> list[Target]:
    """Measure the exported modules, loaded from their files; those that are slower than their targets."""
    loaded = [plugins.own(f"{found[t].folder}/model.py:load")().to(known.device) for t in new]
    for t, times in zip(new, _in_turn(known, loaded), strict=True):
        found[t] = replace(found[t], again=middle(times))
    return [t for t in new if not found[t].kept]


def verdict(known: Subnetworks, seed: int = 0) -> dict[str, Json] | None:
    """How far the supernet's ratings rank truly, where the run trained some sub-networks alone; None where not."""
    run, rated = known.run, (State.DONE, State.REPEAT)
    if said := run.store.fact(CHECK):
        return dict(said)
    alone, inherited = ({t.arch: t.metrics for t in run.trials(s) if t.state in rated} for s in ("check", RATINGS))
    found = judged(Problem(known.space), alone, inherited, seed=seed)
    return found if "tau" in found else None
