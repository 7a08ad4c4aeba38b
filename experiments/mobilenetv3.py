"""MobileNetV3's two searches (Howard et al. 2019, arXiv:1905.02244): a soft target, then NetAdapt to a hard one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Any, final

from experiments._given import Given
from experiments._narrowed import narrowed
from nas.evaluators.shrunk import Shrunk
from nas.experiment import Experiment
from nas.objectives import soft_target
from nas.problem import Problem, at_most
from nas.space import Json
from nas.strategies import Evolution, Random
from nas.strategies.netadapt import NetAdapt

RATED = 1000
SPACE: dict[str, Any] = {"widths": (16, 24, 40), "depths": (1, 2), "expands": (1, 1.5, 2, 3, 4, 6), "squeezes": (0,)}


@final
@dataclass(frozen=True)
class Config:
    """A search with MnasNet's reward, NetAdapt from what it finds, and both beside simpler ways.

    Example: nas run mobilenetv3 --trials 40 --epochs 10 --images 0 --side 0 --step 0.01 --alone 60 --seeds 3
    """

    data: str = "fashion-mnist"
    """What is classified: see `nas search --help`."""
    side: int = 16
    """The side that images are brought to, 0 for their own."""
    macs: float = 1.5e6
    """The target of the reward: 80 ms on a phone in the paper."""
    exponent: float = -0.07
    """Of the reward: -0.07 for the paper's large network, -0.15 for its small one."""
    share: float = 0.7
    """Of the found network's MACs: what NetAdapt goes down to."""
    step: float = 0.05
    """Of the found network's MACs: what each proposal of NetAdapt saves at least, 0.01 in the paper."""
    trials: int = 8
    """Networks of the first search."""
    epochs: int = 2
    """Epochs of each: 5 on ImageNet in MnasNet."""
    tune: int = 1
    """Epochs of each proposal of NetAdapt, from the weights before it: 10,000 steps in the paper."""
    alone: int = 6
    """Epochs of the networks that are compared, from scratch."""
    seeds: int = 2
    """Trainings of each of these."""
    images: int = 2000
    """Images that train each network, 0 for all."""
    seed: int = 0
    """Of the split, the searches and the trainings."""


def main(run: Experiment, config: Config) -> dict[str, Json]:
    """Search, adapt; then the network found, adapted, narrowed to as many MACs, and random search's, from scratch."""
    data, epochs = run.data(config.data, config.side), config.epochs
    free = Problem(space := run.space("mobile", data, **SPACE))
    scratch = run.scratch(space, data, epochs=epochs, images=config.images, rated=RATED)
    reward = soft_target("accuracy", "macs", config.macs, alpha=config.exponent, beta=config.exponent)
    soft = replace(free, objectives=(reward,))
    asked: dict[str, Any] = {"evaluate": scratch, "epochs": epochs}
    first = run.search(soft, strategy=Evolution(soft, 6), trials=config.trials, **asked)[0]
    target = config.share * first.metrics["macs"]
    holes = [name for name in space.choices if name.endswith(("expand", "width"))]
    adapt = NetAdapt(free, start=first.arch, target=target, step=config.step, holes=holes, budget=config.tune)
    shrunk = Shrunk(space, scratch.source, scratch.recipe, RATED)
    run.search(free, strategy=adapt, evaluate=shrunk, trials=20 * len(holes), study="netadapt", epochs=epochs)
    small, limited = adapt.accepted[-1], replace(free, constraints=(at_most("macs", target),))
    count = config.trials + ceil(len(run.run.trials("netadapt")) * config.tune / epochs)
    chance = run.search(limited, strategy=Random(limited), trials=count, study="random", **asked)[0]
    networks = {by: space.network(t.arch) for by, t in (("found", first), ("adapted", small), ("random", chance))}
    networks["narrowed"] = narrowed(networks["found"], space.input, small.metrics["macs"])
    terms: dict[str, Any] = {"epochs": config.alone, "images": config.images, "rated": RATED, "seeds": config.seeds}
    steps = [{"macs": t.metrics["macs"], "accuracy": t.metrics["accuracy"]} for t in adapt.accepted]
    return {"rounds": steps, "trainings": count, **Given(networks, space.input).rate(run, data, **terms)}
