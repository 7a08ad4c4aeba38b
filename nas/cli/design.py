"""`nas design`: the best network for a budget by a mathematical program, without any data."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from math import inf, isfinite
from pathlib import Path
from typing import Annotated, Literal, final

import tyro

from nas.cli.design_said import checked, curve, people
from nas.cli.parse import Command
from nas.cli.solving import Watching
from nas.cli.spaces import shaped
from nas.cli.speak import Said, complain
from nas.cli.target import Target, target
from nas.design_files import folder_of, hand_over, hand_over_front, read_certificate, refuse_taken
from nas.designing import Asked, Designed, design, facts, front, shortage
from nas.errors import INFEASIBLE, UserError
from nas.programs.deepmad.presets import TEMPLATES, mobile, released, resnet
from nas.programs.deepmad.problem import Budgets, Score, Template
from nas.units import COUNTS, TIMES, WRITTEN

Text = Annotated[str | None, tyro.conf.arg(metavar="TEXT")]
Amount = Annotated[str | None, tyro.conf.arg(metavar="4.5G|60%")]
RHO = {"resnet": 0.3, "mobile": 0.5}
"""The effectiveness of the released designs."""


@final
@dataclass(frozen=True)
class Design(Command):
    """The best network for a budget by a mathematical program, with a bound on all others. Needs no data.

    The score is DeepMAD's: the entropy of the network, less a penalty of uneven depths, with depth over width bounded.

    Example: nas design --macs 600M --params 5M --input 3,224,224
    """

    macs: Amount = None
    """MACs for one image at most: 4.5G, 600M, or 60% of the network that --like names."""
    params: Amount = None
    """Parameters at most: 29M, 300k, or 60%."""
    input: Annotated[str | None, tyro.conf.arg(metavar="C,H,W")] = None
    """The input. Default: 3,224,224, or that of --like."""
    classes: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """The number of classes. Default: 1000, or as --like."""
    family: Annotated[Literal["resnet", "mobile"] | None, tyro.conf.arg(metavar="{resnet,mobile}")] = None
    """resnet: bottlenecks; mobile: inverted bottlenecks with squeeze-excitation. Default: resnet."""
    rho: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """The effectiveness at most, depth over mean width. Default: as released, 0.3 for resnet and 0.5 for mobile."""
    latency: Annotated[str | None, tyro.conf.arg(metavar="5ms")] = None
    """The time of one image at most: the median of 20, one thread, batch 1, measured here; not proved."""
    on: Literal["cpu", "gpu"] = "cpu"
    """Where the latency is measured."""
    like: Text = None
    """A network (see `nas profile`) that percents are of; of macs and params what is left out is 100% of it."""
    template: Text = None
    """r18, r34, r50, 29m, 50m, 89m: family, stages, rho, budgets and score of that released search."""
    penalty: Annotated[Literal["std", "var"] | None, tyro.conf.arg(metavar="{std,var}")] = None
    """What of the depths is penalised: std as the released code, var as the paper. Default: std."""
    penalty_stages: Annotated[Literal["all", "released"] | None, tyro.conf.arg(metavar="{all,released}")] = None
    """Whose depths: of all stages; or as released, for resnet without the first two. Default: all."""
    sizes: Annotated[Literal["true", "released"] | None, tyro.conf.arg(metavar="{true,released}")] = None
    """Image sizes in the entropy; released: 1 behind the first squeeze-excitation. Default: true."""
    count: Annotated[Literal["conv", "tool"] | None, tyro.conf.arg(metavar="{conv,tool}")] = None
    """What budgets count: conv, convolutions and linear layers; tool, as the released tool does. Default: conv."""
    seconds: float = 60.0
    """How long to solve, about; the gap that is left is said."""
    seed: int = 0
    """Of the solver's random moves and of the first weights."""
    to: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The folder to write. Default: runs/design-FAMILY-xxxxxxxx, named by what was asked."""
    front: Annotated[Literal["macs", "params"] | None, tyro.conf.arg(metavar="{macs,params}")] = None
    """The trade-off curve: six budgets up to the one given, with a plot."""
    check: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Recompute a certificate, without a solver, and say what it proves."""
    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        if self.check is not None:
            return checked(self.check, read_certificate(self.check))
        asked = self.asked()
        folder = self.to or folder_of(asked, self.front or "")
        refuse_taken(folder, front=self.front is not None)
        watching = Watching()
        if self.front is not None:
            return self._front(asked, self.front, folder, watching)
        with watching.shown():
            made = design(asked, watching, watching.stopped)
        if not made.found:
            return self._short(made)
        watching.say("writing the network and its proof")
        files = hand_over(made, folder)
        said = {**facts(made), "certificate": files["certificate"], "arch": dict(made.arch.labels)}
        return Said({**said, "export": str(folder)}, (*people(made), *self._next(made, folder, watching)))

    def asked(self) -> Asked:
        """What the flags ask for."""
        if not 0 < self.seconds < inf:
            raise UserError(f"--seconds must be above 0, got {self.seconds:g}", fix="for example --seconds 60")
        if self.seed < 0:
            raise UserError(f"--seed must be 0 or more, got {self.seed}")
        like = target(self.like, settings=shaped(self.input, self.classes)) if self.like else None
        template, score, budgets = self._template(like)
        limits = {name: self._limit(name, like, getattr(budgets, name)) for name in ("macs", "params")}
        rho = budgets.rho if self.rho is None else self.rho
        latency = inf if self.latency is None else _amount("latency", self.latency)
        if not any(map(isfinite, (*limits.values(), latency))):
            raise UserError("no budget is given", fix="give --macs, --params or --latency, or a --template")
        if self.front is not None and (not isfinite(limits[self.front]) or isfinite(latency)):
            what = f"--front {self.front} needs --{self.front}, the largest budget of the curve, and no --latency"
            raise UserError(what, fix=f"for example --front {self.front} --{self.front} 1G")
        return Asked(template, score, Budgets(**limits, rho=rho), self.seconds, self.seed, latency, self.on)

    def _template(self, like: Target | None) -> tuple[Template, Score, Budgets]:
        shape = shaped(self.input, self.classes)
        size = shape.get("input") or (tuple(like.space.input) if like else (3, 224, 224))
        classes = self.classes or (like.profile().out[0] if like else 1000)
        if self.template is None:
            family = self.family or "resnet"
            template = (resnet if family == "resnet" else mobile)(size, classes)
            score, budgets = Score(), Budgets(rho=RHO[family])
        else:
            found = released(self.template)
            template, score, budgets = replace(found.template, input=size, classes=classes), found.score, found.budgets
            if self.family not in (None, template.family):
                fix = f"leave out --family, or take another of {', '.join(TEMPLATES)}"
                raise UserError(f"--template {self.template} is of the family {template.family}", fix=fix)
        names = ("penalty", "penalty_stages", "sizes", "count")
        flags = {name: value for name in names if (value := getattr(self, name)) is not None}
        return template, replace(score, **flags), budgets

    def _limit(self, name: str, like: Target | None, default: float) -> float:
        said = getattr(self, name)
        if said is None:
            return float(getattr(like.profile().total, name)) if like else default
        if not said.strip().endswith("%"):
            return _amount(name, said)
        if like is None:
            raise UserError(
                f"--{name} {said} is a part of what?", fix=f"name a network: --like resnet-50 --{name} {said}"
            )
        return _amount(name, said.strip()[:-1], {"": 0.01}) * float(getattr(like.profile().total, name))

    def _front(self, asked: Asked, what: str, folder: Path, watching: Watching) -> Said:
        points: list[Designed] = []
        with watching.shown():
            for made in front(asked, what, watching, watching.stopped):
                points.append(made)
        if not any(made.found for made in points):
            raise shortage(points[-1])
        said = hand_over_front(points, what, folder)
        return Said(said, curve(points, said, interrupted=watching.interrupted))

    def _short(self, made: Designed) -> Said:
        """Nothing meets the budgets: the error for people, and with --json all that is known too."""
        error = shortage(made)
        if not self.json:
            raise error
        complain(error.message, error.fix, error.code, json=False)
        words = {"error": error.message, "fix": error.fix, "code": INFEASIBLE}
        return Said({**facts(made), "certificate": None, "arch": None, "export": None, **words}, code=INFEASIBLE)

    def _next(self, made: Designed, folder: Path, watching: Watching) -> list[str]:
        lines = ["stopped by Ctrl-C: the best so far"] if watching.interrupted else []
        if made.answer.status == "gap" and not watching.interrupted:
            lines.append(f"the time of {self.seconds:g} s ran out; more --seconds may close the gap")
        lines.append(
            f"network: {folder / 'model.py'} (needs only torch; first weights of seed {self.seed}, NOT trained)"
        )
        lines.append(f"certificate: check it with `nas design --check {shlex.quote(str(folder / 'certificate.json'))}`")
        return [*lines, f"train it: nas train {shlex.quote(str(folder))} --data DATA"]


def _amount(name: str, said: str, units: dict[str, float] | None = None) -> float:
    """A budget as people write it; UserError for a unit that is not understood, or a number that is not above 0."""
    units = units or (TIMES if name == "latency" else COUNTS)
    read = WRITTEN.match(said)
    if read is None or read[2] not in units or not 0 < float(read[1]) * units[read[2]] < inf:
        known = "5ms or 0.01s" if name == "latency" else "150000, 150k, 4.5M, 1G, or 60% with --like"
        raise UserError(f"--{name} needs a number above 0 with a unit, got {said!r}", fix=f"write it like {known}")
    return float(read[1]) * units[read[2]]
