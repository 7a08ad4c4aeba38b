"""Every setting of a search that changes its results: they name its folder, and a run is refused under others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import final

from nas import plugins
from nas.data import Info, load
from nas.data.augment import Augment
from nas.errors import UserError
from nas.evaluators import Source
from nas.graph import Graph
from nas.latency.devices import hashed, read
from nas.latency.table import LATENCY, Table
from nas.problem import COSTS, Constraint, Metrics, Objective, Problem
from nas.space import Json, Space
from nas.training import Recipe

FORMAT = 1
IMAGES = 12_000
"""How many images train a candidate where no GPU is at hand and nothing else was said."""

SHARED = 4
"""A supernet is trained for so many times the epochs of one network."""


@final
@dataclass(frozen=True)
class Settings:
    """What a search is made from.

    space_settings: what its function is given, `input` and `classes` included; code: a hash of a user's own files.
    limits: by metric; epochs, images: of a candidate's training; final_epochs: of the last one, on all images.
    supernet: the path rule of one training that all candidates inherit from, and epochs are its; "" trains each alone.
    warm_start: where what is tried first comes from: "scores", the run whose best are `first`, or "".
    device_file: predicts latencies, which then nobody measures; device_hash: of its contents.
    """

    space: str
    space_settings: Mapping[str, Json]
    code: str
    data: str
    data_hash: str
    image_size: int | None
    strategy: str
    seed: int
    epochs: int
    final_epochs: int
    images: int
    limits: Mapping[str, float] = field(default_factory=dict)
    recipe: Mapping[str, Json] = field(default_factory=dict)
    supernet: str = ""
    device_file: str = ""
    device_hash: str = ""
    warm_start: str = ""
    first: tuple[Mapping[str, Json], ...] = ()
    format: int = FORMAT

    @cached_property
    def hash(self) -> str:
        """8 hex digits of all settings; the path of the data and of a user's file count by their contents alone."""
        counted = self.json() | {"data": "", "space": self.space.rpartition("/")[2]}
        if not self.supernet:
            del counted["supernet"]  # a run of an earlier nas keeps its name
        del counted["device_file"]  # its contents count
        for name in ("device_hash", "warm_start", "first"):
            if not counted[name]:
                del counted[name]
        text = json.dumps(counted, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def json(self) -> dict[str, Json]:
        """The settings as plain values."""
        return asdict(self)

    @staticmethod
    def from_json(made: Mapping[str, Json]) -> Settings:
        """The settings of a run's file; UserError where it is of another version or torn."""
        if made.get("format") != FORMAT:
            raise UserError(
                f"the run was written in format {made.get('format')}, this nas reads format {FORMAT}",
                fix="open it with the nas that made it, or give another --out",
            )
        try:
            return Settings(**{**made, "first": tuple(made.get("first", ()))})
        except TypeError as error:
            raise UserError(f"the run's settings are torn: {error}", fix="give another --out") from error

    @cached_property
    def made_space(self) -> Space:
        """The space."""
        return plugins.space(self.space, **self.space_settings)

    @cached_property
    def made_info(self) -> Info:
        """What is known of the data."""
        return load(self.data, seed=self.seed, image_size=self.image_size).info

    @cached_property
    def problem(self) -> Problem:
        """The space, the accuracy wanted, and the limits."""
        limits = tuple(Constraint(metric, value) for metric, value in sorted(self.limits.items()))
        return Problem(self.made_space, (Objective("accuracy", "max"),), limits, self.expect)

    @cached_property
    def expect(self) -> Callable[[Graph], Metrics] | None:
        """What a device file says of a network's latency; None without one. UserError where the file has changed."""
        if not self.device_file:
            return None
        if hashed(self.device_file) != self.device_hash:
            what = f"the device file {self.device_file} has changed since the run began"
            raise UserError(what, fix="bring it back, or begin another run")
        return Table(self.made_space, read(self.device_file)).metrics

    @property
    def measured(self) -> tuple[Constraint, ...]:
        """The limits that a worker must measure on its device."""
        known = COSTS if self.expect is None else (*COSTS, LATENCY)
        return tuple(c for c in self.problem.constraints if c.metric not in known)

    @cached_property
    def source(self) -> Source:
        """Which data a worker loads."""
        return Source(self.data, self.seed, self.data_hash, self.images, self.image_size)

    @property
    def alone(self) -> int:
        """Epochs of a network that is trained alone: a candidate's, or those of one that checks a supernet."""
        return max(1, self.epochs // SHARED) if self.supernet else self.epochs

    def check_code(self) -> None:
        """Raise UserError where a user's own file is no longer the one that the run was made from."""
        if plugins.source(self.space) + plugins.source(self.strategy) != self.code:
            files = " or ".join(filter(None, map(plugins.filed, (self.space, self.strategy))))
            raise UserError(f"{files} has changed since the run began", fix="bring it back, or begin another run")

    def trained(self, epochs: int) -> Recipe:
        """The recipe of a training of so many epochs."""
        given = dict(self.recipe)
        if isinstance(given.get("augment"), Mapping):
            given["augment"] = Augment(**given["augment"])
        return Recipe(**{**given, "epochs": epochs})


def usual(info: Info, *, gpu: bool) -> dict[str, int]:
    """How long trainings usually are for so many images: `images`, `epochs` of a candidate, `final_epochs`.

    A candidate sees about 36,000 images without a GPU, and as many epochs of all of them with one; the last training
    about 600,000 and 3,000,000.
    """
    there = info.counts["train"]
    images = 0 if gpu or there <= IMAGES else IMAGES
    seen, last = (600_000, 3_000_000) if gpu else (36_000, 600_000)
    epochs = min(20, max(3, round(seen / (images or there))))
    return {"images": images, "epochs": epochs, "final_epochs": min(60, max(8, round(last / (there * 7 / 6))))}


def differs(old: Settings, new: Settings) -> str:
    """The first setting in which two runs differ, as "name: old, not new"; "" where they are the same."""
    mine, theirs = old.json(), new.json()
    for name in (n for n in mine if n not in ("data", "device_file")):
        if json.dumps(mine[name], sort_keys=True) != json.dumps(theirs[name], sort_keys=True):
            return f"{name} is {mine[name]} there, {theirs[name]} here"
    return ""
