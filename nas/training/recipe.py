"""How one network is trained: the choices, and the learning rate they give at each step."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, final, get_args

from nas.data.augment import Augment
from nas.errors import UserError

Optimiser = Literal["sgd", "adamw"]
Precision = Literal["auto", "fp32", "bf16"]
Layout = Literal["auto", "contiguous", "channels_last"]
Compile = Literal["auto", "on", "off"]
Scaling = Literal["none", "aware"]

RATES: dict[Optimiser, float] = {"sgd": 0.05, "adamw": 3e-3}
"""The peak learning rate where a recipe names none."""
AWARE = 0.46
"""The same for `scaling="aware"`, found for cells that are one skip (Chen et al. 2024, arXiv:2402.17440, README)."""


@final
@dataclass(frozen=True)
class Recipe:
    """How one network is trained from its first weights to its last.

    lr: the peak learning rate; None takes the optimiser's own (`RATES`).
    momentum: of SGD (with Nesterov's step unless 0); AdamW keeps its usual betas.
    weight_decay: for weights of two dimensions and more; norms and biases have none.
    warmup: share of all steps in which the rate rises linearly; then it falls along a cosine.
    auxiliary: weight of the loss of each auxiliary head, for networks that have some (Szegedy et al. 2015).
    clip: largest norm of the whole gradient; 0 clips nothing.
    ema: decay of the average of the weights, min(ema, (1 + t) / (10 + t)) after step t; 0 keeps no average.
    augment: None takes what is usual for the data.
    mixup: both parameters of the Beta distribution of the mixing weight (Zhang et al. 2018); 0 leaves it to `augment`.
    scaling: "aware" draws the first weights by the architecture and makes the peak rate smaller the more and the longer
    its paths are (`nas.training.aware`); `lr` is then that of the smallest network.
    precision, layout, compile: "auto" times a few steps where the training is long enough to repay it.
    """

    epochs: int = 20
    batch_size: int = 64
    optimiser: Optimiser = "sgd"
    lr: float | None = None
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.1
    label_smoothing: float = 0.1
    auxiliary: float = 0.4
    clip: float = 5.0
    ema: float = 0.99
    mixup: float = 0.0
    augment: Augment | None = None
    scaling: Scaling = "none"
    precision: Precision = "auto"
    layout: Layout = "auto"
    compile: Compile = "auto"

    def __post_init__(self) -> None:
        limits: tuple[tuple[str, float, float], ...] = (
            ("epochs", 1, math.inf),
            ("batch_size", 1, math.inf),
            ("momentum", 0, 1),
            ("weight_decay", 0, math.inf),
            ("warmup", 0, 1),
            ("label_smoothing", 0, 1),
            ("auxiliary", 0, math.inf),
            ("clip", 0, math.inf),
            ("ema", 0, 1),
            ("mixup", 0, math.inf),
        )
        for name, low, high in limits:
            if not low <= getattr(self, name) <= high:
                raise UserError(
                    f"recipe: {name} must lie in [{low:g}, {high:g}], got {getattr(self, name)}",
                    fix=f"the default is {getattr(Recipe, name)}",
                )
        words: tuple[tuple[str, Any], ...] = (
            ("optimiser", Optimiser),
            ("scaling", Scaling),
            ("precision", Precision),
            ("layout", Layout),
            ("compile", Compile),
        )
        for name, known in words:
            if getattr(self, name) not in get_args(known):
                raise UserError(
                    f"recipe: {name} is {getattr(self, name)!r}", fix=f"there are: {', '.join(get_args(known))}"
                )
        if self.scaling == "aware" and self.optimiser != "sgd":
            raise UserError(
                f"recipe: scaling=aware is a rule for sgd, the optimiser is {self.optimiser}",
                fix="leave one of them out",
            )
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise UserError(f"recipe: lr must be above 0, got {self.lr}", fix="leave it out for the optimiser's own")

    @property
    def peak(self) -> float:
        """The highest learning rate."""
        if self.lr is not None:
            return self.lr
        return AWARE if self.scaling == "aware" else RATES[self.optimiser]

    def json(self) -> dict[str, Any]:
        """The recipe as plain values, for JSON."""
        return asdict(self)


def rate(step: int, steps: int, *, peak: float, warmup: float) -> float:
    """The learning rate of one step (from 0): a linear rise to `peak`, then half a cosine down towards 0.

    The rise takes round(warmup * steps) steps, and the last of them is at the peak already. Loshchilov and Hutter
    2017, equation 5, without restarts.
    """
    rise = round(warmup * steps)
    if step < rise:
        return peak * (step + 1) / rise
    return 0.5 * peak * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
