"""Once-for-all (Cai et al. 2020, arXiv:1908.09791): one network, progressively shrunk, for any budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from experiments._oneshot import between, checked, named, searched
from nas.experiment import Experiment
from nas.problem import Problem, at_most, maximise, minimise
from nas.roles import Strategy
from nas.space import Json
from nas.strategies import Program, Random
from nas.strategies.nsga import NSGA2
from nas.training import Recipe
from nas.training.rules import Progressive, Uniform
from nas.training.sharing import ByRule


@final
@dataclass(frozen=True)
class Config:
    """Progressive shrinking beside uniform sampling, then a search under a limit without training.

    Example: nas run ofa --epochs 8 --share 0.3; then `nas specialise RUN --max latency=2ms`
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    images: int = 3000
    """Images that train, 0 for all."""
    space: str = "mobile"
    """`ofa` is the paper's, for images of 224."""
    widths: tuple[int, ...] = (8, 16, 24)
    """Channels of the stages of `mobile`."""
    epochs: int = 4
    """Of the whole training: 590 in the released code, on 32 GPUs."""
    share: float = 0.5
    """The search's limit on MACs, as a share of the largest network's."""
    trials: int = 20
    """Networks rated by inherited weights, by each strategy: 16,000 in the paper, for its predictor."""
    alone: int = 3
    """Epochs of a network trained alone."""
    check: int = 8
    """Networks trained alone, to see how far the ratings can be trusted."""
    seed: int = 0
    """Of the split, the supernets and the search."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """The full network; then kernels, depths and expansions open in turn, with it as the teacher; then choose."""
    data = run.data(config.data)
    more = {"widths": config.widths, "multipliers": (1.0,), "depths": (1, 2), "expands": (2, 3, 4), "head": 64}
    space = run.space(config.space, data, **(more if config.space == "mobile" else {}))
    free = Problem(space)
    shrinking = ByRule(Progressive(), {"kernels": "transform"})
    joint = ByRule(Uniform(), {"kernels": "transform"})
    recipe = Recipe(epochs=config.epochs, ema=0.0, weight_decay=3e-5)
    made, rates, sizes = {}, {}, between(free)
    for name, method in (("supernet", shrinking), ("joint", joint)):
        folder = run.shared(free, data, method, recipe=recipe, images=config.images, study=name)
        rates[name] = run.inherited(space, data, folder, images=2000)
        reached = named(run, free, rates[name], sizes, f"{name}-ratings")
        made[{"supernet": "progressive"}.get(name, name)] = {**reached, "seconds": run.timed(name)}
    largest = free.screen(sizes["largest"]).metrics["macs"]
    problem = Problem(space, constraints=(at_most("macs", config.share * largest),))
    strategies: dict[str, Strategy] = {"program": Program(problem), "random": Random(problem)}
    found = searched(run, problem, data, rates["supernet"], config, strategies)
    both = replace(free, objectives=(maximise("accuracy"), minimise("macs")))
    rated = run.search(
        both, strategy=NSGA2(both, population=10), evaluate=rates["supernet"], trials=config.trials, study="front"
    )
    front = [[round(t.metrics["accuracy"], 4), int(t.metrics["macs"])] for t in both.front(rated)]
    check = checked(run, free, data, rates["supernet"], config)
    return {**made, **found, "front (accuracy, MACs)": front, "check": check}
