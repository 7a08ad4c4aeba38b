"""Scalable reinforcement learning with many agents (Balaprakash et al. 2019, arXiv:1909.00311), in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np

from experiments._agreement import agreement
from experiments._measured import measured, summary
from nas.data.augment import Augment
from nas.experiment import Experiment
from nas.oneshot import some
from nas.problem import Problem
from nas.roles import Strategy
from nas.space import Json
from nas.strategies import Evolution, Random
from nas.strategies.agents import Agents
from nas.training import Recipe


@final
@dataclass(frozen=True)
class Config:
    """Asynchronous agents (A3C), synchronous ones (A2C), random search and aging evolution on 8 to 256 workers.

    Example: nas run scalable_rl --data digits --virtual 8 64 256 --evaluations 600
    """

    data: str = "digits"
    """What is classified, cut in three inputs of which the outer ones share a tower: see `nas search --help`."""
    widths: tuple[int, ...] = (32, 128, 512)
    """Units of the dense layers: 100, 500 and 1000 in the paper."""
    nodes: int = 1
    """Nodes of each of the three blocks, 13 operations each: all 13^(3 nodes) networks are trained for an epoch."""
    virtual: tuple[int, ...] = (8, 64, 256)
    """Simulated workers: 256 to 1,024 nodes in the paper."""
    batch: int = 8
    """Workers of an agent: 11 in the paper."""
    evaluations: int = 600
    """Of each search, whatever its workers."""
    seeds: int = 3
    """Searches of each kind."""
    check: int = 8
    """Networks that are trained longer, to see how far one epoch can be trusted."""
    alone: int = 20
    """Epochs of each: 20 in the paper."""
    seed: int = 0
    """Of the split and the trainings."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Train everything for an epoch, once; then replay the measured seconds for each kind of search."""
    data = run.data(config.data)
    shape: Json = {"parts": 3, "mirrored": (0, 2), "nodes": config.nodes, "cells": 1, "widths": config.widths}
    problem = Problem(run.space("tabular", data, **shape))
    plain: Json = {"precision": "fp32", "layout": "contiguous", "compile": "off", "ema": 0.0, "augment": Augment()}
    told = measured(run, data, problem.space, list(problem.space), Recipe(epochs=1, batch_size=128, lr=0.4, **plain))
    good = float(np.quantile([reached for reached, _ in told.rows.values() if reached is not None], 0.9))
    found: dict[str, Json] = {"networks": len(told.rows), "quality": round(good, 4)}
    for workers in config.virtual:
        size: Json = {"agents": max(1, workers // config.batch), "workers": min(workers, config.batch), "patience": 1}
        kinds: dict[str, Callable[[], Strategy]] = {
            "A3C": partial(Agents, problem, **size),
            "A2C": partial(Agents, problem, exchange="synchronous", **size),
            "RDM": partial(Random, problem),
            "evolution": partial(Evolution, problem, 50, 10),
        }
        for kind, make in kinds.items():
            lines = told.replayed(make, problem, workers, config.evaluations, config.seeds)
            found[f"{kind} on {workers}"] = summary(lines, good)
    drawn = some(problem, config.check, np.random.default_rng(config.seed))
    longer = run.scratch(problem.space, data, epochs=config.alone)
    real = run.rate(problem, drawn, longer, study="check", epochs=config.alone)
    rated = {arch: told.rows[arch][0] or 0.0 for arch in drawn}
    return {**found, "check": agreement(problem, rated, {arch: m["accuracy"] for arch, m in real.items()})}
