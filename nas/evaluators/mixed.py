"""How good a network is with the weights of the one of several supernets that serves it best."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, final

from nas.errors import ENVIRONMENT, UserError
from nas.evaluators.oneshot import Inherited
from nas.evaluators.rating import Rater
from nas.problem import Metrics, Proposal
from nas.roles import Work
from nas.space import Architecture
from nas.training import keep_heap
from nas.training.mixture import GATE
from nas.weights import Supernet

BATCH = 128


@final
@dataclass(frozen=True)
class Mixed:
    """Rates a proposal by each model of a mixture in turn; its worth is the best one's accuracy.

    So the released code of arXiv:2306.11982. inherited: how one model rates, its `supernet` the folder of them all.
    Only whole batches of validation images are used, as norms may know nothing but the batch.
    """

    inherited: Inherited
    kept: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        """Accuracy and loss of the best model, which it is (from 1), and the accuracy of each."""
        keep_heap()
        rated = self.rated(proposal.arch)
        best = max(range(len(rated)), key=lambda k: rated[k]["accuracy"])
        each = {f"accuracy{k}": one["accuracy"] for k, one in enumerate(rated, 1)}
        return {**rated[best], "model": best + 1.0, **each}

    def rated(self, arch: Architecture) -> list[dict[str, float]]:
        """Accuracy and loss by each model."""
        if "rater" not in self.kept:
            self.kept["rater"], self.kept["models"] = self._made()
        rater: Rater = self.kept["rater"]
        found = []
        for model in self.kept["models"]:
            rater.supernet = model
            found.append(rater(arch))
        return found

    def _made(self) -> tuple[Rater, list[Supernet]]:
        folder = self.inherited.supernet
        if not (folder / GATE).is_file():
            raise UserError(f"there is no mixture in {folder}", fix="train one first", code=ENVIRONMENT)
        count = int(json.loads((folder / GATE).read_text(encoding="utf-8"))["models"])
        data = self.inherited.source.load()
        size = min(self.inherited.images or len(data.validation), len(data.validation))
        whole = replace(self.inherited, images=size // BATCH * BATCH or size)
        each = [replace(whole, supernet=folder / f"model{k}") for k in range(1, count + 1)]
        rater = each[0].rater(data)
        return rater, [rater.supernet, *(one.restored() for one in each[1:])]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": {}}  # what a process made of it stays there
