"""From what a user said to the settings of a run: what was left out is chosen by the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nas import plugins
from nas.data import load
from nas.errors import INFEASIBLE, UserError
from nas.graph import TooSmall, graph
from nas.latency.devices import hashed
from nas.latency.table import LATENCY
from nas.problem import COSTS, Constraint
from nas.room import smallest
from nas.settings import SHARED, Settings, usual
from nas.space import Json, Space
from nas.training import Recipe
from nas.training.rules import RULES
from nas.units import LIMITS, quantity


def settle(
    *,
    space: str = "",
    space_settings: Mapping[str, Json] | None = None,
    data: str = "",
    image_size: int | None = None,
    strategy: str = "auto",
    seed: int = 0,
    limits: tuple[Constraint, ...] = (),
    epochs: int | None = None,
    final_epochs: int | None = None,
    images: int | None = None,
    recipe: Mapping[str, Json] | None = None,
    supernet: str = "",
    device_file: str = "",
    warm_start: str | None = None,
    gpu: bool = False,
) -> Settings:
    """The settings of a search; what was left out is chosen by the data: a small cell space for digits, else mobile.

    warm_start: "scores", "" for nothing, or the folder of another run; None: scores where auto trains each candidate.
    """
    _refuse_values(epochs, final_epochs, seed, recipe)
    given = dict(space_settings or {})
    if not space:
        space = "nasbench201" if data in ("", "digits") else "mobile"
        if space == "nasbench201":
            given = {"cells": 1, **given}
    info = load(data or "digits", seed=seed, image_size=image_size).info
    made = plugins.space(space, **{"input": info.input, "classes": info.classes, **given})
    usually = usual(info, gpu=gpu)
    settings = Settings(
        space=plugins.absolute(space),
        space_settings=dict(made.settings) or {"input": list(info.input), "classes": info.classes, **given},
        code=plugins.source(space) + plugins.source(strategy),
        data=info.spec,
        data_hash=info.hash,
        image_size=image_size,
        strategy=plugins.absolute(strategy),
        seed=seed,
        epochs=epochs or usually["epochs"] * (SHARED if supernet else 1),
        final_epochs=final_epochs or usually["final_epochs"],
        images=usually["images"] if images is None else images,
        limits={c.metric: c.at_most for c in limits},
        recipe=dict(recipe or {}),
        supernet=supernet,
        device_file=str(Path(device_file).resolve()) if device_file else "",
        device_hash=hashed(device_file) if device_file else "",
        warm_start=("scores" if strategy == "auto" and not supernet else "") if warm_start is None else warm_start,
    )
    if device_file and LATENCY not in settings.limits:
        fix = "add --max latency=5ms, or leave out --device-file"
        raise UserError("a device file predicts latencies, and none is limited", fix=fix)
    if supernet:
        _refuse_unshared(supernet, made)
        _refuse_lengths(strategy)
    plugins.strategy(strategy, settings.problem, **({} if supernet else {"most": settings.epochs}))
    _refuse_small(settings, made)
    _refuse_impossible(settings)
    return settings


def _refuse_lengths(strategy: str) -> None:
    """Refuse a strategy of several lengths of training where nothing is trained."""
    if plugins.lengths(strategy):
        fix = "leave out --supernet, or choose another strategy"
        raise UserError(f"{strategy} trains for several lengths, a supernet rates without training", fix=fix)


def _refuse_values(epochs: int | None, final_epochs: int | None, seed: int, recipe: Mapping[str, Json] | None) -> None:
    """Refuse numbers out of range, and a recipe that none can be made of."""
    for name, value in (("epochs", epochs), ("final-epochs", final_epochs)):
        if value is not None and value < 1:
            raise UserError(f"--{name} must be at least 1, got {value}")
    if seed < 0:
        raise UserError(f"--seed must be 0 or more, got {seed}")
    Recipe(**{**(recipe or {}), "epochs": epochs or 1})


def _refuse_unshared(rule: str, space: Space) -> None:
    """Refuse a path rule that is not there, and a space whose networks cannot share weights."""
    if rule not in RULES:
        raise UserError(f"no path rule is called {rule!r}", fix=f"there are: {', '.join(RULES)}")
    if space.shares:
        raise UserError(
            f"the networks of {space.name!r} cannot share weights: {space.shares}",
            fix="leave out --supernet, or choose another space",
        )


def _refuse_small(settings: Settings, space: Space) -> None:
    """Refuse images that leave none of 20 random networks room."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        arch = space.sample(rng)
        try:
            graph(space.network(arch), space.input)
        except TooSmall as error:
            what, of = str(error), arch
        else:
            return
    side = smallest(space.network(of), space.input[0])
    fix = f"the smallest images that work are {side}x{side}: --image-size {side}" if side else "choose another space"
    raise UserError(f"images of {settings.made_info.name} are too small for {settings.space}: {what}", fix=fix)


def _refuse_impossible(settings: Settings) -> None:
    problem, rng = settings.problem, np.random.default_rng(0)
    if any(not problem.screen(problem.space.sample(rng)).broken for _ in range(20)):
        return  # finding the smallest one of a large space takes seconds
    for limit in problem.constraints:
        if limit.metric not in COSTS:
            continue
        _, least = problem.smallest(limit.metric)
        if least > limit.at_most:
            name = next(k for k, v in LIMITS.items() if v == limit.metric)
            raise UserError(
                f"no architecture of {settings.space} meets {name} <= {quantity(limit.metric, limit.at_most)}: "
                f"the smallest one needs {least:,.0f}",
                fix=f"give --max {name}={math.ceil(least)} or more",
                code=INFEASIBLE,
            )


def folder_of(settings: Settings) -> Path:
    """The folder of a run where none was given: runs/SPACE-DATA-xxxxxxxx."""
    return Path("runs") / f"{settings.made_space.name}-{settings.made_info.name}-{settings.hash}"
