"""Asks for given architectures, one after another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from nas.problem import Proposal, Trial
from nas.space import Architecture, Rng


@final
class Listed:
    """Each architecture of a list once, in its order."""

    def __init__(self, archs: Iterable[Architecture]) -> None:
        self._left = list(archs)

    def ask(self, rng: Rng) -> Proposal | None:
        """The next one; None where none is left."""
        return Proposal(self._left.pop(0)) if self._left else None

    def tell(self, trial: Trial) -> None:
        """Nothing is learnt."""
