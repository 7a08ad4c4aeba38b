"""Trains a network from its first weights, and says how well it does on the validation images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from safetensors.torch import save_file

from nas.build import Network, build
from nas.data import Data, Part, join, load, load_test, subset
from nas.errors import ENVIRONMENT, UserError
from nas.evaluators.promoted import MADE, take_up, thin
from nas.files import write_text
from nas.latency.timing import latency
from nas.problem import Constraint, Metrics, Proposal
from nas.profile import profile
from nas.roles import Infeasible, Work
from nas.space import Space
from nas.training import Fitted, Recipe, accuracy, fit, forget, keep_heap, seeded
from nas.training.aware import aware

WEIGHTS = "weights.safetensors"
SMALL = 3e8
"""MACs of a batch below which a training step takes one thread: some 10 ms of work."""


@final
@dataclass(frozen=True)
class Source:
    """Which data, so that a worker can load the same: what `load` is given, and how many images train a candidate.

    hash: of the contents and the split; a worker that finds others refuses. images: 0 for all.
    """

    spec: str
    seed: int
    hash: str
    images: int = 0
    image_size: int | None = None

    def load(self) -> Data:
        """The data, train and validation alone."""
        data = load(self.spec, seed=self.seed, image_size=self.image_size)
        if data.info.hash != self.hash:
            what = f"the data {self.spec} have changed: their hash is {data.info.hash}, the run's {self.hash}"
            raise UserError(what, fix="bring them back, or begin another run", code=ENVIRONMENT)
        return data

    def sample(self, train: Part) -> Part:
        """The images that train a candidate."""
        return subset(train, self.images, seed=self.seed) if 0 < self.images < len(train) else train


@final
@dataclass(frozen=True)
class Scratch:
    """Rates a proposal by training it from scratch: accuracy and loss on the validation images.

    A proposal with a budget is trained for so many epochs of the recipe's training, whose learning rate goes its way to
    the recipe's last epoch: so a promoted one goes on with its parent's training, and is the training of the larger
    budget to the last bit. That costs the short ones the end of the cosine, where accuracy rises most.

    limits: those that a device must measure, `latency_s`; a network that breaks one is not trained. rated: how many
    validation images rate it, 0 for all.
    """

    space: Space
    source: Source
    recipe: Recipe
    limits: tuple[Constraint, ...] = ()
    rated: int = 0

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        """Train, validate, leave the weights in the trial's folder."""
        keep_heap()
        data, device, seed = self.source.load(), device_of(), int(work.rng.integers(2**31))
        module, recipe = prepared(self.space, proposal, self.recipe, seed=seed)
        measured = self._measure(module.to(device), device)
        until = proposal.budget or recipe.epochs
        recipe = replace(recipe, epochs=max(recipe.epochs, until))
        if proposal.budget:  # what has none goes on with no other's training, whoever its parent is
            take_up(work.parent, work.folder)
        few = 0 < self.rated < len(data.validation)
        rated = subset(data.validation, self.rated, seed=self.source.seed) if few else data.validation
        with suited(self.space, proposal, recipe):
            fitted = fit(
                module,
                self.source.sample(data.train),
                rated,
                data.info,
                recipe,
                seed=seed,
                device=device,
                folder=work.folder,
                report=work.report,
                until=until,
            )
        keep(module, fitted, work.folder, whole=until == recipe.epochs)
        return {**fitted.metrics, **measured}

    def _measure(self, module: torch.nn.Module, device: torch.device) -> Mapping[str, float]:
        if not self.limits:
            return {}
        seconds = latency(module, self.space.input, device)
        for limit in self.limits:
            if seconds > limit.at_most:
                reason = f"latency {1000 * seconds:.3g} ms > {1000 * limit.at_most:.3g} ms"
                raise Infeasible(reason, {limit.metric: seconds})
        return {"latency_s": seconds}


@final
@dataclass(frozen=True)
class Retrained:
    """Trains an architecture on train and validation images together, and reads the test images once, at the end."""

    space: Space
    source: Source
    recipe: Recipe

    def __call__(self, proposal: Proposal, work: Work) -> Metrics:
        """Train on all that is not test, then test."""
        keep_heap()
        data, device, seed = self.source.load(), device_of(), int(work.rng.integers(2**31))
        module, recipe = prepared(self.space, proposal, self.recipe, seed=seed)
        images = join(data.train, data.validation)
        with suited(self.space, proposal, recipe):
            fitted = fit(
                module.to(device),
                images,
                None,
                data.info,
                recipe,
                seed=seed,
                device=device,
                folder=work.folder,
                report=work.report,
            )
        keep(module, fitted, work.folder)
        test = load_test(self.source.spec, seed=self.source.seed, image_size=self.source.image_size)
        rated = accuracy(module, test, data.info, device=device)
        return {**fitted.metrics, **{f"test_{name}": value for name, value in rated.items()}}


def device_of() -> torch.device:
    """The device at hand: the first GPU that this process may see, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def prepared(space: Space, proposal: Proposal, recipe: Recipe, *, seed: int) -> tuple[Network, Recipe]:
    """The module of a proposal with its first weights, and the recipe with the learning rate that it then has."""
    network = space.network(proposal.arch)
    with seeded(seed):
        module = build(network, space.input)
    return module, aware(module, network, space.input, recipe, seed=seed)


@contextmanager
def suited(space: Space, proposal: Proposal, recipe: Recipe) -> Iterator[None]:
    """One thread where a step is so small that several would wait for each other more than they work.

    On a busy machine such threads made a training ten times as long. It depends on the network alone, not on timing.
    """
    threads = torch.get_num_threads()
    macs = profile(space.network(proposal.arch), space.input).total.macs
    if macs * recipe.batch_size < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def keep(module: torch.nn.Module, fitted: Fitted, folder: Path, *, whole: bool = True) -> None:
    """Leave the weights and how they were made in a folder, and drop the checkpoint.

    whole: else the training may go on, and a study keeps the checkpoints of its best (`promoted.thin`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    save_file(tensors, folder / f".{WEIGHTS}")
    (folder / f".{WEIGHTS}").replace(folder / WEIGHTS)
    made = {
        "seconds": fitted.seconds,
        "images_per_second": fitted.images_per_second,
        "precision": fitted.precision,
        "layout": fitted.layout,
        "compiled": fitted.compiled,
        "epochs": fitted.epochs,
        "metrics": dict(fitted.metrics),
        "notes": list(fitted.notes),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
    write_text(folder / MADE, json.dumps(made, indent=1))
    if whole:
        forget(folder)
    else:
        thin(folder.parent)
