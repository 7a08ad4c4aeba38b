"""Relaxed search: all options run, each weighed by alphas that are learnt beside the weights."""

from nas.training.relax.distributed import Distributed
from nas.training.relax.relaxed import Relaxed
from nas.training.relax.searching import FOUND, Descent
from nas.training.relax.stop import Settled, Sharpness, Skips

__all__ = ["FOUND", "Descent", "Distributed", "Relaxed", "Settled", "Sharpness", "Skips"]
