"""What an architecture might be worth, without training it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from nas.roles import Predictor
from nas.space import Space
from predictors.ensemble import Boosted, ExtraTrees, Forest
from predictors.gp import GP
from predictors.informed import Informed
from predictors.network import GraphNetwork
from predictors.neural import Networks
from predictors.pairwise import Pairwise
from predictors.ridge import Ridge
from predictors.stack import Stack
from predictors.transferred import Transferred

NOISE = 0.25
"""The share of the variance of ratings that is taken for noise where the best of them is chosen."""


def _informed(space: Space) -> Predictor:
    return Informed(space, GP())


PREDICTORS: Mapping[str, Callable[..., Predictor]] = {
    "auto": Stack,
    "boosted": Boosted,
    "forest": Forest,
    "gp": GP,
    "gp-noisy": partial(GP, ranks=True, noise=NOISE),
    "gp-ranks": partial(GP, ranks=True),
    "gp-ways": _informed,
    "graph": GraphNetwork,
    "networks": Networks,
    "pairwise": Pairwise,
    "ridge": Ridge,
    "trees": ExtraTrees,
}
"""Every predictor by its name; those with an argument `space` are made for one."""

__all__ = ["PREDICTORS", "Transferred"]
