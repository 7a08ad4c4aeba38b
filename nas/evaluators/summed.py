"""Rates architectures by the scores that a block-wise training left: no training, no images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from nas.problem import Metrics, Proposal
from nas.roles import Infeasible, Work
from nas.space import Space
from nas.training.blocks import Scores


@final
@dataclass(frozen=True)
class Summed:
    """Minus the sum of an architecture's block scores, as "score"; infeasible where a block's path was not rated.

    folder: in which the training left its scores.
    """

    space: Space
    folder: Path
    kept: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        """The score, larger is better."""
        try:
            return {"score": -self.scores()(proposal.arch)}
        except KeyError as error:
            raise Infeasible(str(error.args[0]), {}) from error

    def scores(self) -> Scores:
        """What was left; read once in a process."""
        if "scores" not in self.kept:
            self.kept["scores"] = Scores.read(self.space, self.folder)
        found: Scores = self.kept["scores"]
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": {}}  # what a process read stays there
