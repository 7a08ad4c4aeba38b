"""From what a relaxed search learnt, by choice a number for each option or item, to architectures."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, TypeAlias, final, get_args

from nas.errors import UserError
from nas.space import Architecture, Space
from nas.tree import Choice

Mix: TypeAlias = Mapping[str, Sequence[float]]
"""For each choice of a space how its options weigh, or the items of a choice of sets, by `slots`."""
Way = Literal["sparse", "edge"]


def slots(choice: Choice) -> tuple[str, ...]:
    """What each number of `mix[name]` weighs: the options by label, or the items of a choice of sets by name."""
    if isinstance(choice.options[0], tuple):
        return tuple(dict.fromkeys(item for some in choice.options for item in some))
    return tuple(map(str, choice.labels))


@final
class Weighed:
    """The options of each choice by the logarithm of what they weigh, heaviest first.

    A choice of sets keeps items; where an item is itself a choice, called like its sibling (`node3.inputs` and
    `node3.from0`), a set weighs as its items with the best option of each: so a node keeps the edges whose best
    operation weighs most. never: labels that nothing takes while there are others. KeyError or ValueError, which names
    the choice, where the mix is of another space.
    """

    def __init__(self, space: Space, mix: Mix, never: Collection[str] = ()) -> None:
        self._choices = space.choices
        self._logs = {name: _logs(choice, mix) for name, choice in self._choices.items()}
        self._free = {name: _free(choice, never) for name, choice in self._choices.items()}
        self._values = {
            name: [self._value(choice, k) for k in range(len(choice.options))] for name, choice in self._choices.items()
        }
        self._orders = {
            name: sorted(free, key=lambda k, name=name: -self._values[name][k])  # type: ignore[misc]  # the default binds
            for name, free in self._free.items()
        }

    def option(self, choice: Choice, rank: int = 0) -> int:
        """The option of a rank, 0 for the heaviest; of equal ones the first."""
        return self._orders[choice.name][rank]

    def ranks(self, name: str) -> int:
        """How many options of a choice can be taken."""
        return len(self._orders[name])

    def loss(self, name: str, rank: int) -> float:
        """By how much the logarithm falls from the heaviest option to that of a rank."""
        values, order = self._values[name], self._orders[name]
        best, this = values[order[0]], values[order[rank]]
        return 0.0 if best == this else best - this

    def opened(self, name: str) -> list[str]:
        """The choices behind the items of a choice of sets."""
        choice = self._choices[name]
        if not isinstance(choice.options[0], tuple):
            return []
        return [other for item in slots(choice) if (other := sibling(name, item)) in self._choices]

    def _value(self, choice: Choice, k: int) -> float:
        option, logs = choice.options[k], self._logs[choice.name]
        if not isinstance(option, tuple):
            return logs[k]
        items = slots(choice)
        return sum(logs[items.index(item)] + self._best(sibling(choice.name, item)) for item in option)

    def _best(self, name: str) -> float:
        return max(self._logs[name][k] for k in self._free[name]) if name in self._choices else 0.0


def derive(space: Space, mix: Mix, *, never: Collection[str] = ()) -> Architecture:
    """The architecture that weighs most: of each choice the heaviest option, of each node the heaviest edges.

    Liu et al. 2019, arXiv:1806.09055, section 2.4, whose `never` is ("none",).
    """
    weighed = Weighed(space, mix, never)
    return space.decide(weighed.option)


def thresholded(space: Space, mix: Mix, *, way: Way = "sparse", threshold: float = 0.85) -> Architecture:
    """The architecture of edges that keep any operations, each a choice of (0, 1) called cell.node.edge.operation.

    sparse: of each node the two edges whose best operation weighs most, and of each the best operation; edge: of all
    edges the best two; each only where it weighs the threshold or more (Heuillet et al. 2021, arXiv:2108.09306; of
    equal ones the first is best in "sparse" and the last in "edge", as in the released code).
    """
    if way not in get_args(Way):
        raise UserError(f"there is no way {way!r} to read free edges", fix=f"there are: {', '.join(get_args(Way))}")
    nodes: dict[str, dict[str, list[tuple[float, str]]]] = {}
    for name, choice in space.choices.items():
        if sorted(map(str, choice.labels)) != ["0", "1"] or name.count(".") < 2:
            raise UserError(
                f"a threshold reads edges that keep any operations, and {space.name} has the choice {name}",
                fix="take ddarts or dartopti, or derive without a threshold",
            )
        weight = _numbers(choice, mix)[choice.index(1)]
        edge = name.rpartition(".")[0]
        nodes.setdefault(edge.rpartition(".")[0], {}).setdefault(edge, []).append((weight, name))
    kept = {name for edges in nodes.values() for name in _kept(list(edges.values()), way, threshold)}
    return space.decide(lambda choice: choice.index(int(choice.name in kept)))


def _kept(edges: list[list[tuple[float, str]]], way: Way, threshold: float) -> list[str]:
    if way == "edge":
        best = [one for edge in edges for one in sorted(edge, key=lambda one: one[0])[-2:]]
    else:
        best = sorted((max(edge, key=lambda one: one[0]) for edge in edges), key=lambda one: -one[0])[:2]
    return [name for weight, name in best if weight >= threshold]


def uses(arch: Architecture, operation: str, within: str = "") -> int:
    """How many edges take an operation, in the choices whose names begin so."""
    own = ((name, label) for name, label in arch.choices if name.startswith(within))
    return sum(label == operation or (label == 1 and name.endswith(f".{operation}")) for name, label in own)


def sibling(name: str, item: str) -> str:
    """The name of the choice that an item of a choice of sets would have."""
    return f"{name.rpartition('.')[0]}.{item}"


def _numbers(choice: Choice, mix: Mix) -> list[float]:
    if choice.name not in mix:
        raise KeyError(f"the mix does not say how choice {choice.name!r} is weighed")
    numbers = [float(n) for n in mix[choice.name]]
    if len(numbers) != len(slots(choice)) or not all(n >= 0 for n in numbers):
        raise ValueError(f"choice {choice.name!r} needs {len(slots(choice))} numbers of 0 and more, got {numbers}")
    return numbers


def _logs(choice: Choice, mix: Mix) -> list[float]:
    return [math.log(n) if n else -math.inf for n in _numbers(choice, mix)]


def _free(choice: Choice, never: Collection[str]) -> list[int]:
    every = range(len(choice.options))
    return [k for k in every if str(choice.labels[k]) not in never] or list(every)
