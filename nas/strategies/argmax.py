"""Asks for the architecture that a relaxed search weighs most, then for the next best ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from heapq import heappop, heappush
from math import isnan
from typing import TypeAlias, final

from nas.derive import Mix, Weighed
from nas.problem import Problem, Proposal, Trial
from nas.space import Architecture, Rng
from nas.tree import Choice, Refused

TRIES = 10_000
"""So many architectures in a row that break a limit, and nothing more is asked."""
Ranks: TypeAlias = tuple[tuple[str, int], ...]
"""The choices that do not take their heaviest option, and which they take instead."""


@final
class Argmax:
    """Every member within the limits once, the heaviest first, by the product of what its options weigh.

    mix: for each choice a number for each option, as a relaxed search left it; never: labels that nothing takes. The
    order is exact where choices stand alone, or open with an item that a choice of sets keeps.
    """

    def __init__(self, problem: Problem, mix: Mix, *, never: Collection[str] = ()) -> None:
        self._problem, self._weighed = problem, Weighed(problem.space, mix, never)
        self._ways = self._best_first()

    def ask(self, rng: Rng) -> Proposal | None:
        """The next one; None where none is left."""
        for _, arch in zip(range(TRIES), self._ways, strict=False):
            if not self._problem.screen(arch).broken:
                return Proposal(arch)
        return None

    def tell(self, trial: Trial) -> None:
        """Nothing is learnt."""

    def _best_first(self) -> Iterator[Architecture]:
        heap: list[tuple[float, int, Ranks]] = [(0.0, 0, ())]
        seen: set[Ranks] = {()}
        made = 0
        while heap:
            loss, _, ranks = heappop(heap)
            arch, met = self._decided(dict(ranks))
            if arch is not None:
                yield arch
            for name, rank in met.items():
                # A set changes only while what its items open is still at its best: else a loss would be no loss.
                if rank + 1 == self._weighed.ranks(name) or any(met.get(o) for o in self._weighed.opened(name)):
                    continue
                now = tuple(sorted((n, r) for n, r in {**met, name: rank + 1}.items() if r))
                if now not in seen:
                    seen.add(now)
                    made += 1
                    step = self._weighed.loss(name, rank + 1) - self._weighed.loss(name, rank)
                    heappush(heap, (loss + (0.0 if isnan(step) else step), made, now))

    def _decided(self, ranks: Mapping[str, int]) -> tuple[Architecture | None, dict[str, int]]:
        """The architecture of some ranks, None where the space refuses it, and the ranks of all choices it meets."""
        met: dict[str, int] = {}

        def pick(choice: Choice) -> int:
            met[choice.name] = ranks.get(choice.name, 0)
            return self._weighed.option(choice, met[choice.name])

        try:
            return self._problem.space.decide(pick), met
        except Refused:
            return None, met
