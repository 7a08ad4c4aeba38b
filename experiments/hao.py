"""Operations and bits, layer by layer, within budgets by an exact program (HAO, Dong et al. 2021, arXiv:2104.12766).

The paper designs an FPGA accelerator and rates quantised networks. Here the latency is a ridge on a GPU's (or MACs), as
bits leave it; rounding has a budget of its own, the mean squared error (arXiv:1911.03852, with every Hessian trace 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import final

from experiments._published import held_out, latencies, rated, typical_size
from nas.errors import UserError
from nas.experiment import Experiment
from nas.programs.choose import Chooser
from nas.programs.tables import costs, several
from nas.space import Json, Space
from predictors.ridge import Ridge
from search_spaces.ops.precision import quantised, spent


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
    if config.latency and not config.accuracy:
        raise UserError("--latency is a table of Once-for-all networks and needs --accuracy", fix="give both or none")
    space, archs, rates = rated(run, config.accuracy, config.data, trials=config.trials, epochs=config.epochs)
    if len(rates) < 10:  # a fifth of them is held out once, to see what the ridge is worth
        raise UserError(f"{len(rates)} networks are rated, a ridge and its check need 10", fix="give more --trials")
    accuracy, (slow, times) = Ridge().fit(archs, rates), latencies(space, config.latency, config.device, archs)
    bytes_of = config.memory or 7 / 8 * typical_size(space, archs)
    result: dict[str, Json] = {"rated": len(rates), "held_out_correlation": held_out(archs, rates, config.seed)}
    for bits in ((max(config.bits),), tuple(config.bits)):  # all layers alike, then each its own
        budgets = (config.budget or median(times.tolist()), bytes_of, config.error)
        result["bits_" + "_".join(map(str, bits))] = design(quantised(space, bits), accuracy, slow, budgets)
    return result


def design(space: Space, accuracy: Ridge, slow: Ridge | None, budgets: tuple[float, float, float]) -> Json:
    """The integer program: one operation and one format a block, the most accuracy within three budgets."""
    chooser, made = Chooser(space), several(space, lambda arch: spent(space, arch, budgets[2]))
    latency = slow.tables(chooser.openings) if slow else costs(space, ["macs"])["macs"]
    limits = [(latency, budgets[0]), (made["memory"], budgets[1]), (made["error"], 0.0)]
    found = chooser.ranked(accuracy.tables(chooser.openings), limits)
    if not found:
        return None
    used = {"latency": found[0].used[0], "memory": found[0].used[1], "budgets": list(budgets)}
    return {"accuracy": found[0].value, "bound": found[0].bound, **used, "architecture": dict(found[0].arch.choices)}
