"""Who proposes: one algorithm a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.problem import Problem
from nas.roles import Strategy
from nas.strategies.evolution import Evolution
from nas.strategies.random import Random

STRATEGIES: Mapping[str, Callable[[Problem], Strategy]] = {"evolution": Evolution, "random": Random}
"""Every strategy by its name."""

__all__ = ["STRATEGIES", "Evolution", "Random"]
