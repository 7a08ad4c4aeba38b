"""How a policy over architectures is made and how it learns; plain values, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from nas.errors import UserError
from nas.space import Architecture
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


class Drawn(NamedTuple):
    """An architecture, the logarithm of its probability, and the sum of the entropies of its picks, in nats."""

    arch: Architecture
    log_prob: float
    entropy: float


@final
@dataclass(frozen=True)
class Controller:
    """What a policy is made of; by default as in ENAS's micro search (melodyguan/enas, cifar10_micro_search.sh).

    units: of the LSTM, 100 in the paper, 64 in its code. temperature: divides the scores of options.
    bound: scores lie between minus this and this, 0 for no bound; divided by `tighter` for the choices whose names end
    as `tight`: the operations of a cell. So published policies stay near the uniform one: of five operations none gets
    more than 0.38. (The code also starts separable convolutions with a bias of 10, a prior that is left out here.)
    tied: choices of equal labels share embeddings and scores, as a cell's operations do in ENAS.
    layers: of the LSTM. weights: the first ones are uniform between minus this and this.
    lr, epsilon, beta: of Adam; beta is of its first moment. ENAS's code has none, and a large epsilon, below which
    steps shrink with the gradient. entropy: what a nat of entropy is worth in the unit of the reward.
    decay: of the baseline.
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
    layers: int = 1
    weights: float = 0.1
    beta: float = 0.0

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
            ("layers", 1, math.inf),
            ("weights", 0, math.inf),
            ("beta", 0, 1 - 1e-9),
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
    def nas_rl() -> Controller:
        """The controller of Zoph and Le 2017 (arXiv:1611.01578, section 4.1): two layers of 35 units.

        The paper does not print its baseline's decay; this one is 0.95.
        """
        return Controller(**PLAIN, units=35, layers=2, weights=0.08, lr=6e-4, entropy=0.0)

    @staticmethod
    def nasnet() -> Controller:
        """The controller of NASNet's search (Zoph et al. 2018, arXiv:1707.07012, appendix A.2): 100 units, for PPO."""
        return Controller(**PLAIN, units=100, lr=3.5e-4, entropy=1e-5)

    @staticmethod
    def of(values: Mapping[str, Any]) -> Controller:
        """The controller of its fields as plain values, as `dataclasses.asdict` gives them."""
        skips = values.get("skips")
        return Controller(**{**values, "skips": None if skips is None else Skips(**skips)})


PLAIN: Mapping[str, Any] = {"bound": 0.0, "tied": False, "epsilon": 1e-8, "beta": 0.9, "decay": 0.95}
"""What a controller is without ENAS's additions: unbounded scores, of each choice for itself; Adam as published."""
