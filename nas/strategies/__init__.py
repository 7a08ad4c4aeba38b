"""Who proposes: one algorithm a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.problem import Problem
from nas.roles import Strategy
from nas.strategies.agents import Agents
from nas.strategies.bohb import BOHB
from nas.strategies.deepmad import DeepMAD
from nas.strategies.evolution import Evolution
from nas.strategies.generations import Generations
from nas.strategies.halving import ASHA, Halving
from nas.strategies.hyperband import Hyperband
from nas.strategies.islands import Islands
from nas.strategies.local import LocalSearch
from nas.strategies.netadapt import NetAdapt
from nas.strategies.nsga import NSGA2
from nas.strategies.ppo import PPO
from nas.strategies.program import Program
from nas.strategies.random import Random
from nas.strategies.reinforce import Reinforce
from nas.strategies.sampled import cmaes, gp, optuna_nsga2, qmc, tpe
from nas.strategies.warm import Warm

STRATEGIES: Mapping[str, Callable[[Problem], Strategy]] = {
    "agents": Agents,
    "asha": ASHA.random,
    "bohb": BOHB,
    "cmaes": cmaes,
    "evolution": Evolution,
    "generations": Generations,
    "gp": gp,
    "halving": Halving.random,
    "hyperband": Hyperband.random,
    "islands": Islands,
    "local": LocalSearch,
    "nsga2": NSGA2,
    "optuna-nsga2": optuna_nsga2,
    "ppo": PPO,
    "program": Program,
    "qmc": qmc,
    "random": Random,
    "reinforce": Reinforce,
    "tpe": tpe,
}
"""Every strategy by its name that needs a problem and nothing else."""
PARTICULAR: Mapping[str, Callable[[Problem], Strategy]] = {"deepmad": DeepMAD, "netadapt": NetAdapt}
"""Those for some spaces or problems alone, which refuse any other."""

__all__ = [
    "ASHA",
    "BOHB",
    "NSGA2",
    "PARTICULAR",
    "PPO",
    "STRATEGIES",
    "Agents",
    "DeepMAD",
    "Evolution",
    "Generations",
    "Halving",
    "Hyperband",
    "Islands",
    "LocalSearch",
    "NetAdapt",
    "Program",
    "Random",
    "Reinforce",
    "Warm",
]
