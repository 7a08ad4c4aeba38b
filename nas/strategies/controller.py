"""How a policy over architectures is made and how it learns; plain values, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from nas.errors import UserError
from nas.tree import Choice


@final
@dataclass(frozen=True)
class Skips:
    """A pull of skips towards a share of all, for ENAS's macro search (arXiv:1802.03268, section 2.5).

    The divergence of each skip's chance from `target`, its mean times `weight` on top of the loss. The released code
    adds the skips of a layer and takes the mean over layers. ending: of the names of choices of two options, of which
    the second is the skip.
    """

    ending: str = ".skip"
    target: float = 0.4
    weight: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.target < 1 or not 0 <= self.weight < math.inf:
            raise UserError(
                f"skips need a target in (0, 1) and a weight of 0 or more, got {self.target:g}, {self.weight:g}",
                fix="ENAS takes 0.4 and 0.8",
            )

    def of(self, choice: Choice) -> bool:
        """Whether a choice is one of a skip; UserError where it should be by its name and has not two options."""
        if not choice.name.endswith(self.ending):
            return False
        if len(choice.options) != 2:
            raise UserError(
                f"the choice {choice.name!r} of a skip has {len(choice.options)} options, not 2",
                fix="name an ending of choices that are skips",
            )
        return True


@final
@dataclass(frozen=True)
class Controller:
    """What a policy is made of; by default as in ENAS's micro search (melodyguan/enas, cifar10_micro_search.sh).

    units: of the LSTM, 100 in the paper, 64 in its code. temperature: divides the scores of options.
    bound: scores lie between minus this and this, 0 for no bound; divided by `tighter` for the choices whose names end
    as `tight`: the operations of a cell. So published policies stay near the uniform one: of five operations none gets
    more than 0.38. (The code also starts separable convolutions with a bias of 10, a prior that is left out here.)
    tied: choices of equal labels share embeddings and scores, as a cell's operations do in ENAS.
    lr, epsilon: of Adam. entropy: what a nat of entropy is worth in the unit of the reward. decay: of the baseline.
    """

    units: int = 100
    temperature: float = 1.0
    bound: float = 1.1
    tight: str = ".op"
    tighter: float = 2.5
    tied: bool = True
    lr: float = 0.0035
    epsilon: float = 1e-3
    entropy: float = 1e-4
    decay: float = 0.99
    skips: Skips | None = None

    def __post_init__(self) -> None:
        limits: tuple[tuple[str, float, float], ...] = (
            ("units", 1, math.inf),
            ("temperature", 1e-6, math.inf),
            ("bound", 0, math.inf),
            ("tighter", 1e-6, math.inf),
            ("lr", 0, math.inf),
            ("epsilon", 0, math.inf),
            ("entropy", 0, math.inf),
            ("decay", 0, 1 - 1e-9),
        )
        for name, low, high in limits:
            if not low <= getattr(self, name) <= high:
                raise UserError(
                    f"controller: {name} must lie in [{low:g}, {high:g}], got {getattr(self, name)}",
                    fix=f"the default is {getattr(Controller, name)}",
                )

    def limit(self, name: str) -> float:
        """The bound of the scores of a choice; infinite for none."""
        if not self.bound:
            return math.inf
        return self.bound / self.tighter if self.tight and name.endswith(self.tight) else self.bound

    @staticmethod
    def of(values: Mapping[str, Any]) -> Controller:
        """The controller of its fields as plain values, as `dataclasses.asdict` gives them."""
        skips = values.get("skips")
        return Controller(**{**values, "skips": None if skips is None else Skips(**skips)})
