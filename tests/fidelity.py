"""A search with budgets on the table of 200 architectures, for tests: short trainings are noisy, time is epochs."""

import hashlib

import numpy as np

from nas.best import best_of
from nas.budgets import cost
from nas.problem import Problem, State, Trial
from nas.testing import table

SPACE, WORTH = table()
PROBLEM = Problem(SPACE)
MOST = 81


def seen(arch, budget, seed=0, noise=0.3):
    """The value after so many epochs: off by a deviation that falls with their root, and by nothing at the last."""
    if budget >= MOST:
        return WORTH(arch)
    digest = hashlib.blake2b(f"{seed} {arch.key} {budget}".encode(), digest_size=8).digest()
    return WORTH(arch) + noise * np.random.default_rng(int.from_bytes(digest)).normal() / budget**0.5


def run(strategy, epochs, seed=0, value=seen):
    """The trials of a search with one worker, until its epochs are over; a repeat is free, as in a study."""
    told, done, spent = {}, {}, 0
    while spent < epochs and len(told) < 20 * epochs:
        number = len(told) + 1
        proposal = strategy.ask(np.random.default_rng((seed, number)))
        if proposal is None:
            break
        budget = proposal.budget or MOST
        first = done.get((proposal.arch, budget))
        state = State.DONE if first is None else State.REPEAT
        trial = Trial(number, proposal, state, {"accuracy": value(proposal.arch, budget, seed)})
        if first is None:
            spent += cost(trial, told, MOST)
            done[proposal.arch, budget] = trial
        told[number] = trial
        strategy.tell(trial)
    return list(told.values())


def reached(make, epochs, seed):
    """What the choice of a search is worth in truth."""
    best = best_of(PROBLEM, run(make(PROBLEM), epochs, seed))
    return WORTH(best[0].arch)
