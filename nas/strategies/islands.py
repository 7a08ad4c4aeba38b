"""Islands: several populations that seldom meet (Cantu-Paz 2001, doi:10.1023/A:1011375326814)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import final

from nas.problem import Problem, Proposal, State, Trial
from nas.roles import Strategy
from nas.space import Rng
from nas.strategies.evolution import Evolution


@final
class Islands:
    """Strategies side by side, which ask in turn; now and then each is told the best of the one before it in the ring.

    make: what lives on each island; every: how many rated trials of an island lie between two migrations from it;
    migrants: how many of the best of those then migrate, as trials told under their own numbers.
    """

    def __init__(
        self,
        problem: Problem,
        make: Callable[[Problem], Strategy] = Evolution,
        *,
        islands: int = 4,
        every: int = 10,
        migrants: int = 1,
    ) -> None:
        if islands < 2 or every < 1 or not 1 <= migrants <= every:
            what = f"islands={islands}, every={every}, migrants={migrants}"
            raise ValueError(f"at least 2 islands send 1 or more of every so many trials, got {what}")
        self._problem, self._every, self._migrants = problem, every, migrants
        self._islands = [make(problem) for _ in range(islands)]
        self._recent: list[list[Trial]] = [[] for _ in range(islands)]
        self._next = 0

    def ask(self, rng: Rng) -> Proposal | None:
        """What the next island asks for that asks for something; None where none does."""
        count = len(self._islands)
        for k in (n % count for n in range(self._next, self._next + count)):
            made = self._islands[k].ask(rng)
            if made is not None:
                self._next = (k + 1) % count
                return replace(made, note={**made.note, "island": k})
        return None

    def tell(self, trial: Trial) -> None:
        """Its island is told, or one by its number where none asked for it; then perhaps its best migrate."""
        island = trial.proposal.note.get("island")
        home = (island if isinstance(island, int) else trial.id) % len(self._islands)
        self._islands[home].tell(trial)
        recent = self._recent[home]
        if not self._problem.rates(trial.metrics):
            return
        recent.append(trial)
        if len(recent) >= self._every:
            self._recent[home] = []
            there = self._islands[(home + 1) % len(self._islands)]
            for best in self._best(recent):
                there.tell(replace(best, proposal=replace(best.proposal, note={"from": home})))

    def _best(self, recent: list[Trial]) -> list[Trial]:
        """The best of some trials, each network once."""
        different = {t.arch: t for t in reversed(recent) if t.state in (State.DONE, State.REPEAT)}
        found: list[Trial] = []
        while different and len(found) < self._migrants:
            front = self._problem.front(different.values())
            found += front
            for t in front:
                del different[t.arch]
        return found[: self._migrants]
