"""Looks up what a table says instead of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.bench.table import Table
from nas.problem import Metrics, Proposal
from nas.roles import Failed, Work


@final
@dataclass(frozen=True, eq=False)
class Tabular:
    """Rates a proposal by its row of a table: the column of its budget, and the row's costs."""

    table: Table

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        """What the table says. Raises Failed where it has no such row, or no number there."""
        row = self.table.row.get(proposal.arch)
        if row is None:
            raise Failed("error", f"{self.table.name} has no row {self.table.space.spell(proposal.arch)}")
        told = self.table.told(row, proposal.budget)
        if told[self.table.search] != told[self.table.search]:
            raise Failed("nan", f"{self.table.name} has no {self.table.column(proposal.budget)} in row {row + 1}")
        return told
