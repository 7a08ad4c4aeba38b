"""Trains shared weights by a one-shot method, as one task of an executor; and rates what inherits from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch

from nas.build import build
from nas.data import Data
from nas.errors import ENVIRONMENT, UserError
from nas.evaluators.rating import CALIBRATION, Rater
from nas.evaluators.scratch import Source, device_of
from nas.files import write_text
from nas.latency.timing import latency
from nas.problem import Constraint, Metrics, Problem, Proposal
from nas.roles import Infeasible, Work
from nas.space import Space
from nas.training import Recipe, keep_heap
from nas.training.carry import carry
from nas.training.sharing import WEIGHTS, Method
from nas.weights import Supernet
from nas.weights.saved import restored

MADE = "training.json"


@final
@dataclass(frozen=True)
class OneShot:
    """Trains shared weights on the training images by a method; the folder keeps what it leaves.

    The proposal is only a name: any member of the space. images: of the training part, 0 for all.
    """

    problem: Problem
    source: Source
    recipe: Recipe
    method: Method

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        """Train to the end, or go on; the metrics of the last epoch."""
        keep_heap()
        data, device, seed = self.source.load(), device_of(), int(work.rng.integers(2**31))
        train = self.source.sample(data.train)
        session = self.method.begin(self.problem, data, train, self.recipe, seed=seed, device=device)
        seconds, notes = carry(session, seed=seed, device=device, folder=work.folder, report=work.report)
        made = {
            "seconds": seconds,
            "epochs": session.epochs,
            "metrics": session.metrics,
            "notes": list(notes),
            "method": repr(self.method),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        }
        write_text(work.folder / MADE, json.dumps(made, indent=1))
        return {**session.metrics, "seconds": seconds}


@final
@dataclass(frozen=True)
class Inherited:
    """Rates a proposal by the weights that it inherits from a supernet: no training, statistics anew.

    supernet: the folder in which its training left it. calibration: training images for the statistics; images: of the
    validation part, 0 for all. limits: those that a device must measure, `latency_s`.
    """

    space: Space
    source: Source
    supernet: Path
    calibration: int = CALIBRATION
    images: int = 0
    limits: tuple[Constraint, ...] = ()
    kept: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        """Accuracy and loss on the validation images, and the latency where it is limited."""
        keep_heap()
        measured = self._measured(proposal)
        return {**self.rater()(proposal.arch), **measured}

    def rater(self, data: Data | None = None) -> Rater:
        """What rates; made once in a process."""
        if "rater" not in self.kept:
            there = data or self.source.load()
            self.kept["rater"] = Rater(
                self.restored(),
                self.source.sample(there.train),
                there.validation,
                there.info,
                device=device_of(),
                calibration=self.calibration,
                images=self.images,
                seed=self.source.seed,
            )
        found: Rater = self.kept["rater"]
        return found

    def restored(self) -> Supernet:
        """The supernet; UserError where there is none."""
        file = self.supernet / WEIGHTS
        if not file.is_file():
            raise UserError(f"there is no supernet in {self.supernet}", fix="train one first", code=ENVIRONMENT)
        return restored(self.space, file, device=device_of())

    def _measured(self, proposal: Proposal) -> Mapping[str, float]:
        if not self.limits:
            return {}
        module = build(self.space.network(proposal.arch), self.space.input).to(device_of())
        seconds = latency(module, self.space.input, device_of())
        for limit in self.limits:
            if seconds > limit.at_most:
                reason = f"latency {1000 * seconds:.3g} ms > {1000 * limit.at_most:.3g} ms"
                raise Infeasible(reason, {limit.metric: seconds})
        return {"latency_s": seconds}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": {}}  # what a process made of it stays there
