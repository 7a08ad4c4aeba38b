"""What an architecture might be worth, without training it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from nas.roles import Predictor
from predictors.ensemble import Forest
from predictors.gp import GP
from predictors.neural import Networks
from predictors.ridge import Ridge

PREDICTORS: Mapping[str, Callable[[], Predictor]] = {
    "forest": Forest,
    "gp": GP,
    "gp-ranks": partial(GP, ranks=True),
    "networks": Networks,
    "ridge": Ridge,
}
"""Every predictor by its name."""
