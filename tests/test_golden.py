"""What each strategy proposed when its run was last meant to change: 50 asks on the table, under one seed.

    python -m tests.test_golden

writes the file anew, for whoever means to change it.
"""

import json
from pathlib import Path

import pytest

from nas.problem import Problem
from nas.strategies import STRATEGIES
from nas.testing import play, table

LIBRARIES = ("agents", "cmaes", "gp", "optuna-nsga2", "ppo", "qmc", "reinforce", "tpe")
"""Their draws come from torch or Optuna, and may change with its version."""
OURS = [name for name in STRATEGIES if name not in LIBRARIES]
GOLDEN = Path(__file__).parent / "golden" / "strategies.json"


def proposals(name):
    space, value = table()
    trials = play(STRATEGIES[name], Problem(space), value, asks=50, seed=11)
    return ["".join(str(t.arch[c])[1:] for c in "abcd") for t in trials]


@pytest.mark.parametrize("name", OURS)
def test_a_strategy_proposes_what_it_did(name):
    assert proposals(name) == json.loads(GOLDEN.read_text())[name]


def test_every_strategy_has_a_golden_run():
    assert set(json.loads(GOLDEN.read_text())) == set(OURS)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: proposals(name) for name in OURS}, indent=1) + "\n")
