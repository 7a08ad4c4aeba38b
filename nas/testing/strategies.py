"""The laws of a strategy, and a table of 200 architectures to play on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nas.problem import Problem, Proposal, State, Trial
from nas.roles import Strategy
from nas.space import Architecture, Rng, Space
from nas.testing.check import check
from nas.tree import Chain, Choice, Identity, Label, Node


@final
@dataclass(frozen=True)
class _Step(Node):
    """A step of the table's chain; it stands for anything."""

    name: str

    def lower(self, shape: Any) -> Node:
        return Identity()


def table(seed: int = 0) -> tuple[Space, Callable[[Architecture], float]]:
    """A space of 200 architectures and what each is worth, in [0, 1]: mostly a sum over the choices, partly rugged."""
    options = {"a": 5, "b": 5, "c": 4, "d": 2}
    items = [Choice.over(name, **{f"o{k}": _Step(f"{name}{k}") for k in range(n)}) for name, n in options.items()]
    space = Space("table", Chain.seq(*items), (1,), same=_own)
    rng = np.random.default_rng(seed)
    worth: dict[tuple[str, Label], float] = {
        (name, f"o{k}"): float(rng.random()) for name, n in options.items() for k in range(n)
    }

    def value(arch: Architecture) -> float:
        rugged = int(hashlib.blake2b(f"{seed}{arch.key}".encode(), digest_size=4).hexdigest(), 16) / 2**32
        return 0.85 * sum(worth[pair] for pair in arch.choices) / 4 + 0.15 * rugged

    return space, value


def _own(arch: Architecture) -> str:
    """Each member stands for a network of its own."""
    return arch.key


def strategy_laws() -> Mapping[str, Callable[[Callable[[Problem], Strategy]], None]]:
    """The laws of a strategy, by a sentence each; each takes what makes the strategy for a problem."""
    return {
        "proposes members only, whatever it is told": survives,
        "told the same, asks the same": repeats,
        "replay equals live, from any prefix": replays,
    }


def play(
    make: Callable[[Problem], Strategy],
    problem: Problem,
    value: Callable[[Architecture], float],
    *,
    asks: int,
    seed: int,
) -> list[Trial]:
    """Ask and tell, one at a time, as a study of one worker does."""
    strategy, told = make(problem), []
    for number in range(1, asks + 1):
        proposal = strategy.ask(np.random.default_rng((seed, number)))
        if proposal is None:
            break
        trial = Trial(number, proposal, State.DONE, {"accuracy": value(proposal.arch)})
        strategy.tell(trial)
        told.append(trial)
    return told


def survives(make: Callable[[Problem], Strategy]) -> None:
    """Failed, infeasible, repeated, late and out-of-order tells."""
    space, value = table()
    problem = Problem(space)
    strategy, rng = make(problem), np.random.default_rng(3)
    waiting: list[Trial] = []
    for number in range(1, 201):
        proposal = strategy.ask(np.random.default_rng((0, number)))
        if proposal is not None:
            check(space.member(proposal.arch), f"{proposal.arch} was proposed and is no member")
            waiting.append(_ended(number, proposal, value, rng))
        rng.shuffle(waiting)
        while waiting and (proposal is None or len(waiting) > rng.integers(1, 6)):
            strategy.tell(waiting.pop())
            if proposal is None:
                break


def _ended(number: int, proposal: Proposal, value: Callable[[Architecture], float], rng: Rng) -> Trial:
    state = State(rng.choice(["done", "done", "done", "failed", "infeasible", "repeat"]))
    rated = state in (State.DONE, State.REPEAT) and rng.random() < 0.95
    return Trial(number, proposal, state, {"accuracy": value(proposal.arch)} if rated else {}, reason="error")


def repeats(make: Callable[[Problem], Strategy]) -> None:
    """Two of one kind, told the same in the same order, ask the same."""
    space, value = table()
    one, two = (play(make, Problem(space), value, asks=60, seed=5) for _ in range(2))
    check([t.arch for t in one] == [t.arch for t in two], "the same history led to other proposals")


def replays(make: Callable[[Problem], Strategy]) -> None:
    """Whatever came in between, and wherever it is cut, the ledger is the whole state.

    Proposals wait beside each other and come back in any order, as a result, a failure, a repeat or nothing. A new
    strategy is given what a ledger holds, which knows nothing of asks that were answered with None; it must propose
    the same each time, so from each prefix it goes on as the first did.
    """
    problem = Problem(table()[0])
    for seed in range(2):
        again = make(problem)
        for at, (asked, event) in enumerate(_ledger(make(problem), seed)):
            if not asked:
                again.tell(event)
                continue
            proposal = again.ask(np.random.default_rng((seed, event.id)))
            check(proposal == event.proposal, f"replay of the first {at} events differs at trial {event.id}")


def _ledger(strategy: Strategy, seed: int) -> list[tuple[bool, Trial]]:
    """What a ledger holds of 40 trials: asks (True) and tells, in their order."""
    (_, value), rng = table(), np.random.default_rng((7, seed))
    events: list[tuple[bool, Trial]] = []
    waiting: list[Trial] = []
    number = 1
    while number <= 40:
        if len(waiting) < rng.integers(1, 6):
            proposal = strategy.ask(np.random.default_rng((seed, number)))
            if proposal is not None:
                waiting.append(_ended(number, proposal, value, rng))
                events.append((True, waiting[-1]))
                number += 1
                continue
            if not waiting:
                break
        trial = waiting.pop(int(rng.integers(len(waiting)))) if waiting else None
        if trial is not None:
            strategy.tell(trial)
            events.append((False, trial))
    return events


def best_of_seeds(make: Callable[[Problem], Strategy], *, asks: int = 60, seeds: int = 20) -> float:
    """The median over seeds of the best value that a strategy finds on the table of 200 architectures."""
    space, value = table()
    runs = (play(make, Problem(space), value, asks=asks, seed=seed) for seed in range(seeds))
    return float(np.median([max(t.metrics["accuracy"] for t in run) for run in runs]))
