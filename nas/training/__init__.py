"""Training of one network: the recipe, the loop, and what it reaches."""

from nas.training.checkpoint import forget
from nas.training.heap import keep_heap
from nas.training.loop import Fitted, Report, fit
from nas.training.measure import accuracy
from nas.training.recipe import Recipe
from nas.training.seeds import seeded
from nas.training.steps import Diverged

__all__ = ["Diverged", "Fitted", "Recipe", "Report", "accuracy", "fit", "forget", "keep_heap", "seeded"]
