"""One network under training: its steps, epoch by epoch, and the state from which it goes on."""

from __future__ import annotations

import hashlib
import json
import math
import time
import warnings
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data import Info, Part, batches
from nas.data.augment import augment, default_augment, mixup
from nas.training import checkpoint
from nas.training.descent import Average, descend, optimiser
from nas.training.measure import Normal, accuracy
from nas.training.progress import clocks
from nas.training.recipe import Recipe, rate
from nas.training.speed import PLAIN, Speed, arranged, choose, reshaped

CHECK = 50
"""Steps between two looks at the loss; each look waits for the device."""
SPEED_FILE = "speed.json"
FORMAT = 1
"""Of checkpoints; another one means a fresh start."""


@final
class Diverged(ArithmeticError):
    """A training whose loss or weights are no longer finite; the message says the epoch and the step."""


@final
class Training:
    """One network under training; `start`, then `run_epoch` and `measure` by turns, then `finish`.

    Runs inside `seeded`: dropout draws from torch's global generators, whose state is part of this one's.
    epoch: epochs done. seconds: over all sittings. images, stepping: what the steps took in, and their seconds.
    """

    def __init__(
        self,
        module: nn.Module,
        train: Part,
        info: Info,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
        until: int | None = None,
    ) -> None:
        self.module, self.train, self.info, self.recipe, self.device = module.to(device), train, info, recipe, device
        self.until = recipe.epochs if until is None else min(until, recipe.epochs)
        if not len(train):
            raise ValueError("a training needs at least one image")
        self.batch = min(recipe.batch_size, len(train))
        self.steps = len(train) // self.batch  # by epoch: an incomplete last batch is left to another epoch's order
        self.generator = torch.Generator().manual_seed(seed)
        self.speed = PLAIN
        self.epoch, self.seconds, self.images, self.stepping = 0, 0.0, 0, 0.0
        self.metrics: dict[str, float] = {}
        self._augment = default_augment(info) if recipe.augment is None else recipe.augment
        self._mixup = recipe.mixup or self._augment.mixup
        self._print = _fingerprint(module, train, info, recipe, seed)

    def start(self, folder: Path | None) -> tuple[str, ...]:
        """Choose the number format and layout and take up what a folder holds; the notes say what it could not use."""
        saved, note = checkpoint.read(folder) if folder is not None else (None, "")
        if saved is not None and saved.get("fingerprint") != self._print:
            saved, note = None, f"{folder} holds the checkpoint of another training: training starts afresh"
        if saved is not None and saved["epoch"] > self.until:
            saved, note = None, f"{folder} holds a checkpoint after epoch {self.until}: training starts afresh"
        notes = [note] if note else []
        if saved is not None and saved["device"] != self.device.type:
            notes.append(f"begun on {saved['device']}, goes on on {self.device.type}: its numbers are not repeatable")
        self.speed = self._choose(folder)
        self._normal = Normal(self.info, self.device, self.speed)
        reshaped(self.module, self.speed.memory_format).train()
        self._forward = torch.compile(self.module) if self.speed.compiled else self.module
        self._clocks = clocks(self.module)
        self._optimiser = optimiser(self.module, self.recipe)
        self._parameters = [value for group in self._optimiser.param_groups for value in group["params"]]
        self._average = Average(self.module, self.recipe.ema) if self.recipe.ema else None
        if saved is not None:
            self._load(saved)
        for line in notes:
            warnings.warn(line, RuntimeWarning, stacklevel=3)
        return tuple(notes)

    def _choose(self, folder: Path | None) -> Speed:
        path = folder / SPEED_FILE if folder is not None else None
        key = {"fingerprint": self._print, "device": self.device.type}
        if path is not None and path.exists():
            try:
                record = json.loads(path.read_bytes())
            except ValueError:
                record = None
            match record:
                case {"for": found, "speed": speed} if found == key and (known := Speed.read(speed)) is not None:
                    return known
        shape = (self.batch, *self.info.input)
        steps = self.steps * self.recipe.epochs
        chosen = choose(self.module, shape, recipe=self.recipe, steps=steps, device=self.device)
        if path is not None:
            content = json.dumps({"for": key, "speed": chosen.json()}, indent=1).encode()
            checkpoint.replace(path, content, draft=path.with_suffix(".draft"))
        return chosen

    def run_epoch(self) -> None:
        """Train on each image once, in a new order. Raises Diverged."""
        recipe, device, step = self.recipe, self.device, self.epoch * self.steps
        every = self.steps * recipe.epochs
        order = torch.randperm(len(self.train), generator=self.generator)[: self.steps * self.batch]
        total = torch.zeros((), device=device)
        start = time.perf_counter()
        self.module.train()
        for pixels, labels in batches(self.train, self.batch, device=device, order=order):
            for clock in self._clocks:
                clock.fill_(step / every)
            lr = rate(step, every, peak=recipe.peak, warmup=recipe.warmup)
            total += self._step(*self._changed(pixels, labels), lr)
            if self._average is not None:
                self._average.update(step)
            step += 1
            if step % CHECK == 0:
                self._finite(total, step)
        self._finite(total + self._size(), step)
        self.stepping += time.perf_counter() - start
        self.images += len(order)
        self.epoch += 1
        self.metrics = {"train_loss": float(total) / self.steps}

    def _changed(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A batch after the random changes, normalised; the labels as they came, or mixed (B, classes)."""
        images = self._normal(augment(pixels, self.generator, self._augment))
        if not self._mixup:
            return images, labels
        images, shares = mixup(images, labels, self.info.classes, self._mixup, self.generator)
        return arranged(images, self.speed.memory_format), shares

    def _step(self, images: Tensor, labels: Tensor, lr: float) -> Tensor:
        """One step down the gradient; the loss of the batch, before it, on the device."""
        recipe = self.recipe
        for group in self._optimiser.param_groups:
            group["lr"] = lr
        with self.speed.autocast(self.device):
            made = self._forward(images)
        logits, *heads = made if isinstance(made, tuple) else (made,)
        loss = self._loss(logits, labels)
        for head in heads:
            loss = loss + recipe.auxiliary * self._loss(head, labels)
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if recipe.clip:
            nn.utils.clip_grad_norm_(self._parameters, recipe.clip, foreach=True)
        descend(self._optimiser)
        return loss.detach()

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)

    @torch.no_grad()
    def _size(self) -> Tensor:
        """Zero where all weights are finite, else not a number."""
        return torch.stack(torch._foreach_norm(self._parameters)).sum() * 0

    def _finite(self, total: Tensor, step: int) -> None:
        if not math.isfinite(float(total)):
            raise Diverged(
                f"training diverged in epoch {self.epoch + 1} by step {step} of {self.steps * self.recipe.epochs}: the "
                f"loss or the weights are not finite; a learning rate below {self.recipe.peak:g} may help"
            )

    def measure(self, validation: Part | None) -> None:
        """Add the validation metrics of the averaged weights; those of the last epoch are computed in fp32."""
        if self._average is not None:
            self._average.settle()
        if validation is None:
            return
        speed = self.speed if self.epoch < self.until else Speed(layout=self.speed.layout)
        module = self.module if self._average is None else self._average.module
        found = accuracy(module, validation, self.info, device=self.device, speed=speed)
        if not math.isfinite(found["loss"]):
            raise Diverged(f"training diverged in epoch {self.epoch}: the validation loss is {found['loss']}")
        self.metrics = found | self.metrics

    def finish(self) -> None:
        """Leave the averaged weights in the module, in evaluation mode and contiguous."""
        if self._average is not None:
            self.module.load_state_dict(self._average.module.state_dict())
        reshaped(self.module, torch.contiguous_format).eval()

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on, in tensors and plain values."""
        cuda = self.device.type == "cuda"
        return {
            "fingerprint": self._print,
            "device": self.device.type,
            "epoch": self.epoch,
            "times": (self.seconds, self.images, self.stepping),
            "metrics": self.metrics,
            "speed": self.speed.json(),
            "module": self.module.state_dict(),
            "average": self._average.module.state_dict() if self._average is not None else None,
            "optimiser": self._optimiser.state_dict(),
            "order": self.generator.get_state(),
            "dropout": torch.get_rng_state(),
            "dropout_cuda": torch.cuda.get_rng_state(self.device) if cuda else None,
        }

    def _load(self, saved: dict[str, Any]) -> None:
        self.epoch, self.metrics = saved["epoch"], saved["metrics"]
        self.seconds, self.images, self.stepping = saved["times"]
        self.module.load_state_dict(saved["module"])
        if self._average is not None:
            self._average.module.load_state_dict(saved["average"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self.generator.set_state(saved["order"])
        torch.set_rng_state(saved["dropout"])
        if self.device.type == "cuda" and saved["dropout_cuda"] is not None:
            torch.cuda.set_rng_state(saved["dropout_cuda"], self.device)


def _fingerprint(module: nn.Module, train: Part, info: Info, recipe: Recipe, seed: int) -> str:
    """16 hex digits over what makes two trainings the same, but for their first weights and the device."""
    shapes = [(name, list(value.shape), str(value.dtype)) for name, value in module.state_dict().items()]
    parts = (FORMAT, recipe.json(), seed, info.hash, len(train), shapes)
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()[:16]
