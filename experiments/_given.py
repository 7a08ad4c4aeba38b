"""Networks that are given, not searched: one space of them all, and how good each is over several seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, final

from nas import plugins
from nas.data import Data
from nas.experiment import Experiment
from nas.problem import Problem, Proposal, State, Trial
from nas.profile import profile
from nas.space import Architecture, Json, Rng, Space
from nas.tree import Chain, Choice, Node, Shape


@final
class Given:
    """Networks by name, for one input; each is trained as often as there are seeds."""

    def __init__(self, networks: Mapping[str, Node], shape: Shape) -> None:
        self.networks, self.shape = dict(networks), shape

    def rate(
        self,
        run: Experiment,
        data: Data,
        *,
        epochs: int,
        images: int,
        rated: int = 0,
        seeds: int = 1,
        study: str = "trained",
    ) -> dict[str, dict[str, Json]]:
        """By name: accuracy on the validation images (the mean), each of them, costs, and seconds for 1,000 images.

        rated: how many validation images there are, 0 for all.
        """
        space = Space("given", Chain.of(network=Choice.over("network", **self.networks)), self.shape)
        problem, archs = Problem(space), list(space)
        evaluate = run.scratch(space, data, epochs=epochs, images=images, rated=rated)
        found: dict[str, list[Trial]] = {name: [] for name in self.networks}
        rates: dict[str, list[float]] = {name: [] for name in self.networks}
        for k in range(seeds):
            name = study if seeds == 1 else f"{study}-{k + 1}"
            asked: dict[str, Any] = {"trials": len(archs), "study": name, "epochs": epochs, "seed": run.seed + k}
            run.search(problem, strategy=_Each(archs), evaluate=evaluate, **asked)
            for trial in run.run.trials(name):
                of, file = str(trial.arch["network"]), run.folder / name / str(trial.id) / "training.json"
                if trial.state in (State.DONE, State.REPEAT) and problem.rates(trial.metrics):
                    found[of].append(trial)
                if file.is_file():
                    rates[of].append(json.loads(file.read_text(encoding="utf-8"))["images_per_second"])
        return {name: {**self.costs(name), **_rated(found[name], rates[name])} for name in self.networks}

    def costs(self, name: str) -> dict[str, int]:
        """Parameters, MACs and activations of a network."""
        return dict(vars(profile(self.networks[name], self.shape).total))


@final
class _Each:
    """Asks for each architecture once."""

    def __init__(self, archs: Sequence[Architecture]) -> None:
        self._left = list(archs)

    def ask(self, rng: Rng) -> Proposal | None:
        return Proposal(self._left.pop(0)) if self._left else None

    def tell(self, trial: Trial) -> None:
        """Nothing is learnt."""


def residual(shape: Shape, classes: int, width: int, depth: int, **rest: Json) -> Node:
    """Three stages of so many basic blocks (arXiv:1512.03385, section 4.2), from `width` channels on."""
    rows = {"widths": [[width], [2 * width], [4 * width]], "depths": [[depth]] * 3}
    space = plugins.space("resnet", input=shape, classes=classes, stem="cifar", **rows, **rest)
    return space.network(next(iter(space)))


def _rated(trials: list[Trial], rates: list[float]) -> dict[str, Json]:
    each = [round(t.metrics["accuracy"], 4) for t in trials]
    if not each:
        return {"accuracy": None, "each": []}
    seconds = round(1000 / mean(rates), 4) if rates else None
    return {"accuracy": round(mean(each), 4), "each": each, "seconds_per_1000": seconds}
