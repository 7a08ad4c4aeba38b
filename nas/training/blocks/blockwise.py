"""Block-wise self-supervised search, BossNAS (Li et al. 2021, arXiv:2103.12424)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from nas.data import Data, Info, Part, batches, on_device, subset
from nas.data.augment import augment, default_augment
from nas.errors import UserError
from nas.problem import Problem
from nas.space import Architecture, Space
from nas.training.blocks import rating, scores
from nas.training.blocks.bootstrap import Learner, Pair
from nas.training.blocks.split import blocks, cut, even, fair, few, merged, paths
from nas.training.carry import Session
from nas.training.recipe import Recipe
from nas.training.sharing import fingerprint
from nas.training.steps import CHECK, Diverged
from nas.training.stream import Stream
from nas.weights import Supernet
from nas.weights.saved import save
from nas.weights.supernet import Statistics


@final
@dataclass(frozen=True)
class Blockwise:
    """Trains the blocks of a space in turn, without labels, rates the paths of each and keeps the best for the next.

    The recipe's epochs are shared out among the blocks; its rate starts anew in each.
    ends: the names of the blocks' last items in the chain of the space. pairs: so many random paths learn in a step, 4
    in the paper's fabric; 0 for a fair set, in which each option stands once a layer.
    single: each path learns from its own target, not from the mean of all of the step.
    population: so many random paths of a block are trained and rated, 0 for all. hidden, size: of the projections.
    momentum: of the target at first. lars: You et al.'s optimiser at the recipe's rate (4.8 in the paper) and momentum.
    images: validation images that rate; calibration: training images for running statistics.
    """

    ends: tuple[str, ...]
    pairs: int = 0
    single: bool = False
    population: int = 0
    hidden: int = 4096
    size: int = 256
    momentum: float = 0.99
    lars: bool = False
    images: int = 512
    calibration: int = 512

    def begin(
        self, problem: Problem, data: Data, train: Part, recipe: Recipe, *, seed: int, device: torch.device
    ) -> Session:
        """The training of the first block; of the limits of the problem nothing is used. Raises UserError."""
        return InTurn(self, problem.space, data, train, recipe, seed=seed, device=device)


@final
@dataclass(frozen=True, eq=False)
class Trained:
    """A block that is done: its supernet, what its paths scored, the best one and its running statistics."""

    space: Space
    supernet: Supernet
    rated: tuple[tuple[Architecture, float], ...]
    best: Architecture
    statistics: Statistics

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """What the best path makes of images."""
        made: Tensor = self.supernet(x, self.best, self.statistics)
        return made


@final
class InTurn:
    """Blocks under training, one after another; those before the present one are frozen with their best paths."""

    def __init__(
        self,
        method: Blockwise,
        space: Space,
        data: Data,
        train: Part,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        every = [Space(space.name, chain, space.input) for chain in cut(space.root, method.ends)]
        for n, block in enumerate(every):
            few(block)
            if not method.pairs:
                even(block, [*every[:n], *every[n + 1 :]])
        self.each, rest = divmod(recipe.epochs, len(every))
        if rest:
            what = f"{recipe.epochs} epochs cannot be shared out among {len(every)} blocks"
            raise UserError(what, fix=f"give a multiple of {len(every)}")
        self.method, self.space, self.recipe, self.seed, self.device = method, space, recipe, seed, device
        self.epoch, self.epochs, self.metrics = 0, recipe.epochs, dict[str, float]()
        self.train = on_device(train, device)
        self.stream = Stream(self.train, data.info, recipe, seed=seed, device=device)
        self._seen = self._views(self.train, method.calibration, data.info, 1)[0]
        self._rated = self._views(data.validation, method.images, data.info, 2)
        self.done: list[Trained] = []
        self._next()
        shown = (repr(method), str(len(data.validation)))
        self.fingerprint = fingerprint(self.learner.online.block, data.info, recipe, seed, len(train), *shown)

    def _views(self, part: Part, images: int, info: Info, views: int) -> list[list[Tensor]]:
        """Random views of some images, in whole batches; the same ones for every block and every path."""
        some = subset(part, min(images, len(part)), seed=self.seed)
        size, generator = min(self.stream.batch, len(some)), torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(some), generator=generator)[: len(some) // size * size]
        how = default_augment(info) if self.recipe.augment is None else self.recipe.augment
        found = []
        for _ in range(views):
            each = batches(some, size, device=self.device, order=order)
            found.append([self.stream.normal(augment(pixels, generator, how)) for pixels, _ in each])
        return found

    def _next(self) -> None:
        """Begin with the next block."""
        best, k = [block.best for block in self.done], len(self.done)
        self.block = blocks(self.space, self.method.ends, best)[k]
        self.population = paths(self.block, [(block.space, block.best) for block in self.done])
        if 0 < self.method.population < len(self.population):
            kept = np.random.default_rng((self.seed, k)).choice(len(self.population), self.method.population, False)
            self.population = [self.population[n] for n in sorted(kept)]
        self.learner = Learner(
            self.block,
            self.population,
            self.recipe,
            hidden=self.method.hidden,
            size=self.method.size,
            first=self.method.momentum,
            single=self.method.single,
            lars=self.method.lars,
            steps=self.each * self.stream.steps,
            seed=self.seed + k,
            device=self.device,
        )

    def run_epoch(self) -> None:
        """Train the present block on each image once; after its last epoch rate it. Raises Diverged."""
        first = self.epoch % self.each * self.stream.steps
        total = spread = torch.zeros((), device=self.device)
        for step, pixels in enumerate(self._pixels(), first):
            archs = self._drawn(step)
            views = [(self.entered(self.stream.views(pixels)), self.entered(self.stream.views(pixels))) for _ in archs]
            loss, spread = self.learner.step(views, archs, step)
            total = total + loss
            if step % CHECK == 0 and not math.isfinite(float(total)):
                break
        if not math.isfinite(float(total)):
            raise Diverged(
                f"the training of block {len(self.done) + 1} diverged in epoch {self.epoch + 1}: the loss is not "
                f"finite; a learning rate below {self.recipe.peak:g} may help"
            )
        self.epoch += 1
        self.metrics = {"train_loss": float(total) / self.stream.steps, "spread": float(spread)}
        if self.epoch % self.each == 0:
            self.done.append(self._finished())
            if self.epoch < self.epochs:
                self._next()

    def _pixels(self) -> Iterator[Tensor]:
        order = torch.randperm(len(self.train), generator=self.stream.generator)
        order = order[: self.stream.steps * self.stream.batch]
        yield from (x for x, _ in batches(self.train, self.stream.batch, device=self.device, order=order))

    def _drawn(self, step: int) -> list[Architecture]:
        rng = np.random.default_rng((self.seed, len(self.done), step))
        if not self.method.pairs:
            return fair(self.block, rng)
        count = min(self.method.pairs, len(self.population))
        return [self.population[n] for n in rng.choice(len(self.population), count, replace=False)]

    def entered(self, x: Tensor) -> Tensor:
        """What reaches the present block: images (B, C, H, W) through the best paths of the blocks before it."""
        for block in self.done:
            x = block(x)
        return x

    def _finished(self) -> Trained:
        learner = self.learner
        seen = [self.entered(x) for x in self._seen]
        views: list[Pair] = [(self.entered(a), self.entered(b)) for a, b in zip(*self._rated, strict=True)]
        found = rating.rate(learner.online, learner.predict, learner.target, self.population, seen, views)
        best = self.population[int(np.argmin(found))]
        self.metrics |= {"best_score": min(found), "worst_score": max(found)}
        supernet = learner.online.block.requires_grad_(False).eval()
        rated = tuple(zip(self.population, found, strict=True))
        return Trained(self.block, supernet, rated, best, supernet.calibrated(best, seen))

    def state(self) -> dict[str, Any]:
        """The blocks that are done, the present one, the order of images."""
        done = [
            {
                "rated": [(arch.to_json(), score) for arch, score in block.rated],
                "best": block.best.to_json(),
                "weights": block.supernet.state_dict(),
                "statistics": block.statistics,
            }
            for block in self.done
        ]
        learner = self.learner.state() if self.epoch < self.epochs else None
        order = self.stream.generator.get_state()
        return {"epoch": self.epoch, "metrics": self.metrics, "done": done, "learner": learner, "order": order}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.epoch, self.metrics, self.done = state["epoch"], state["metrics"], []
        for k, held in enumerate(state["done"]):
            space = blocks(self.space, self.method.ends, [block.best for block in self.done])[k]
            supernet = Supernet(space, seed=self.seed + k).to(self.device).requires_grad_(False).eval()
            supernet.load_state_dict(held["weights"])
            statistics = {name: value.to(self.device) for name, value in held["statistics"].items()}
            rated = tuple((Architecture.from_json(text), score) for text, score in held["rated"])
            self.done.append(Trained(space, supernet, rated, Architecture.from_json(held["best"]), statistics))
        if state["learner"] is not None:
            self._next()
            self.learner.load(state["learner"])
        self.stream.generator.set_state(state["order"])

    def leave(self, folder: Path) -> None:
        """The scores of all paths, and each block's supernet."""
        rows = []
        for n, (end, block) in enumerate(zip(self.method.ends, self.done, strict=True), 1):
            save(block.supernet, folder / f"block{n}.safetensors")
            rated = [(dict(arch.choices), score) for arch, score in block.rated]
            rows.append({"end": end, "input": block.space.input, "best": dict(block.best.choices), "paths": rated})
        scores.write(folder, self.space, merged(self.space, [block.best for block in self.done]), rows)
