"""The laws that every space, strategy, predictor and executor keeps, for whoever adds one.

Each law is a function that raises AssertionError, saying what broke.
"""

from __future__ import annotations

from nas.testing.check import check
from nas.testing.executors import check_executor
from nas.testing.predictors import predictor_laws
from nas.testing.spaces import drawn, space_laws
from nas.testing.strategies import best_of_seeds, play, strategy_laws, table

__all__ = [
    "best_of_seeds",
    "check",
    "check_executor",
    "drawn",
    "play",
    "predictor_laws",
    "space_laws",
    "strategy_laws",
    "table",
]
