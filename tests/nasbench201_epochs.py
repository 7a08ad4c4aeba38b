"""NAS-Bench-201's networks after 12 and 200 epochs, and what training them costs, for tests of halving."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from nas.best import best_of
from nas.budgets import cost
from nas.problem import Problem, State, Trial
from search_spaces import nasbench201

TABLE = Path(__file__).parents[2] / "shared" / "benchmarks" / "nb201" / "accuracy.parquet"
FULL = 200
SPACE = replace(nasbench201(), costs=lambda arch: {})
PROBLEM = Problem(SPACE)


@cache
def rows():
    """Validation after 12 and 200 epochs, test after 200, and seconds of 12 epochs on all images, by spelling."""
    columns = ["arch", "c10_val_12ep", "c10_val_200ep", "c10_test_200ep", "c10_train_time_12ep_est_s"]
    return {arch: row for arch, *row in pd.read_parquet(TABLE, columns=columns).itertuples(index=False)}


def found(make, seconds, seed):
    """The test accuracy of what a search chooses in so many simulated seconds; half of the images train."""
    strategy, told, done, spent = make(PROBLEM), {}, {}, 0.0
    while spent < seconds:
        number = len(told) + 1
        proposal = strategy.ask(np.random.default_rng((seed, number)))
        budget, first = proposal.budget or FULL, done.get((proposal.arch, proposal.budget))
        short, long, _, took = rows()[SPACE.spell(proposal.arch)]
        state = State.DONE if first is None else State.REPEAT
        trial = Trial(number, proposal, state, {"accuracy": long if budget == FULL else short})
        if first is None:
            spent += took / 2 / 12 * cost(trial, told, FULL)
            done[proposal.arch, proposal.budget] = trial
        told[number] = trial
        strategy.tell(trial)
    best = best_of(PROBLEM, list(told.values()))
    return rows()[SPACE.spell(best[0].arch)][2]
