"""What an architecture might be worth, without training it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.roles import Predictor
from predictors.ensemble import Forest

PREDICTORS: Mapping[str, Callable[[], Predictor]] = {"forest": Forest}
"""Every predictor by its name."""
