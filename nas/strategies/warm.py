"""Some given designs first, then another strategy, which is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from nas.problem import Proposal, Trial
from nas.roles import Strategy
from nas.space import Architecture, Rng


@final
class Warm:
    """Asks for the given designs, then as the strategy inside does: evolution that begins with a program's solutions.

    Warm(Evolution(problem), [c.arch for c in front(accuracy, macs)])
    """

    def __init__(self, strategy: Strategy, archs: Sequence[Architecture]) -> None:
        self._strategy, self._archs, self._asked = strategy, tuple(archs), 0

    def ask(self, rng: Rng) -> Proposal | None:
        """The next given design, or what the strategy inside asks for."""
        if self._asked < len(self._archs):
            self._asked += 1
            return Proposal(self._archs[self._asked - 1], note={"by": "warm"})
        return self._strategy.ask(rng)

    def tell(self, trial: Trial) -> None:
        """The strategy inside learns from the given designs as from its own."""
        self._strategy.tell(trial)

    @property
    def slow(self) -> bool:
        """Whether an ask of the strategy inside takes long."""
        return bool(getattr(self._strategy, "slow", False))

    def chosen(self) -> Architecture | None:
        """What the strategy inside takes for the best, if it says so."""
        chosen = getattr(self._strategy, "chosen", None)
        found: Architecture | None = chosen() if chosen is not None else None
        return found
