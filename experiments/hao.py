"""Operations and bits, layer by layer, under latency and memory budgets by an exact program, after HAO.

Dong et al. 2021, arXiv:2104.12766. The paper designs an FPGA accelerator beside the network and rates networks that
were quantised and tuned. Here no accelerator is designed: the latency is a ridge on published measurements of a GPU
(or MACs), which the bits do not change. Nor were the rated networks quantised: what rounding does to the weights is a
budget of its own, the error of uniform weights, all layers alike (HAWQ's measure, arXiv:1911.03852, with every Hessian
trace 1).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from experiments._published import measured
from nas.errors import UserError
from nas.experiment import Experiment
from nas.problem import Problem
from nas.profile import profile
from nas.programs.choose import Chooser
from nas.programs.tables import costs, several
from nas.roles import Array
from nas.space import Architecture, Json, Space
from nas.strategies import Random
from predictors.ridge import Ridge
from search_spaces.ofa import ofa
from search_spaces.ops.precision import error, quantised, weights

FEWEST = 10
"""Rated networks; a fifth of them is held out once, to see what the ridge is worth."""


@final
@dataclass(frozen=True)
class Config:
    """Operation and bits of every layer.

    Example: nas run hao --accuracy ofa_accuracy.parquet --latency ofa_latency.parquet --memory 3e6
    """

    accuracy: str = ""
    """A Parquet table of rated Once-for-all sub-networks (arch, imagenet_top1). Default: networks trained here."""
    latency: str = ""
    """A Parquet table of their latencies. Default: MACs stand for latency."""
    device: str = "v100_64_ms"
    """The column of the latencies."""
    budget: float = 0.0
    """The latency, in the table's unit (or MACs), that may be used; 0 for the median of the rated networks."""
    memory: float = 0.0
    """Bytes of weights that may be used; 0 for 7 bits a parameter of the median rated network."""
    error: float = 0.002
    """The mean squared rounding error that the weights may have, as a share of their mean square."""
    bits: tuple[int, ...] = (4, 8)
    """What a block's weights may be kept in; stem and classifier have 8."""
    data: str = "digits"
    """What the networks trained here classify."""
    trials: int = 24
    """Networks trained here."""
    epochs: int = 3
    """Epochs of each."""
    seed: int = 0
    """Of the split, the trainings and the held-out networks."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Rate sub-networks; fit a sum over choices; then the best operations and bits within the budgets, exactly."""
    space, archs, rates = rated(run, config)
    if len(rates) < FEWEST:
        raise UserError(
            f"{len(rates)} networks are rated, a ridge and its check need {FEWEST}", fix="give more --trials"
        )
    order = np.random.default_rng(config.seed).permutation(len(rates))
    kept, out = np.split(order, [int(0.8 * len(order))])
    guess = Ridge().fit([archs[k] for k in kept], rates[kept]).predict([archs[k] for k in out]).mean
    accuracy, (slow, times) = Ridge().fit(archs, rates), latencies(space, config, archs)
    bytes_of = config.memory or 7 / 8 * float(
        np.median([profile(space.network(a), space.input).total.params for a in archs])
    )
    result: dict[str, Json] = {"rated": len(rates), "held_out_correlation": float(np.corrcoef(guess, rates[out])[0, 1])}
    for bits in ((max(config.bits),), tuple(config.bits)):  # all layers alike, then each its own
        budgets = (config.budget or float(np.median(times)), bytes_of, config.error)
        result["bits_" + "_".join(map(str, bits))] = design(quantised(space, bits), accuracy, slow, budgets)
    return result


def design(
    space: Space, accuracy: Ridge, slow: Ridge | None, budgets: tuple[float, float, float]
) -> dict[str, Json] | None:
    """The integer program: one operation and one format a block, the most accuracy within three budgets."""

    def sizes(arch: Architecture) -> Mapping[str, Mapping[str, float]]:
        layers = weights(space, arch).items()  # a third is the mean square of uniform weights
        lost = {name: n * (3 * error(bits) - budgets[2]) for name, (n, bits) in layers}
        return {"memory": {name: n * bits / 8 for name, (n, bits) in layers}, "error": lost}

    began, chooser, made = time.perf_counter(), Chooser(space), several(space, sizes)
    latency = slow.tables(chooser.openings) if slow else costs(space, ["macs"])["macs"]
    limits = [(latency, budgets[0]), (made["memory"], budgets[1]), (made["error"], 0.0)]
    tabulated = time.perf_counter()
    found = chooser.ranked(accuracy.tables(chooser.openings), limits)
    if not found:
        return None
    used = {"latency": found[0].used[0], "memory": found[0].used[1], "seconds": time.perf_counter() - tabulated}
    first = {"accuracy": found[0].value, "bound": found[0].bound, "tabulating": tabulated - began}
    return {**first, **used, "budgets": list(budgets), "architecture": dict(found[0].arch.choices)}


def rated(run: Experiment, config: Config) -> tuple[Space, list[Architecture], Array]:
    """The space and rated members: from the table, or random ones that are trained here."""
    if config.accuracy:
        space = ofa()
        return (space, *measured(space, config.accuracy, "imagenet_top1"))
    data = run.data(config.data)
    space = run.space("mobile", data, widths=(16, 24), multipliers=(1.0,), head=64)
    problem, evaluate = Problem(space), run.scratch(space, data, epochs=config.epochs)
    trials = run.search(
        problem, strategy=Random(problem), evaluate=evaluate, trials=config.trials, epochs=config.epochs
    )
    return space, [t.arch for t in trials], np.array([t.metrics["accuracy"] for t in trials])


def latencies(space: Space, config: Config, archs: list[Architecture]) -> tuple[Ridge | None, Array]:
    """A ridge on the table's latencies, and these; without a table nothing, and the MACs of the rated networks."""
    if config.latency:
        if not config.accuracy:
            raise UserError(
                "--latency is a table of Once-for-all networks and needs --accuracy", fix="give both or none"
            )
        timed, times = measured(space, config.latency, config.device)
        return Ridge().fit(timed, times), times
    return None, np.array([float(profile(space.network(a), space.input).total.macs) for a in archs])
