"""Design without data: a program solved under budgets, and its answer as a network.

DeepMAD (Shen et al. 2023, arXiv:2303.02165): the entropy of a network is its score, and no image is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite, nan
from typing import Any, Literal, TypeAlias, final

from nas import plugins
from nas.build import build
from nas.errors import ENVIRONMENT, INFEASIBLE, UserError
from nas.evaluators.scratch import device_of
from nas.latency.timing import latency
from nas.profile import Profile, profile
from nas.programs.deepmad.grid import Grid
from nas.programs.deepmad.measure import Batch, Measured, measure
from nas.programs.deepmad.presets import SPACES, labels, settings
from nas.programs.deepmad.problem import Budgets, Design, Score, Template
from nas.programs.deepmad.solve import Answer, solve
from nas.space import Architecture, Json, Space
from nas.tree import Node
from nas.units import quantity

Report: TypeAlias = Callable[[str, float, float], None]
"""Told what is done, the best value and the bound."""
Device: TypeAlias = Literal["cpu", "gpu"]
POINTS = 6
"""Budgets of a trade-off curve."""
LEAST = 8
"""The largest budget of a curve over its smallest."""
PROBES = 6
"""Designs that are measured for a limit of latency."""
SHORT = 10.0
"""Seconds for the nearest design where the smallest one breaks a budget, and nothing is left to prove."""
NEAR = 0.93
"""A design that takes at least this part of the latency allowed ends the looking."""
RATE = 2e10
"""MACs a second that a first guess of a latency takes for granted."""


@final
@dataclass(frozen=True)
class Asked:
    """What is to be designed. latency: in seconds, for one image on `on`; seconds: for the solver, about."""

    template: Template
    score: Score
    budgets: Budgets
    seconds: float = 60.0
    seed: int = 0
    latency: float = inf
    on: Device = "cpu"


@final
@dataclass(frozen=True, eq=False)
class Designed:
    """An answer with what follows from it.

    asked: with the budgets that were solved under; latency: measured, in seconds; nan where nobody asked.
    """

    asked: Asked
    answer: Answer
    latency: float = nan

    @property
    def found(self) -> bool:
        """Whether a design meets all budgets."""
        return isfinite(self.answer.value) and not self.answer.shortfall

    @property
    def design(self) -> Design:
        """The best design; where none meets the budgets, the nearest one."""
        return self.answer.design

    @cached_property
    def measured(self) -> Measured:
        """What it is worth and costs by the score's own count, one row."""
        return measure(self.asked.template, self.asked.score, Batch.of([self.design]))

    @cached_property
    def space(self) -> Space:
        """The space of its family that holds it alone."""
        return plugins.space(SPACES[self.asked.template.family], **only(self.asked.template, self.design))

    @cached_property
    def arch(self) -> Architecture:
        """It as an architecture."""
        return self.space.read(labels(self.design))

    @property
    def network(self) -> Node:
        """It as a tree without holes."""
        return self.space.network(self.arch)

    @cached_property
    def profile(self) -> Profile:
        """What it costs, counted layer by layer."""
        return profile(self.network, self.space.input)

    @property
    def used(self) -> dict[str, float]:
        """What it uses of each budget, by the score's count."""
        found = self.measured
        rho = float(found.effectiveness.max())
        made = {"macs": float(found.macs[0]), "params": float(found.params[0]), "rho": rho}
        return made if isfinite(self.asked.budgets.rho) else {k: v for k, v in made.items() if k != "rho"}

    def entropies(self) -> list[float]:
        """What the end of the stem and of each stage adds to the entropy: 0 where the image size stays behind it."""
        made = [0.0] * (self.asked.template.stages + 1)
        for end, entropy in zip(self.asked.template.ends, self.measured.entropies[0], strict=True):
            made[end] = float(entropy)
        return made

    def architecture(self) -> dict[str, Json]:
        """It as JSON holds it: `nas profile`, `nas show` and `nas search` read that."""
        return {"space": self.space.name, "settings": dict(self.space.settings), "choices": dict(self.arch.labels)}


def only(template: Template, design: Design) -> dict[str, Any]:
    """The settings of a family's space in which this design is the only one."""
    rows = {"channels": design.outs, "bottlenecks": design.mids, "depths": design.depths}
    one = {name: [[value] for value in row] for name, row in rows.items()}
    return {**settings(template), **one, "stem": [design.stem], "kernels": sorted(set(design.kernels))}


def design(asked: Asked, report: Report, stopped: Callable[[], bool] = bool) -> Designed:
    """The best design under the budgets, with its bound.

    stopped: asked now and then; when it is true, the best so far is returned with its gap.
    Under a latency the MACs budget is narrowed until what is designed keeps it: measured, and not proved.
    """
    if isfinite(asked.latency):
        return _in_time(asked, report, stopped)
    answer = solve(
        asked.template,
        asked.score,
        asked.budgets,
        seconds=min(asked.seconds, SHORT) if _hopeless(asked) else asked.seconds,
        seed=asked.seed,
        report=report,
        stopped=stopped,
    )
    if _hopeless(asked):
        answer = replace(answer, status="infeasible")
    return Designed(asked, answer)


def _hopeless(asked: Asked) -> bool:
    """Whether even the smallest design of all needs more MACs or parameters than there may be."""
    least = measure(asked.template, asked.score, Grid(asked.template).smallest)
    return bool(least.macs[0] > asked.budgets.macs or least.params[0] > asked.budgets.params)


def front(asked: Asked, what: str, report: Report, stopped: Callable[[], bool] = bool) -> Iterator[Designed]:
    """Designs under six budgets of one kind, from an eighth of the asked one to all of it, in its time together."""
    most = getattr(asked.budgets, what)
    for n in range(POINTS):
        if n and stopped():
            return
        budget = most * LEAST ** (n / (POINTS - 1) - 1)
        report(f"{what} {quantity(what, budget)}", -inf, inf)
        budgets = replace(asked.budgets, **{what: budget})
        yield design(replace(asked, budgets=budgets, seconds=asked.seconds / POINTS), report, stopped)


def _in_time(asked: Asked, report: Report, stopped: Callable[[], bool]) -> Designed:
    """Designs under MACs budgets between one that is fast enough and one that is not; the best fast one."""
    if asked.on == "gpu" and device_of().type == "cpu":
        raise UserError("--on gpu needs a GPU, and this machine shows none", fix="give --on cpu", code=ENVIRONMENT)
    small = Grid(asked.template).smallest
    low, high = float(measure(asked.template, asked.score, small).macs[0]), asked.budgets.macs
    best: Designed | None = None
    slow: Designed | None = None
    macs, spent = min(high, max(2 * low, RATE * asked.latency)), 0.0
    for _ in range(PROBES):
        budgets = replace(asked.budgets, macs=macs)
        made = design(replace(asked, budgets=budgets, latency=inf, seconds=asked.seconds / PROBES), report, stopped)
        spent += made.answer.seconds
        made = replace(made, answer=replace(made.answer, seconds=spent))
        if not made.found:
            low = max(low, macs)
        else:
            made = replace(made, asked=replace(made.asked, latency=asked.latency), latency=_timed(made, asked.on))
            report(f"measured {quantity('latency_s', made.latency)}", made.answer.value, made.answer.bound)
            if made.latency <= asked.latency:
                best, low = made, macs
            else:
                slow, high = made, min(high, macs)
        ended = best is not None and (best.latency >= NEAR * asked.latency or low >= asked.budgets.macs)
        if ended or stopped() or high <= 1.02 * low:
            break
        macs = _next(macs, low, high, asked.latency / made.latency if made.found else 4.0)
    if best is not None:
        return replace(best, answer=replace(best.answer, seconds=spent))
    if slow is None:
        return made
    told = f"{quantity('latency_s', slow.latency)} for {quantity('macs', slow.used['macs'])} MACs"
    fix = f"give --latency {1.1e3 * slow.latency:.3g}ms or more, or a larger --rho"
    what = f"no design within {quantity('latency_s', asked.latency)} was found: the smallest measured takes {told}"
    raise UserError(what, fix=fix, code=INFEASIBLE)


def _next(macs: float, low: float, high: float, ratio: float) -> float:
    """The next budget: by the ratio of what is allowed to what was measured, or the middle where that lies outside."""
    guess = macs * ratio * 0.98
    if low * 1.01 < guess < high * 0.99:
        return guess
    middle = low * 4 if high == inf else (low * high) ** 0.5
    return min(middle, high)


def _timed(made: Designed, on: Device) -> float:
    module = build(made.network, made.space.input)
    device = device_of() if on == "gpu" else next(module.parameters()).device
    return latency(module.to(device), made.space.input, device)


def shortage(made: Designed) -> UserError:
    """Why no design is there: which budgets nothing meets, by how much, and what the nearest design needs."""
    budgets, used, short = made.asked.budgets, made.used, made.answer.shortfall
    parts, asks = [], []
    for name in sorted(short, key=lambda k: -short[k]):
        limit, needs = getattr(budgets, name), used.get(name, nan)
        over = f"{short[name]:.3g} times" if short[name] >= 1.1 else f"{100 * short[name] - 100:.2g} % more"
        parts.append(f"{name} <= {_count(name, limit)} (the nearest design has {_count(name, needs)}, {over})")
        asks.append(f"--{name} {_count(name, needs * 1.005)}")
    what = "no design meets " + " and ".join(parts)
    if made.answer.status != "infeasible":
        seconds = f"in {made.answer.seconds:.0f} s, which proves nothing"
        what = f"no design was found that meets {' and '.join(parts)}, {seconds}"
        asks = [f"--seconds {max(60, 10 * made.asked.seconds):.0f}, or {' '.join(asks)}"]
    return UserError(what, fix=f"give {' '.join(asks)} or more", code=INFEASIBLE)


def _count(name: str, value: float) -> str:
    return f"{value:.3g}" if name == "rho" else quantity(name, value)


def facts(made: Designed) -> Mapping[str, Json]:
    """The answer as JSON says it, without its files."""
    answer, measured, template = made.answer, made.measured, made.asked.template
    total, design, entropies = made.profile.total, made.design, made.entropies()
    rows = zip(design.depths, design.outs, design.mids, design.kernels, template.strides, entropies[1:], strict=True)
    names = ("depth", "out", "mid", "kernel", "stride", "entropy")
    known: dict[str, Json] = {
        name: {
            "limit": limit,
            "used": used,
            "binding": name in answer.binding,
            "marginal": answer.marginals.get(name, 0.0),
        }
        for name, used in made.used.items()
        if isfinite(limit := getattr(made.asked.budgets, name))
    }
    if isfinite(made.asked.latency):
        binding = made.latency >= NEAR * made.asked.latency
        known["latency"] = {"limit": made.asked.latency, "used": made.latency, "binding": binding, "marginal": None}
    return {
        "status": answer.status,
        "family": template.family,
        "score": dict(vars(made.asked.score)),
        "value": answer.value,
        "bound": answer.bound,
        "gap": answer.gap,
        "entropy": float(measured.entropies.sum()),
        "penalty": float(measured.penalty[0]),
        "effectiveness": float(measured.effectiveness.max()),
        "params": total.params,
        "macs": total.macs,
        "activations": total.activations,
        "stages": [dict(zip(names, row, strict=True)) for row in rows],
        "budgets": known,
        "seconds": answer.seconds,
    }
