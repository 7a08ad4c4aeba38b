"""The training of a supernet by a path rule."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.build import build
from nas.data import Data, Info, Part, on_device
from nas.errors import UserError
from nas.problem import Problem
from nas.space import Architecture
from nas.training.carry import Session
from nas.training.descent import descend, optimiser
from nas.training.measure import Normal
from nas.training.recipe import Recipe
from nas.training.rules import Moment, Pass, Rule
from nas.training.speed import Speed, choose, reshaped
from nas.training.steps import CHECK, Diverged
from nas.training.stream import Stream
from nas.weights import Supernet
from nas.weights.saved import save

WEIGHTS = "weights.safetensors"


class Method(Protocol):
    """A one-shot method: how shared weights are trained. A frozen dataclass of plain values; picklable."""

    def begin(
        self, problem: Problem, data: Data, train: Part, recipe: Recipe, *, seed: int, device: torch.device
    ) -> Session:
        """Its training on images; of the data's validation images only what the method itself searches with."""


@final
@dataclass(frozen=True)
class ByRule:
    """The training of one supernet by a path rule; parts: what `Supernet` is given beside the space and the seed."""

    rule: Rule
    parts: Mapping[str, Any]

    def begin(
        self, problem: Problem, data: Data, train: Part, recipe: Recipe, *, seed: int, device: torch.device
    ) -> Session:
        """A new supernet, from its first weights."""
        supernet = Supernet(problem.space, seed=seed, **self.parts)
        return Sharing(supernet, self.rule, problem, train, data.info, recipe, seed=seed, device=device)


@final
class Sharing:
    """A supernet under training: each step the sub-networks of a rule, their weighted gradients added, one step down.

    A recipe's `ema` and `compile` are of no use here; UserError where it asks for what only one network can have.
    """

    def __init__(
        self,
        supernet: Supernet,
        rule: Rule,
        problem: Problem,
        train: Part,
        info: Info,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        mixup = recipe.mixup or (recipe.augment is not None and recipe.augment.mixup)
        if mixup or recipe.scaling != "none":
            what = f"mixup {mixup:g}" if mixup else f"scaling {recipe.scaling}"
            raise UserError(f"a supernet is trained with no {what}", fix="leave it out of the recipe")
        self.rule, self.problem, self.recipe, self.seed, self.device = rule, problem, recipe, seed, device
        self.epoch, self.epochs, self.metrics = 0, recipe.epochs, dict[str, float]()
        self.fingerprint = fingerprint(supernet, info, recipe, seed, len(train), repr(rule), repr(problem.constraints))
        self.stream = Stream(on_device(train, device), info, recipe, seed=seed, device=device)
        self.steps = self.stream.steps * recipe.epochs
        self.supernet, self._info = supernet.to(device).train(), info
        self._take(self._chosen())
        self._optimiser = optimiser(self.supernet, recipe)
        self._weights = [value for group in self._optimiser.param_groups for value in group["params"]]
        if recipe.optimiser == "sgd" and recipe.momentum:  # the fused step takes no mix of weights with and without one
            for weight in self._weights:
                self._optimiser.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        self._teacher: tuple[Architecture, dict[str, Tensor]] | None = None

    def _chosen(self) -> Speed:
        """The fastest way to train one random network; the networks of a supernet change too often to be compiled."""
        space = self.problem.space
        module = build(space.network(self.problem.sample(np.random.default_rng(self.seed))), space.input)
        shape = (self.stream.batch, *self._info.input)
        return choose(module, shape, recipe=replace(self.recipe, compile="off"), steps=self.steps, device=self.device)

    def _take(self, speed: Speed) -> None:
        self.speed = speed
        self.stream.normal = Normal(self._info, self.device, speed)
        reshaped(self.supernet, speed.memory_format)

    def run_epoch(self) -> None:
        """Train on each image once. Raises Diverged."""
        step, total = self.epoch * self.stream.steps, torch.zeros((), device=self.device)
        for images, labels in self.stream.epoch():
            total += self.step(images, labels, step)
            step += 1
            if step % CHECK == 0:
                self._finite(total, step)
        self._finite(total + self._size(), step)
        self.epoch += 1
        self.metrics = {"train_loss": float(total) / self.stream.steps}

    def step(self, images: Tensor, labels: Tensor, step: int) -> Tensor:
        """One step of the optimiser; the mean loss of its passes, before it, on the device."""
        at = Moment(step, self.steps, self.stream.steps, self.recipe)
        said = self.rule(self.problem, at, np.random.default_rng((self.seed, step)))
        if said.sort:
            self._sort()
        if said.keep is not None:
            taken = self.supernet.weights(said.keep)
            self._teacher = said.keep, {name: value.detach().clone() for name, value in taken.items()}
        lr = at.rate() if said.rate is None else said.rate
        for group in self._optimiser.param_groups:
            group["lr"] = lr
        # What no pass of this step uses keeps no gradient: neither momentum nor decay moves it.
        self._optimiser.zero_grad(set_to_none=True)
        total, targets = torch.zeros((), device=self.device), None
        for one in said.passes:
            if one.soft and targets is None:
                targets = self._taught(images)
            loss, logits = self._passed(one, images, labels, targets)
            torch.autograd.backward(loss * one.weight if one.weight != 1 else loss)
            total += loss.detach()
            if one.teaches:
                targets = logits.detach().softmax(1)
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self._weights, self.recipe.clip, foreach=True)
        descend(self._optimiser)
        return total / len(said.passes)

    def _passed(self, one: Pass, images: Tensor, labels: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor]:
        """The loss of one pass and its logits (B, classes); targets: the teacher's softened outputs (B, classes)."""
        part = _share(len(images), *one.part)
        x, y = images[part], labels[part]
        with self.speed.autocast(self.device):
            made = self.supernet(x, one.arch)
        logits, *heads = (some.float() for some in (made if isinstance(made, tuple) else (made,)))
        loss = logits.new_zeros(())
        if one.labels:
            loss = loss + one.labels * self._loss(logits, y)
            for head in heads:
                loss = loss + one.labels * self.recipe.auxiliary * self._loss(head, y)
        if one.soft and targets is not None:
            loss = loss + one.soft * functional.cross_entropy(logits, targets[part])
        return loss, logits

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)

    @torch.no_grad()
    def _taught(self, x: Tensor) -> Tensor:
        """The softened outputs of the kept teacher (B, classes), by the statistics of this batch."""
        if self._teacher is None:
            raise ValueError("a pass wants soft targets, but no pass before it teaches and no weights were kept")
        arch, weights = self._teacher
        with self.speed.autocast(self.device):
            made = self.supernet.given(x, arch, weights)
        logits: Tensor = made[0] if isinstance(made, tuple) else made
        return logits.float().softmax(1)

    def _sort(self) -> None:
        from nas.weights.sorting import sort  # noqa: PLC0415  # one rule needs it

        sort(self.supernet, self._optimiser)

    @torch.no_grad()
    def _size(self) -> Tensor:
        """Zero where all weights are finite, else not a number."""
        return torch.stack(torch._foreach_norm(self._weights)).sum() * 0

    def _finite(self, total: Tensor, step: int) -> None:
        if not math.isfinite(float(total)):
            raise Diverged(
                f"the supernet's training diverged in epoch {self.epoch + 1} by step {step} of {self.steps}: the loss "
                f"or the weights are not finite; a learning rate below {self.recipe.peak:g} may help"
            )

    def state(self) -> dict[str, Any]:
        """Weights, momenta, the order of images, the teacher; and the way of training, which is found by timing."""
        teacher = self._teacher
        return {
            "epoch": self.epoch,
            "metrics": self.metrics,
            "speed": self.speed.json(),
            "supernet": self.supernet.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "order": self.stream.generator.get_state(),
            "teacher": None if teacher is None else (teacher[0].to_json(), teacher[1]),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.epoch, self.metrics = state["epoch"], state["metrics"]
        self._take(Speed.read(state["speed"]) or self.speed)
        self.supernet.load_state_dict(state["supernet"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.stream.generator.set_state(state["order"])
        if state["teacher"] is not None:
            text, weights = state["teacher"]
            kept = {name: value.to(self.device) for name, value in weights.items()}
            self._teacher = Architecture.from_json(text), kept

    def leave(self, folder: Path) -> None:
        """The supernet."""
        save(self.supernet, folder / WEIGHTS)


def fingerprint(supernet: Supernet, info: Info, recipe: Recipe, seed: int, images: int, *more: str) -> str:
    """16 hex digits over what makes two trainings of shared weights the same."""
    shapes = [(name, list(value.shape)) for name, value in supernet.named_parameters()]
    labels = {name: choice.labels for name, choice in supernet.space.choices.items()}
    parts = (recipe.json(), seed, info.hash, images, supernet.space.name, labels, shapes, supernet.parts, more)
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()[:16]


def _share(size: int, k: int, n: int) -> slice:
    if n > size:
        raise UserError(f"a batch of {size} images cannot be split into {n} parts", fix="make the batch larger")
    return slice(k * size // n, (k + 1) * size // n)
