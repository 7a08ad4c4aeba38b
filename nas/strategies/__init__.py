"""Who proposes: one algorithm a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.problem import Problem
from nas.roles import Strategy
from nas.strategies.deepmad import DeepMAD
from nas.strategies.evolution import Evolution
from nas.strategies.generations import Generations
from nas.strategies.nsga import NSGA2
from nas.strategies.program import Program
from nas.strategies.random import Random
from nas.strategies.warm import Warm

STRATEGIES: Mapping[str, Callable[[Problem], Strategy]] = {
    "evolution": Evolution,
    "generations": Generations,
    "nsga2": NSGA2,
    "program": Program,
    "random": Random,
}
"""Every strategy by its name."""
PARTICULAR: Mapping[str, Callable[[Problem], Strategy]] = {"deepmad": DeepMAD}
"""Those for the spaces of one family alone, which refuse any other."""

__all__ = ["NSGA2", "PARTICULAR", "STRATEGIES", "DeepMAD", "Evolution", "Generations", "Program", "Random", "Warm"]
