"""Two cells, normal and reduction, stacked: NASNet (Zoph et al. 2018, arXiv:1707.07012); AmoebaNet has the same space.

Macro-structure, stems, auxiliary head and dropped paths as in tensorflow/models, research/slim/nets/nasnet/nasnet.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from itertools import combinations
from typing import ParamSpec, final

from nas.errors import UserError
from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Dag, Label, Node, Shape, Sum, Take, TrainHead, Tree
from search_spaces.ops.cells import OPERATIONS, AuxiliaryHead, Cell
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.norm import Act, DropPath
from search_spaces.ops.pool import Classifier

LARGE = 64
"""From this side on, an image gets the stem of ImageNet unless the stem is named."""
WIDTHS_DIFFER = "how many values a cell joins depends on what its blocks read, and so do widths; output='all' can"
KINDS = ("normal", "reduction")
P = ParamSpec("P")


def with_stem(make: Callable[P, Space]) -> Callable[P, Space]:
    """A recorded function that records the stem it took, so that another input later does not change it."""

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Space:
        space = make(*args, **kwargs)
        return replace(space, settings={**space.settings, "stem": space.settings["stem"] or default_stem(space.input)})

    return made


@with_stem
@recorded
def nasnet(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    cells: int = 2,
    filters: int = 32,
    blocks: int = 5,
    operations: tuple[str, ...] = tuple(OPERATIONS),
    output: str = "loose",
    stem: str = "",
    stem_multiplier: float = 3.0,
    skip_reduction: bool = False,
    drop_path: float = 0.0,
    dropout: float = 0.0,
    auxiliary: bool = False,
) -> Space:
    """Three times `cells` tied normal cells, a tied reduction cell before the second and the third.

    filters: F of the first stage, doubled by each reduction; the paper's "N @ P" is N cells and P / 24 filters.
    output: cells join the "loose" states that no block reads (the paper), "all" blocks, or a hole says which
    ("listed", which the released networks need: they also join some states that are read).
    stem: "imagenet" (a convolution of 32 * stem_multiplier channels, two reduction cells), "cifar" (a convolution of
    F * stem_multiplier) or "" for what fits the size.
    skip_reduction: whether the cell behind a reduction reads the value that the reduction read as the one before.
    drop_path: the rate of ScheduledDropPath at the last cell; auxiliary: a second classifier, in training, after 2/3.
    """
    stem = stem or default_stem(input)
    check_settings(stem, output, operations, {"cells": cells, "filters": filters, "blocks": blocks})
    total = 3 * cells + 2 + 2 * (stem == "imagenet")
    grow = Stack(AuxiliaryHead(classes) if auxiliary else None)

    def cell(name: str, kind: str, channels: int, stride: int, before: int | None) -> None:
        rate = drop_path * (grow.cells + 1) / total
        named = partial(dropping, rate=rate, names=tuple(operations), channels=channels)
        ends = listed(f"{kind}.output", blocks) if output == "listed" else output
        grow.cell(name, Cell(channels, stride, holes(kind, blocks, named, stride), ends, before is None), before)

    grow.stem(stem_of(stem, filters, stem_multiplier))
    _lay(grow, cell, stem == "imagenet", cells, filters, skip_reduction)
    reason = "" if output == "all" else WIDTHS_DIFFER
    spelling = Spelling(partial(spell, kinds=KINDS), partial(parse, kinds=KINDS))
    root = grow.network(Classifier(classes, dropout))
    return Space("nasnet", root, tuple(input), shares=reason, relaxes=reason, spelling=spelling)


def _lay(
    grow: Stack,
    cell: Callable[[str, str, int, int, int | None], None],
    imagenet: bool,
    cells: int,
    filters: int,
    skip: bool,
) -> None:
    """Lays all cells on the stem; `cell` lays one, of a name, kind, channels and stride, over the last and another."""
    if imagenet:
        for k in (0, 1):
            cell(f"cell_stem_{k}", "reduction", max(1, int(filters * 2 ** (k - 2))), 2, grow.before)
    for k in range(3 * cells):
        before, channels = grow.before, filters << k // cells
        if k in (cells, 2 * cells):
            cell(f"reduction_cell_{k // cells - 1}", "reduction", channels, 2, before)
        cell(f"cell_{k}", "normal", channels, 1, before if skip else grow.before)
        if k == 2 * cells - 1:
            grow.auxiliary()


@final
@dataclass
class Stack:
    """The steps of a network of cells while it grows; `outs` holds the numbers of the stem and of the cells in sight.

    head: the auxiliary one, or None.
    """

    head: Node | None
    steps: dict[str, Tree] = field(default_factory=dict)
    outs: list[int] = field(default_factory=list)

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.outs) - 1

    @property
    def before(self) -> int | None:
        """The value before the last one; None where the stem is the only one."""
        return self.outs[-2] if self.cells else None

    def stem(self, node: Node) -> None:
        """What the cells stand on."""
        self.steps["stem"] = Take(0, node)
        self.outs.append(1)

    def cell(self, name: str, cell: Node, before: int | None) -> None:
        """A cell over the last value and the one `before`."""
        now = self.outs[-1]
        self.steps[name] = Take((now, now if before is None else before), cell)
        self.outs.append(len(self.steps))

    def auxiliary(self) -> None:
        """The auxiliary head on the last value."""
        if self.head is not None:
            self.steps["auxiliary"] = Take(self.outs[-1], TrainHead(self.head))

    def network(self, classifier: Node) -> Node:
        """All steps, and the classifier."""
        body = Dag(tuple(self.steps), tuple(self.steps.values()))
        return Chain.of(body=body, act=Act("relu"), classifier=classifier)


def stem_of(kind: str, filters: int, multiplier: float) -> Node:
    """The convolution of a stem: 32 * multiplier channels for ImageNet, filters * multiplier for CIFAR."""
    if kind == "imagenet":
        return ConvNormAct(int(32 * multiplier), 3, 2, act="", padding=0)
    return ConvNormAct(int(filters * multiplier), 3, act="")


def default_stem(input: Shape) -> str:
    """The stem for an image of this size."""
    return "imagenet" if min(input[1:]) >= LARGE else "cifar"


def check_settings(
    stem: str, output: str, operations: Sequence[str], sizes: Mapping[str, int], outputs: str = "loose, all, listed"
) -> None:
    """UserError for a setting that is not one of its values; sizes: numbers that must be positive, by name."""
    for name, got, values in (("stem", stem, "imagenet, cifar"), ("output", output, outputs)):
        if got not in values.split(", "):
            raise UserError(f"there is no {name} {got!r}", fix=f"take one of {values}")
    if bad := [name for name in operations if name not in OPERATIONS]:
        raise UserError(f"there is no operation {bad[0]!r}", fix=f"take some of {', '.join(OPERATIONS)}")
    if small := [name for name, size in sizes.items() if size < 1]:
        raise UserError(f"{small[0]} must be at least 1, got {sizes[small[0]]}", fix=f"give {small[0]} 1 or more")


def dropping(stride: int, *, rate: float, names: tuple[str, ...], channels: int) -> dict[str, Node]:
    """Operations by name, each a path that is dropped at this rate by the end of a training; identities never are."""
    made: dict[str, Node] = {}
    for name in names:
        drop = DropPath(rate, scheduled=True) if rate and name != "identity" else None
        made[name] = Chain.of(op=OPERATIONS[name](channels, stride), drop=drop)
    return made


def holes(kind: str, blocks: int, operations: Callable[[int], dict[str, Node]], stride: int) -> tuple[Tree, ...]:
    """The blocks of a cell: sums of two sides, each a hole over the states before it and one over the operations.

    Weights are of the state that a side reads, so that an operation is built for one size and number of channels.
    """

    def side(name: str, states: int) -> Choice:
        strided, plain = (Choice.over(f"{name}.op", **operations(s)) for s in (stride, 1))
        takes = tuple(Take(k + 2, strided if k < 2 else plain) for k in range(states))
        return Choice(f"{name}.input", takes, tuple(map(str, range(states))))

    return tuple(
        Sum.of(left=side(f"{kind}.{k}.left", k), right=side(f"{kind}.{k}.right", k)) for k in range(2, blocks + 2)
    )


def listed(name: str, blocks: int) -> Choice:
    """Which states a cell joins: any of them, one at least."""
    states = tuple(map(str, range(blocks + 2)))
    return Choice(name, tuple(some for n in range(1, len(states) + 1) for some in combinations(states, n)))


def spell(arch: Architecture, kinds: tuple[str, ...]) -> str:
    """Cells parted by " / ", blocks by blanks, as in "sep_5x5@0+avg_3x3@1"; "=1,3" lists what is joined, if free."""
    return " / ".join(" ".join(_words(arch.labels, kind)) for kind in kinds)


def _words(labels: Mapping[str, Label], kind: str) -> list[str]:
    words, k = [], 2
    while f"{kind}.{k}.left.input" in labels:
        words.append(
            "+".join(f"{labels[f'{kind}.{k}.{s}.op']}@{labels[f'{kind}.{k}.{s}.input']}" for s in ("left", "right"))
        )
        k += 1
    if f"{kind}.output" in labels:
        words.append("=" + str(labels[f"{kind}.output"]).replace("_", ","))
    return words


def parse(text: str, kinds: tuple[str, ...]) -> Mapping[str, Label]:
    """The labels of a spelling; ValueError where it is none."""
    cells = text.split("/")
    if len(cells) != len(kinds):
        raise ValueError(f"{text!r} has {len(cells)} cells, expected {len(kinds)} parted by /: {', '.join(kinds)}")
    labels: dict[str, Label] = {}
    for kind, cell in zip(kinds, cells, strict=True):
        k = 2
        for word in cell.split():
            if word.startswith("="):
                labels[f"{kind}.output"] = "_".join(sorted(set(word[1:].split(","))))
                continue
            sides = [side.partition("@") for side in word.split("+")]
            if len(sides) != 2 or any(not (op and at and state) for op, at, state in sides):
                raise ValueError(
                    f"{word!r} is no block of the {kind} cell; one is op@state+op@state, sep_3x3@0+identity@1"
                )
            for name, (op, _, state) in zip(("left", "right"), sides, strict=True):
                labels[f"{kind}.{k}.{name}.input"], labels[f"{kind}.{k}.{name}.op"] = state, op
            k += 1
    return labels
