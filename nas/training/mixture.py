"""Several supernets trained side by side, each on the networks that a gate gives to it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from nas.data import Data, Info, Part, on_device
from nas.data.augment import Augment
from nas.data.part import pick
from nas.data.split import hold_out
from nas.errors import UserError
from nas.files import write_text
from nas.problem import Problem
from nas.space import Architecture, Rng
from nas.training.recipe import Compile, Recipe
from nas.training.rules import Moment, Pass, Step
from nas.training.sharing import WEIGHTS, Sharing
from nas.training.steps import CHECK, Diverged
from nas.training.stream import Stream
from nas.weights import Supernet
from nas.weights.mixture import Array, balancing, gate
from nas.weights.saved import save

GATE = "gate.json"
MOST = 20_000
"""Members of a space of which a table is kept; the largest of the paper has 19,683."""


@final
@dataclass(frozen=True)
class OneOf:
    """Each step one of these, all as likely."""

    archs: tuple[Architecture, ...] = field(repr=False)

    def __call__(self, problem: Problem, at: Moment, rng: Rng) -> Step:
        """One pass."""
        return Step((Pass(self.archs[int(rng.integers(len(self.archs)))]),))


@final
@dataclass(frozen=True)
class Mixture:
    """A balanced mixture of supernets (Roshtkhari et al. 2023, arXiv:2306.11982, section 3).

    Each step draws a path, and for it a model from the gate; that model alone learns, and its accuracy on a batch of
    held-out images moves the gate. Models are alike but for their first weights.

    count: of supernets; held: the share of the training images that moves the gate and trains nothing.
    decay: of the moving average of the accuracies; coldest: the temperature rises from 1 in the first epoch to this.
    balanced: whether all models get as many steps. parts: what `Supernet` is given beside the space and the seed.
    """

    count: int = 4
    held: float = 0.5
    decay: float = 0.9
    coldest: float = 100.0
    balanced: bool = True
    parts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 < self.held < 1 or not 0 <= self.decay < 1:
            raise UserError(
                f"a mixture of {self.count} supernets, held {self.held:g}, decay {self.decay:g} cannot be",
                fix="give at least 1 supernet, a share held between 0 and 1, and a decay from 0 to below 1",
            )

    def begin(
        self, problem: Problem, data: Data, train: Part, recipe: Recipe, *, seed: int, device: torch.device
    ) -> Mixing:
        """New supernets, from their first weights. Raises UserError for a space too large to keep a table of."""
        kept, held = hold_out(train.labels.cpu(), round(self.held * len(train)), seed=seed, salt="mixture")
        learns, moves = on_device(pick(train, kept), device), on_device(pick(train, held), device)
        return Mixing(self, members(problem), problem, learns, moves, data.info, recipe, seed=seed, device=device)


@final
class Mixing:
    """Supernets under training by a gate. table, (P, M): the moving averages; counts, (P, M): steps taken."""

    def __init__(
        self,
        method: Mixture,
        paths: tuple[Architecture, ...],
        problem: Problem,
        learns: Part,
        moves: Part,
        info: Info,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.method, self.paths, self.problem, self.seed, self.device = method, paths, problem, seed, device
        self.rule = OneOf(paths)
        self.models: list[Sharing] = []
        for k in range(method.count):
            # All have the seed of the same order and the same paths; only the first weights differ.
            supernet = Supernet(problem.space, seed=seed + k, **method.parts)
            model = Sharing(supernet, self.rule, problem, learns, info, recipe, seed=seed, device=device)
            speed = model.speed  # what the first one found by timing, so that all train alike
            compiles: Compile = "on" if speed.compiled else "off"
            recipe = replace(recipe, precision=speed.precision, layout=speed.layout, compile=compiles)
            self.models.append(model)
        first = self.models[0]
        self.stream, self.steps = first.stream, first.steps
        still = replace(recipe, augment=Augment())
        self.held = Stream(moves, info, still, seed=seed + 1, device=device, speed=first.speed)
        self.epoch, self.epochs, self.metrics = 0, recipe.epochs, dict[str, float]()
        self.fingerprint = f"{first.fingerprint} {method!r} {len(moves)}"
        self.table = np.ones((len(paths), method.count))
        self.counts = np.zeros((len(paths), method.count), np.int64)
        self._rows = {path: row for row, path in enumerate(paths)}

    @property
    def temperature(self) -> float:
        """Of this epoch: rises by the same amount each."""
        done = min(1.0, self.epoch / max(1, self.epochs - 1))
        return 1 + (self.method.coldest - 1) * done

    def run_epoch(self) -> None:
        """Train on each image once. Raises Diverged."""
        step, loss, right = self.epoch * self.stream.steps, torch.zeros((), device=self.device), 0.0
        offset, taken, held = self._offset(), np.zeros(self.method.count), self.held.endless()
        for images, labels in self.stream.epoch():
            row = self._rows[self._path(step)]
            chances = gate(self.table[row], self.temperature, offset)
            m = int(np.random.default_rng((self.seed, step, 1)).choice(len(chances), p=chances))
            loss += self.models[m].step(images, labels, step)
            reached = self._accuracy(m, row, *next(held))
            self.table[row, m] = self.method.decay * self.table[row, m] + (1 - self.method.decay) * reached
            self.counts[row, m] += 1
            taken[m] += 1
            right += reached
            step += 1
            if step % CHECK == 0:
                self._finite(loss, step)
        self._finite(loss, step)
        self.epoch += 1
        share = taken / taken.sum()
        self.metrics = {
            "train_loss": float(loss) / self.stream.steps,
            "held_accuracy": right / self.stream.steps,
            "least_share": float(share.min()),
            "largest_share": float(share.max()),
        }

    def _offset(self) -> Array | None:
        """What balances the gate as the table is now; it stays for an epoch, while the table moves."""
        return balancing(self.table, self.temperature) if self.method.balanced else None

    def _path(self, step: int) -> Architecture:
        """What the rule of all models draws in a step."""
        at = Moment(step, self.steps, self.stream.steps, self.models[0].recipe)
        return self.rule(self.problem, at, np.random.default_rng((self.seed, step))).passes[0].arch

    @torch.no_grad()
    def _accuracy(self, m: int, row: int, images: Tensor, labels: Tensor) -> float:
        """What a model reaches on a batch by the statistics of the batch itself, which is train mode's way."""
        model = self.models[m]
        with model.speed.autocast(self.device):
            made = model.supernet(images, self.paths[row])
        logits = made[0] if isinstance(made, tuple) else made
        return float((logits.argmax(1) == labels).float().mean())

    def _finite(self, loss: Tensor, step: int) -> None:
        if not math.isfinite(float(loss)):
            raise Diverged(
                f"the mixture's training diverged in epoch {self.epoch + 1} by step {step} of {self.steps}: its loss "
                f"is not finite; a learning rate below {self.models[0].recipe.peak:g} may help"
            )

    def state(self) -> dict[str, Any]:
        """The models, the orders of images, the table."""
        return {
            "epoch": self.epoch,
            "metrics": self.metrics,
            "models": [model.state() for model in self.models],
            "held": self.held.generator.get_state(),
            "table": torch.from_numpy(self.table.copy()),
            "counts": torch.from_numpy(self.counts.copy()),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.epoch, self.metrics = state["epoch"], state["metrics"]
        for model, saved in zip(self.models, state["models"], strict=True):
            model.load(saved)
        self.held.generator.set_state(state["held"])
        self.table, self.counts = state["table"].numpy(), state["counts"].numpy()

    def leave(self, folder: Path) -> None:
        """Each supernet in a folder of its own, and the gate."""
        for k, model in enumerate(self.models, 1):
            save(model.supernet, folder / f"model{k}" / WEIGHTS)
        space, chances = self.problem.space, gate(self.table, self.temperature, self._offset())
        made = {
            "models": len(self.models),
            "shares": (self.counts.sum(axis=0) / self.counts.sum()).tolist(),
            "sure": float(chances.max(axis=1).mean()),
            "paths": [space.spell(path) for path in self.paths],
            "table": self.table.tolist(),
            "counts": self.counts.tolist(),
        }
        write_text(folder / GATE, json.dumps(made))


def members(problem: Problem) -> tuple[Architecture, ...]:
    """All members of a problem's space within its limits. UserError where there are none, or more than `MOST`."""
    space = problem.space
    found = () if space.accepts is None and space.size > MOST else tuple(islice(space, MOST + 1))
    if not 0 < len(found) <= MOST:
        raise UserError(
            f"a mixture keeps a table of all members, and {space.name} has more than {MOST:,}",
            fix="make the space smaller by its settings, or train one supernet",
        )
    kept = tuple(arch for arch in found if not problem.screen(arch).broken) if problem.constraints else found
    if not kept:
        raise UserError(f"no member of {space.name} keeps the limits", fix="allow more", code=3)
    return kept
