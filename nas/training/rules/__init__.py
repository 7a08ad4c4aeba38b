"""Path rules: which sub-networks learn in a step of a supernet's training."""

from collections.abc import Mapping
from types import MappingProxyType

from nas.training.rules.delayed import Delayed
from nas.training.rules.extremes import Extremes, extremes
from nas.training.rules.fair import Fair
from nas.training.rules.multi import Multi
from nas.training.rules.nested import Sorted
from nas.training.rules.progressive import Phase, Progressive, phases
from nas.training.rules.rule import Moment, Pass, Rule, Step
from nas.training.rules.sandwich import Sandwich
from nas.training.rules.uniform import Uniform

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "delayed": Delayed(),
        "fair": Fair(),
        "multi": Multi(),
        "progressive": Progressive(),
        "sandwich": Sandwich(),
        "sorted": Sorted(),
        "uniform": Uniform(),
    }
)
"""The rules by name, as they are by default."""

__all__ = [
    "RULES",
    "Delayed",
    "Extremes",
    "Fair",
    "Moment",
    "Multi",
    "Pass",
    "Phase",
    "Progressive",
    "Rule",
    "Sandwich",
    "Sorted",
    "Step",
    "Uniform",
    "extremes",
    "phases",
]
