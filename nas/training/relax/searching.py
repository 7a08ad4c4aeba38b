"""A relaxed search under way: one half of the images teaches the weights, the other half the alphas."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam

from nas.data import Info, Part, on_device
from nas.data.part import Picked
from nas.errors import UserError
from nas.files import write_text
from nas.training.recipe import Recipe
from nas.training.relax.mixing import Mixing, plain
from nas.training.relax.stop import Seen, Stop, largest_eigenvalue
from nas.training.sharing import WEIGHTS, fingerprint
from nas.training.speed import Speed, reshaped
from nas.training.steps import Diverged
from nas.training.stream import Stream
from nas.weights import Supernet
from nas.weights.saved import save

FOUND = "relaxed.json"
"""What a relaxed search leaves beside its weights: the mix of the alphas that it returns, and its epochs."""
LAYOUT = Speed(layout="channels_last")
"""Of all tensors: small channels, many of them depthwise, run faster so on a CPU and no slower elsewhere."""
Batch: TypeAlias = tuple[Tensor, Tensor]


@final
@dataclass(frozen=True)
class Descent:
    """How weights and alphas go down: SGD and Adam as in Liu et al. 2019, arXiv:1806.09055, section A.1.1.

    Both rates fall along a cosine, epoch by epoch, to the least one. decay: of the weights, all of them alike.
    """

    rate: float = 0.025
    least: float = 0.001
    momentum: float = 0.9
    decay: float = 3e-4
    clip: float = 5.0
    alpha_rate: float = 3e-4
    alpha_least: float = 3e-4
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    alpha_decay: float = 1e-3

    def rates(self, epoch: int, epochs: int) -> tuple[float, float]:
        """The rate of the weights and that of the alphas in an epoch, counted from 0."""
        share = (1 + math.cos(math.pi * epoch / epochs)) / 2
        alpha = self.alpha_least + (self.alpha_rate - self.alpha_least) * share
        return self.least + (self.rate - self.least) * share, alpha


@final
class Searching:
    """Weights and alphas in turns, batch by batch; the session of every relaxed method.

    slope: the gradient of the alphas and the held-out loss, from this search, a batch of each half and the step.
    warmup: epochs in which the alphas are frozen. The recipe gives epochs, batch size and augmentation, the descent
    the rest.
    """

    def __init__(
        self,
        supernet: Supernet,
        mixing: Mixing,
        alphas: Tensor,
        slope: Callable[[Searching, Batch, Batch, int], tuple[Tensor, Tensor]],
        train: Part,
        info: Info,
        recipe: Recipe,
        *,
        descent: Descent,
        warmup: int,
        stop: Stop | None,
        method: str,
        seed: int,
        device: torch.device,
    ) -> None:
        if len(train) < 2:
            raise UserError(f"a relaxed search needs two halves of images, got {len(train)}", fix="give more images")
        self.mixing, self.descent, self.seed, self.device = mixing, descent, seed, device
        self.epoch, self.epochs, self.metrics = 0, recipe.epochs, dict[str, float]()
        self.fingerprint = fingerprint(supernet, info, recipe, seed, len(train), method)
        self._slope, self._warmup, self._stop, self._planned = slope, warmup, stop, recipe.epochs
        supernet.mixed_statistics()  # raises where the space cannot be relaxed
        self.supernet = supernet.to(device)
        reshaped(self.supernet, LAYOUT.memory_format).train()
        self.weights = list(self.supernet.parameters())
        self.alphas = alphas.to(device).requires_grad_()
        self._train, self._held = (
            Stream(on_device(half, device), info, recipe, seed=seed + k, device=device, speed=LAYOUT)
            for k, half in enumerate(halves(train, seed))
        )
        self.steps = self._train.steps
        self.sgd = SGD(self.weights, lr=descent.rate, momentum=descent.momentum, weight_decay=descent.decay)
        self._adam = Adam(
            [self.alphas], lr=descent.alpha_rate, betas=descent.alpha_betas, weight_decay=descent.alpha_decay
        )
        self.seen = [Seen(plain(mixing(self.alphas.detach())))]
        self._kept, self.history = [self.alphas.detach().cpu().clone()], list[dict[str, float]]()
        self._found: int | None = None

    def run_epoch(self) -> None:
        """Each image once, in batches of either half. Raises Diverged."""
        rate, alpha_rate = self.descent.rates(self.epoch, self._planned)
        self.sgd.param_groups[0]["lr"], self._adam.param_groups[0]["lr"] = rate, alpha_rate
        learnt, searched = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        held: Batch | None = None
        for k, (batch, held) in enumerate(zip(self._train.epoch(), self._held.epoch(), strict=True)):
            if self.epoch >= self._warmup:
                self.alphas.grad, loss = self._slope(self, batch, held, self.epoch * self.steps + k)
                self._adam.step()
                searched += loss
            learnt += self._down(batch)
        self._finite(learnt)
        self.epoch += 1
        self.metrics = {"train_loss": float(learnt) / self.steps, "search_loss": float(searched) / self.steps}
        self._look(held)

    def loss(self, batch: Batch, mix: dict[str, Tensor]) -> Tensor:
        """The cross-entropy of the relaxed network on a batch."""
        images, labels = batch
        made = self.supernet.relaxed(images, mix)
        return functional.cross_entropy(made[0] if isinstance(made, tuple) else made, labels)

    def _down(self, batch: Batch) -> Tensor:
        """One step of the weights; the loss before it."""
        loss = self.loss(batch, self.mixing(self.alphas.detach()))
        self.sgd.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.weights, self.descent.clip, foreach=True)
        self.sgd.step()
        return loss.detach()

    def _look(self, held: Batch | None) -> None:
        """Note how the search stands after an epoch, and whether it ends here."""
        sharpness = math.nan
        if self._stop is not None and self._stop.sharp and held is not None:
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
            sharpness = largest_eigenvalue(lambda a: self.loss(held, self.mixing(a)), self.alphas, generator)
            self.metrics["sharpness"] = sharpness
        self.seen.append(Seen(plain(self.mixing(self.alphas.detach())), sharpness))
        self._kept.append(self.alphas.detach().cpu().clone())
        self.history.append(dict(self.metrics))
        if self._stop is not None and self.epoch > self._warmup:
            self._found = self._stop(self.supernet.space, self.seen)
            if self._found is not None:
                self.epochs = self.epoch

    def _finite(self, total: Tensor) -> None:
        if not math.isfinite(float(total)) or not bool(self.alphas.detach().isfinite().all()):
            raise Diverged(
                f"the relaxed search diverged in epoch {self.epoch + 1}: the loss or an alpha is not finite; "
                f"rates below {self.descent.rate:g} and {self.descent.alpha_rate:g} may help"
            )

    def state(self) -> dict[str, Any]:
        """Weights, alphas, both optimisers, the orders of both halves, and the alphas of every epoch."""
        return {
            "epoch": self.epoch,
            "epochs": self.epochs,
            "supernet": self.supernet.state_dict(),
            "alphas": self.alphas.detach(),
            "sgd": self.sgd.state_dict(),
            "adam": self._adam.state_dict(),
            "orders": [self._train.generator.get_state(), self._held.generator.get_state()],
            "kept": self._kept,
            "history": self.history,
            "found": self._found,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.epoch, self.epochs, self._found = state["epoch"], state["epochs"], state["found"]
        self.supernet.load_state_dict(state["supernet"])
        with torch.no_grad():
            self.alphas.copy_(state["alphas"])
        self.sgd.load_state_dict(state["sgd"])
        self._adam.load_state_dict(state["adam"])
        for stream, order in zip((self._train, self._held), state["orders"], strict=True):
            stream.generator.set_state(order)
        self._kept, self.history = list(state["kept"]), list(state["history"])
        self.metrics = dict(self.history[-1])
        sharp = [math.nan, *(row.get("sharpness", math.nan) for row in self.history)]
        self.seen = [Seen(plain(self.mixing(a)), s) for a, s in zip(self._kept, sharp, strict=True)]

    def leave(self, folder: Path) -> None:
        """The shared weights, and what was found: the mix, of which epoch it is, and the epochs with their mixes."""
        found = self.epoch if self._found is None else self._found
        made = {
            "mix": self.seen[found].mix,
            "epoch": found,
            "stopped": self._found is not None,
            "history": self.history,
            "mixes": [one.mix for one in self.seen],
        }
        save(self.supernet, folder / WEIGHTS)
        write_text(folder / FOUND, json.dumps(made))


def halves(part: Part, seed: int) -> tuple[Part, Part]:
    """Two halves of a part, of equal size and drawn at random; an odd image is in neither."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(part)))
    half = len(part) // 2
    return Picked(part, order[:half]), Picked(part, order[half : 2 * half])
