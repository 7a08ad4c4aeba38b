"""The tree: a network is a tree of frozen values, a search space is the same tree with holes."""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, TypeAlias, final

Label: TypeAlias = str | int | float
Shape: TypeAlias = tuple[Any, ...]
"""One value without the batch axis, (C, H, W), (T, D) or (F,); or a tuple of such, for several values."""
Pick: TypeAlias = Callable[["Choice"], int]
"""Which option is taken for a hole: an index into `choice.options`."""
Int: TypeAlias = Any  # an int, or a Choice of ints, for the fields of nodes
Float: TypeAlias = Any  # a float, or a Choice of floats
Str: TypeAlias = Any  # a string, or a Choice of strings
Tree: TypeAlias = Any  # a Node, or a Choice of Nodes

LABEL = re.compile(r"[A-Za-z0-9_]+\Z")


class Refused(ValueError):
    """A filled tree that is no member."""


@final
@dataclass(frozen=True)
class Choice:
    """A hole in a tree; two choices of one name are one decision.

    name: a dotted path in the paper's words, "stage2.width".
    options: numbers, strings, tuples of item names (for `keep`) or nodes, never a mix.
    labels: how each option is written in an architecture; numbers and strings are written as they are.
    """

    name: str
    options: tuple[Any, ...]
    labels: tuple[Label, ...] = ()

    def __post_init__(self) -> None:
        options = tuple(self.options)
        object.__setattr__(self, "options", options)
        if not options:
            raise ValueError(f"choice {self.name!r} has no options")
        kinds = {_kind(o) for o in options}
        if len(kinds) > 1:
            raise ValueError(f"choice {self.name!r} mixes {' and '.join(sorted(kinds))}; options must be of one kind")
        kind, labels = kinds.pop(), tuple(self.labels)
        if not labels:
            if kind == "nodes":
                raise ValueError(f"choice {self.name!r} is over nodes and needs labels: Choice.over(name, a=node, ...)")
            labels = tuple("_".join(o) or "none" for o in options) if kind == "sets" else options
        if len(labels) != len(options) or len(set(labels)) != len(labels):
            raise ValueError(f"choice {self.name!r} needs {len(options)} different labels, got {labels}")
        if bad := [label for label in labels if isinstance(label, str) and not LABEL.match(label)]:
            raise ValueError(f"choice {self.name!r} has the label {bad[0]!r}; labels are letters, digits and _")
        object.__setattr__(self, "labels", labels)

    @staticmethod
    def over(name: str, **options: Tree) -> Choice:
        """A choice among nodes, each written as its keyword."""
        return Choice(name, tuple(options.values()), tuple(options))

    @staticmethod
    def sets(name: str, items: tuple[str, ...], size: int) -> Choice:
        """A choice among the sets of `size` of the named items, for the `keep` of a Sum or Concat."""
        return Choice(name, tuple(combinations(items, size)))

    @property
    def of_nodes(self) -> bool:
        """Whether the options are nodes."""
        return isinstance(self.options[0], Node | Choice)

    def index(self, label: Label) -> int:
        """Which option is written so; KeyError naming the choice and its labels where there is none."""
        if label not in self.labels:
            raise KeyError(f"choice {self.name!r} has no option {label} (it has {', '.join(map(str, self.labels))})")
        return self.labels.index(label)


def _kind(option: object) -> str:
    if isinstance(option, Node | Choice):
        return "nodes"
    if isinstance(option, bool) or not isinstance(option, int | float | str | tuple):
        raise ValueError(f"an option must be a number, a string, a set of names or a node, not {option!r}")
    return "strings" if isinstance(option, str) else "sets" if isinstance(option, tuple) else "numbers"


@final
@dataclass(frozen=True)
class Cost:
    """What a layer costs for one input.

    params: learned numbers; macs: multiply-accumulates of convolutions, linear layers and attention, biases apart;
    activations: elements that convolutions put out (Radosavovic et al. 2020, arXiv:2003.13678, section 3.3).
    """

    params: int = 0
    macs: int = 0
    activations: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.params + other.params, self.macs + other.macs, self.activations + other.activations)


@final
@dataclass(frozen=True)
class Call:
    """A class and the arguments that it is called with: what a primitive builds, as a value that prints as source.

    make: a torch class, or one from a file that imports torch alone (an export copies its source).
    """

    make: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()

    @staticmethod
    def of(make: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
        """The call `make(*args, **kwargs)`."""
        return Call(make, args, tuple(kwargs.items()))

    def __call__(self) -> Any:
        return self.make(*self.args, **dict(self.kwargs))


@dataclass(frozen=True)
class Node(ABC):
    """A part of a network: a composite defines `lower` alone, a primitive `call`, `out` and `cost`."""

    def __init_subclass__(cls, *, structure: bool = False, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if cls.__bases__ != (Node,):
            raise TypeError(f"{cls.__name__} must derive from Node alone: a node is final, wrap it instead")
        has = {"lower", "call", "out", "cost"} & set(vars(cls))
        if not structure and has not in ({"lower"}, {"call", "out", "cost"}):
            rule = "a composite defines lower, a primitive call, out, cost"
            raise TypeError(f"{cls.__name__} defines {sorted(has)}; {rule}")

    def lower(self, shape: Shape) -> Node | None:
        """What a composite is made of, for this input; None for a primitive."""
        return None

    def call(self, shape: Shape) -> Call:
        """What builds a primitive's module for this input."""
        raise TypeError(f"{type(self).__name__} is no primitive")

    def out(self, shape: Shape) -> Shape:
        """The shape that a primitive puts out."""
        raise TypeError(f"{type(self).__name__} is no primitive")

    def cost(self, shape: Shape) -> Cost:
        """What a primitive costs for one input."""
        raise TypeError(f"{type(self).__name__} is no primitive")


def _named(kind: str, names: tuple[str, ...], items: tuple[Tree, ...]) -> None:
    if len(names) != len(items) or len(set(names)) != len(names):
        raise ValueError(f"a {kind} needs one name for each of its {len(items)} items, all different, got {names}")
    if bad := [name for name in names if not LABEL.match(name)]:
        raise ValueError(f"a {kind} has an item named {bad[0]!r}; names are letters, digits and _")


@final
@dataclass(frozen=True)
class Chain(Node, structure=True):
    """Items one after another; `depth` (an int or a hole, decided first) keeps the first of them."""

    names: tuple[str, ...]
    items: tuple[Tree, ...]
    depth: Int = None

    def __post_init__(self) -> None:
        _named("Chain", self.names, self.items)

    @staticmethod
    def of(depth: Int = None, **items: Tree | None) -> Chain:
        """A chain of named items; an item that is None is left out."""
        there = {k: v for k, v in items.items() if v is not None}
        return Chain(tuple(there), tuple(there.values()), depth)

    @staticmethod
    def seq(*items: Tree, depth: Int = None) -> Chain:
        """A chain whose items are named 0, 1, 2."""
        return Chain(tuple(map(str, range(len(items)))), items, depth)


@final
@dataclass(frozen=True)
class Sum(Node, structure=True):
    """The sum of what its items make of one input; `keep` (holes, decided first) says which items there are.

    keep: a Choice of sets of item names, or a tuple with, for each item, a Choice of (0, 1) or None for always.
    """

    names: tuple[str, ...]
    items: tuple[Tree, ...]
    keep: Any = None

    def __post_init__(self) -> None:
        _named("Sum", self.names, self.items)

    @staticmethod
    def of(keep: Any = None, **items: Tree) -> Sum:
        """A sum of named items."""
        return Sum(tuple(items), tuple(items.values()), keep)


@final
@dataclass(frozen=True)
class Concat(Node, structure=True):
    """What its items make of one input, joined along the first axis; `keep` as for Sum."""

    names: tuple[str, ...]
    items: tuple[Tree, ...]
    keep: Any = None

    def __post_init__(self) -> None:
        _named("Concat", self.names, self.items)

    @staticmethod
    def of(keep: Any = None, **items: Tree) -> Concat:
        """A concatenation of named items."""
        return Concat(tuple(items), tuple(items.values()), keep)


@final
@dataclass(frozen=True)
class Dag(Node, structure=True):
    """Named steps; each sees the inputs and the values of all earlier steps, and says by `Take` which it reads.

    output: "last" step, the "loose" ends (steps nobody took) joined along the first axis, or "all" steps joined.
    """

    names: tuple[str, ...]
    items: tuple[Tree, ...]
    output: Literal["last", "loose", "all"] = "last"

    def __post_init__(self) -> None:
        _named("Dag", self.names, self.items)

    @staticmethod
    def of(output: Literal["last", "loose", "all"] = "last", **items: Tree) -> Dag:
        """A graph of named steps."""
        return Dag(tuple(items), tuple(items.values()), output)


@final
@dataclass(frozen=True)
class Take(Node, structure=True):
    """Of the values in sight, the one numbered `source` (or several, for a tuple of numbers), through `node`."""

    source: Int
    node: Tree


@final
@dataclass(frozen=True)
class Each(Node, structure=True):
    """One node, one set of weights, over every value of a tuple."""

    node: Tree


@final
@dataclass(frozen=True)
class Scan(Node, structure=True):
    """One node over time, (T, D) to (T, state[0]): it makes the next state, of these widths, from (x_t, *state)."""

    node: Tree
    state: tuple[Int, ...]


@final
@dataclass(frozen=True)
class TrainHead(Node, structure=True):
    """Its input, unchanged; in train mode `node` makes a further output of it, whose cost is `counted` or not."""

    node: Tree
    counted: bool = False


@final
@dataclass(frozen=True)
class Zero(Node, structure=True):
    """Nothing: a value of zeros in the shape of its input, which a Sum leaves out."""


@final
@dataclass(frozen=True)
class Identity(Node, structure=True):
    """Its input, unchanged."""


def parts(cls: type[Any]) -> tuple[str, ...]:
    """The names of a node class's fields."""
    return cls.__match_args__  # type: ignore[no-any-return]  # what a dataclass keeps of them
