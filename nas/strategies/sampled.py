"""The samplers of Optuna over our ledger (Akiba et al. 2019, arXiv:1907.10902): TPE, GP, CMA-ES, NSGA-II, QMC."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np

from nas.errors import ENVIRONMENT, UserError
from nas.plan import plan
from nas.problem import Problem, Proposal, State, Trial
from nas.space import Architecture, Rng
from nas.tree import Choice, Refused

if TYPE_CHECKING:
    import optuna

Sampler: TypeAlias = "optuna.samplers.BaseSampler"
DRAWS = 20
"""How many proposals of a sampler that break a limit are thrown away before a random member is proposed."""
SEEDS = 2**31


@final
class Sampled:
    """Asks a sampler of Optuna for the option of each hole that is met, and tells it what became of all trials.

    make: the sampler of a seed; a fresh one each time, so that its draws depend on what was told and on the generator
    of the trial alone. whole: whether every hole is a number to it, else only those of growing numbers, and the others
    are categories. joint: whether it draws the holes together that every architecture has, and each of the others
    alone; else it says so itself. Failed, infeasible and unrated trials are failures to it.
    """

    def __init__(
        self, problem: Problem, make: Callable[[int], Sampler], *, whole: bool = False, joint: bool = True
    ) -> None:
        import optuna  # noqa: PLC0415  # a second, which other strategies need not wait for

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna, self._problem, self._make = optuna, problem, make
        self._holes = {name: self._hole(choice, whole) for name, choice in problem.space.choices.items()}
        self._study = optuna.create_study(directions=["maximize"] * len(problem.objectives))
        self._asked: dict[Architecture, list[optuna.Trial]] = {}
        always = [hole.choice.name for hole in plan(problem.space.root)] if joint else []
        self._together = {name: self._holes[name] for name in sorted(always) if not self._holes[name].single()}

    def ask(self, rng: Rng) -> Proposal | None:
        """What the sampler suggests; drawn again where a limit is broken, and random where all draws break it."""
        for _ in range(DRAWS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
                warnings.simplefilter("ignore", FutureWarning)
                self._study.sampler = _Within(self._make(int(rng.integers(SEEDS))), self._together)
            drawn = self._study.ask()
            try:
                arch = self._problem.space.decide(lambda c, drawn=drawn: self._suggested(drawn, c))  # type: ignore[misc]  # the default binds the loop's value
            except Refused:
                arch = None
            if arch is not None and not self._problem.screen(arch).broken:
                self._asked.setdefault(arch, []).append(drawn)
                return Proposal(arch)
            self._study.tell(drawn, state=self._optuna.trial.TrialState.FAIL)
        return Proposal(self._problem.sample(rng), note={"by": "random"})

    def tell(self, trial: Trial) -> None:
        """A rated trial counts, also one that was not asked for; another of those that were asked for is a failure."""
        values = self._values(trial)
        waiting = self._asked.get(trial.arch, [])
        drawn = waiting.pop(0) if waiting else None
        if not waiting:
            self._asked.pop(trial.arch, None)
        params = {name: self._problem.space.choices[name].index(label) for name, label in trial.arch.choices}
        if drawn is not None and (values is None or drawn.params == params):
            state = self._optuna.trial.TrialState.FAIL if values is None else None
            self._study.tell(drawn, values, state=state)
            return
        attributes: Mapping[str, Any] = {}
        if drawn is not None:  # a sparse table has the nearest member instead of what was suggested
            attributes = self._study.get_trials(deepcopy=False)[drawn.number].system_attrs
            self._study.tell(drawn, state=self._optuna.trial.TrialState.FAIL)
        if values is not None:
            self._study.add_trial(
                self._optuna.trial.create_trial(
                    values=values,
                    params=params,
                    distributions={name: self._holes[name] for name in params},
                    system_attrs=dict(attributes),
                )
            )

    def _hole(self, choice: Choice, whole: bool) -> Any:
        kinds = self._optuna.distributions
        if whole or _grows(choice):
            return kinds.IntDistribution(0, len(choice.options) - 1)
        return kinds.CategoricalDistribution(range(len(choice.options)))

    def _suggested(self, drawn: Any, choice: Choice) -> int:
        hole = self._holes[choice.name]
        if isinstance(hole, self._optuna.distributions.IntDistribution):
            return int(drawn.suggest_int(choice.name, hole.low, hole.high))
        return int(drawn.suggest_categorical(choice.name, hole.choices))

    def _values(self, trial: Trial) -> tuple[float, ...] | None:
        rated = trial.state in (State.DONE, State.REPEAT) and self._problem.rates(trial.metrics)
        if not rated or self._problem.violation(trial.metrics):
            return None
        values = self._problem.value(trial.metrics)
        return values if np.isfinite(values).all() else None


@final
class _Within:
    """A sampler that is told which holes to draw together, where there are any: else it looks through all trials."""

    def __init__(self, sampler: Sampler, holes: Mapping[str, Any]) -> None:
        self._holes = holes
        self.sample_relative, self.sample_independent = sampler.sample_relative, sampler.sample_independent
        self.before_trial, self.after_trial = sampler.before_trial, sampler.after_trial
        self._find = sampler.infer_relative_search_space

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return dict(self._holes) if self._holes else self._find(study, trial)


def tpe(problem: Problem) -> Sampled:
    """Tree-structured Parzen estimators, over all holes together (Bergstra et al. 2011; Falkner et al. 2018)."""
    return Sampled(problem, lambda seed: _samplers().TPESampler(seed=seed, multivariate=True, constant_liar=True))


def gp(problem: Problem) -> Sampled:
    """A Gaussian process and the expected improvement, or that of the hypervolume."""
    return Sampled(problem, lambda seed: _samplers().GPSampler(seed=seed, warn_independent_sampling=False))


def cmaes(problem: Problem) -> Sampled:
    """CMA-ES on the numbers of the options (Hansen 2016, arXiv:1604.00772), with a margin (arXiv:2205.13482).

    Raises UserError where the package cmaes is missing, and ValueError for several objectives.
    """
    if len(problem.objectives) != 1:
        raise ValueError(f"CMA-ES takes one objective, got {len(problem.objectives)}; NSGA2 takes several")
    if importlib.util.find_spec("cmaes") is None:
        raise UserError("the strategy cmaes needs the package cmaes", fix="pip install cmaes", code=ENVIRONMENT)
    quiet: Mapping[str, Any] = {"with_margin": True, "warn_independent_sampling": False}
    return Sampled(problem, lambda seed: _samplers().CmaEsSampler(seed=seed, **quiet), whole=True)


def optuna_nsga2(problem: Problem, population: int = 20) -> Sampled:
    """Optuna's NSGA-II (Deb et al. 2002); a population of 20, as a search has 200 trials, where Optuna's is 50."""
    return Sampled(problem, lambda seed: _samplers().NSGAIISampler(seed=seed, population_size=population))


def qmc(problem: Problem) -> Sampled:
    """A scrambled Sobol sequence over the holes of the first trial; its seed is drawn at the first ask."""
    first: list[int] = []

    def make(seed: int) -> Sampler:
        if not first:
            first.append(seed)
        made: Sampler = _samplers().QMCSampler(seed=first[0], scramble=True, warn_independent_sampling=False)
        return made

    return Sampled(problem, make, whole=True, joint=False)


def _samplers() -> Any:
    import optuna  # noqa: PLC0415  # see Sampled

    return optuna.samplers


def _grows(choice: Choice) -> bool:
    """Whether the options are numbers in growing order, so that neighbours are alike."""
    labels = choice.options
    numbers = all(isinstance(n, int | float) for n in labels)
    return numbers and list(labels) == sorted(labels)
