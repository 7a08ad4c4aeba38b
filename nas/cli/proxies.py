"""`nas proxies`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, final

import numpy as np
import tyro
from rich.console import RenderableType
from rich.table import Table

from nas import plugins
from nas.cli.leaderboard import whole
from nas.cli.parse import Command
from nas.cli.search import assigned
from nas.cli.speak import Said
from nas.data import Data, load
from nas.errors import INFEASIBLE, UserError, nearest
from nas.evaluators.scratch import device_of
from nas.files import existing
from nas.finding import Finding
from nas.problem import State, Trial
from nas.proxies import BATCH, COUNTS, DATA_FREE, PROXIES, Rows, draw, scored
from nas.proxies.ranks import both, spearman
from nas.ranking import LEAST, trust
from nas.roles import Array
from nas.space import Architecture, Json, Space
from nas.units import duration

WIDEST = 6
"""Proxies whose scores are listed by network; more than that only as JSON."""


@final
@dataclass(frozen=True, eq=False)
class _Asked:
    """The architectures to score, and what each reached where they were trained."""

    space: Space
    archs: list[Architecture]
    data: Data | None
    reached: Array | None = None


@final
@dataclass(frozen=True)
class Proxies(Command):
    """Score untrained networks: random ones of a space, or those of a run beside the accuracy that they reached.

    Parameters and MACs always stand beside, since most proxies follow the size of a network. Without --data only
    params, macs, l2_norm, synflow, zen and entropy can be had.

    Example: nas proxies nasbench201 --data cifar10 --names synflow,nwot --sample 50

    Example: nas proxies runs/mobile-fashion-mnist-1a2b3c4d
    """

    target: tyro.conf.Positional[str]
    """A space (see `nas spaces`), FILE.py:NAME, or a run's folder."""
    data: Annotated[str | None, tyro.conf.arg(metavar="TEXT")] = None
    """Whose training images are taken, as for `nas search`; a run has its own."""
    names: Annotated[str | None, tyro.conf.arg(metavar="NAME,NAME")] = None
    """Proxies joined by commas. Default: all that can be had."""
    sample: int = 20
    """How many random architectures of a space are scored."""
    batch: int = BATCH
    """Images of a batch."""
    seed: int = 0
    """Of the architectures, their weights and the images."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A setting of the space, NAME=VALUE."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        for name, value, least in (("sample", self.sample, 1), ("batch", self.batch, 2)):
            if value < least:
                raise UserError(f"--{name} must be at least {least}, got {value}")
        asked = self._of_run() if self._folder() else self._random()
        names = self._names(asked.data)
        device, begun = device_of(), time.monotonic()
        images = any(PROXIES[name].images for name in names)
        batches = draw(asked.data, seed=self.seed, size=self.batch, device=device) if asked.data and images else []
        if images and len(batches) < 2:
            what = f"two batches of {self.batch} images are needed, there are {len(asked.data.train)}"  # type: ignore[union-attr]  # there are images
            raise UserError(what, fix="give a smaller --batch")
        rows = scored(asked.space, asked.archs, names, batches, seed=self.seed, device=device, report=_Shown())
        if not np.isfinite(rows.values).any():
            raise UserError(f"no network of {asked.space.name} can be scored: {rows.why[0, names[0]]}", code=INFEASIBLE)
        made = _made(asked, rows, time.monotonic() - begun)
        made |= {"run": str(self._folder() or ""), "device": str(device), "batch": self.batch if images else 0}
        return Said(made, tuple(_people(made, rows, asked)))

    def _folder(self) -> str:
        folder = existing(self.target)
        return self.target if folder is not None and folder.is_dir() else ""

    def _names(self, data: Data | None) -> list[str]:
        given = [name for name in self.names.split(",") if name] if self.names is not None else None
        if given is not None and not given:
            raise UserError("--names is empty", fix="for example --names synflow,nwot")
        for name in given or ():
            if name not in PROXIES:
                raise nearest(name, PROXIES, what="proxy")
            if data is None and PROXIES[name].images:
                fix = f"add --data, or take from {', '.join(DATA_FREE)}"
                raise UserError(f"the proxy {name} needs images", fix=fix)
        wanted = given or (list(PROXIES) if data is not None else list(DATA_FREE))
        return list(dict.fromkeys([*COUNTS, *wanted]))

    def _random(self) -> _Asked:
        data = None if self.data is None else load(self.data, seed=self.seed)
        shape = {} if data is None else {"input": data.info.input, "classes": data.info.classes}
        space = plugins.space(self.target, **{**shape, **assigned(self.set)})
        rng, found = np.random.default_rng(self.seed), dict[str, Architecture]()
        for _ in range(20 * self.sample):
            arch = space.sample(rng)
            found.setdefault(arch.key, arch)
            if len(found) == self.sample:
                break
        return _Asked(space, list(found.values()), data)

    def _of_run(self) -> _Asked:
        finding = Finding.read(self.target)
        settings = finding.settings
        if self.data is not None or self.set:
            raise UserError("a run has its own data and settings", fix="leave out --data and --set")
        done = longest([t for t in finding.run.trials() if t.state is State.DONE and "accuracy" in t.metrics])
        if not done:
            raise UserError(finding.nothing(), fix=f"nas resume {self.target}", code=INFEASIBLE)
        data = load(settings.data, seed=settings.seed, image_size=settings.image_size)
        reached = np.array([t.metrics["accuracy"] for t in done])
        return _Asked(settings.made_space, [t.arch for t in done], data, reached)


def longest(trials: Sequence[Trial]) -> list[Trial]:
    """Those that were trained longest: only they can be compared."""
    most = max((t.proposal.budget or math.inf for t in trials), default=math.inf)
    return [t for t in trials if (t.proposal.budget or math.inf) == most]


@final
class _Shown:
    """How far the scoring is, a line on standard error every few seconds, with the time left."""

    def __init__(self) -> None:
        self._begun = self._said = time.monotonic()

    def __call__(self, done: int, networks: int) -> None:
        now = time.monotonic()
        if not done or (done < networks and now - self._said < 2) or now - self._begun < 2:
            return
        self._said = now
        left = (now - self._begun) / done * (networks - done)
        more = f", about {duration(left)} left" if done < networks else ""
        print(f"  {done}/{networks} networks{more}", file=sys.stderr, flush=True)


def _made(asked: _Asked, rows: Rows, seconds: float) -> dict[str, Any]:
    return {
        "space": asked.space.name,
        "data": asked.data.info.name if asked.data else "",
        "networks": len(asked.archs),
        "scored": rows.scored,
        "seconds": round(seconds, 3),
        "networks_per_s": rows.scored / seconds,
        "proxies": [_proxy(name, rows, asked.reached) for name in rows.names],
        "rows": [_row(n, asked, rows) for n in range(len(asked.archs))],
    }


def _proxy(name: str, rows: Rows, reached: Array | None) -> dict[str, Json]:
    column, seconds = rows.column(name), rows.seconds[:, rows.names.index(name)]
    mean = float(np.nanmean(seconds)) if np.isfinite(seconds).any() else math.nan
    made: dict[str, Json] = {"name": name, "about": PROXIES[name].about, "seconds": mean}
    made |= {"networks_per_s": 1 / mean if mean else math.nan, "missing": int((~np.isfinite(column)).sum())}
    if reached is None:
        return made | {f"spearman_{count}": spearman(column, rows.column(count)) for count in COUNTS}
    made |= {"spearman": spearman(column, reached), "tau": None}
    there = both(column, reached)
    if there.sum() >= LEAST:
        tau = trust(column[there], reached[there], {}).score
        made["tau"] = {"value": tau.tau, "low": tau.low, "high": tau.high, "n": tau.count}
    return made


def _row(n: int, asked: _Asked, rows: Rows) -> dict[str, Json]:
    arch = asked.archs[n]
    made: dict[str, Json] = {"key": arch.key, "arch": dict(arch.labels)}
    if asked.reached is not None:
        made["accuracy"] = float(asked.reached[n])
    made["scores"] = {name: whole(float(value)) for name, value in zip(rows.names, rows.values[n], strict=True)}
    return made | {"why": {name: rows.why[n, name] for name in rows.names if (n, name) in rows.why}}


def _people(made: dict[str, Any], rows: Rows, asked: _Asked) -> Iterator[RenderableType]:
    if len(rows.names) <= WIDEST:
        yield _listed(made, rows, asked)
    ran = bool(made["run"])
    grid = Table(box=None, pad_edge=False)
    grid.add_column("proxy", no_wrap=True)
    last = ("Spearman", "tau, 95 %") if ran else ("with params", "with MACs")
    for name in ("ms a network", *last, "missing"):
        grid.add_column(name, justify="right", no_wrap=True)
    for one in made["proxies"]:
        if ran:
            tau = one["tau"]
            told = "" if tau is None else f"{tau['value']:.2f} [{tau['low']:.2f}, {tau['high']:.2f}]"
            cells = (_number(one["spearman"]), told)
        else:
            cells = (_number(one["spearman_params"]), _number(one["spearman_macs"]))
        grid.add_row(one["name"], f"{1000 * one['seconds']:.1f}", *cells, str(one["missing"] or ""))
    yield grid
    rate = f"{made['networks_per_s']:.3g} networks a second on {made['device']}"
    yield f"{made['networks']} networks of {made['space']}, {made['scored']} different ones; {rate}"
    if ran:
        yield "Spearman and Kendall's tau with the accuracy of the run; a proxy is worth what it has above the counts"
    else:
        yield "Spearman with the counts, which say how far a proxy only follows the size of a network"
    for why in dict.fromkeys(f"{name}: {reason}" for (_, name), reason in sorted(rows.why.items())):
        yield f"missing {why}"


def _listed(made: dict[str, Any], rows: Rows, asked: _Asked) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in (*rows.names, *(["accuracy"] if made["run"] else [])):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("architecture", overflow="fold")
    for one, arch in zip(made["rows"], asked.archs, strict=True):
        spelt = asked.space.spell(arch) if asked.space.spelling else arch.key
        reached = [f"{one['accuracy']:.4f}"] if made["run"] else []
        table.add_row(*(f"{v:.6g}" for v in one["scores"].values()), *reached, spelt)
    return table


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"
