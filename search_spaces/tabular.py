"""Dense networks for tables with several inputs, some of them mirrored (Balaprakash et al. 2019, arXiv:1909.00311)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from nas.recorded import recorded
from nas.space import Space
from nas.tree import Chain, Choice, Concat, Dag, Each, Identity, Node, Shape, Take
from search_spaces.ops.conv import Linear
from search_spaces.ops.norm import Act, Dropout
from search_spaces.ops.pool import Flatten
from search_spaces.ops.tables import Piece

WIDTHS = (100, 500, 1000)
SHARES = "the input of a dense layer is as wide as what was picked before it, which differs by option"
RELAXES = "the options of a node differ in width, so no sum of them is made"


@recorded
def tabular(
    input: tuple[Any, ...] = (64,),  # the word of the project for an input shape
    classes: int = 10,
    parts: int = 1,
    mirrored: tuple[int, ...] = (),
    nodes: int = 3,
    cells: int = 2,
    widths: tuple[int, ...] = WIDTHS,
) -> Space:
    """A tower of nodes for each input, then cells over all of them, each of which may skip back to an earlier one.

    input: one shape, or the shapes of several inputs; parts: into how many pieces one input is cut, each an input.
    mirrored: which of the inputs (from 0), equally wide, go through one tower with one set of weights.
    nodes: of a tower and of a cell, each one of 13 operations: 13^9 for three blocks of three.
    """
    shapes = tuple(tuple(s) if isinstance(s, Sequence) else s for s in input)
    count = len(shapes) if isinstance(shapes[0], tuple) else parts
    steps: dict[str, Node] = {}
    for k in range(count):
        taken = Flatten() if parts == 1 else Chain.of(flat=Flatten(), piece=_piece(shapes, k, parts))
        steps[f"input{k}"] = Take(k if parts == 1 and count > 1 else 0, taken)
    first = count if parts == 1 and count > 1 else 1
    towers = {k: _block("mirrored" if k in mirrored else f"tower{k}", nodes, widths) for k in range(count)}
    for k in range(count):
        if k not in mirrored:
            steps[f"tower{k}"] = Take(first + k, towers[k])
    ends = [first + n for n, name in enumerate(steps) if name.startswith("tower")]
    if mirrored:
        steps["mirrored"] = Take(
            tuple(first + k for k in mirrored), Chain.of(tower=Each(towers[mirrored[0]]), join=_join(len(mirrored)))
        )
        ends.append(first + len(steps) - 1)
    steps["joined"] = Concat.of(**{f"from{n}": Take(n, Identity()) for n in ends})
    start = first + len(steps) - 1
    for c in range(1, cells + 1):
        now = first + len(steps) - 1
        skips: dict[str, Node] = {"none": Take(now, Identity())}
        for n in range(start, now):
            both = Concat.of(now=Take(now, Identity()), skip=Take(n, Identity()))
            skips["joined" if n == start else f"cell{n - start}"] = both
        steps[f"cell{c}"] = Chain.of(
            skip=Choice.over(f"cell{c}.skip", **skips), block=_block(f"cell{c}", nodes, widths)
        )
    root = Chain.of(body=Dag(tuple(steps), tuple(steps.values())), out=Linear(classes))
    return Space("tabular", root, shapes, shares=SHARES, relaxes=RELAXES)


def _piece(shape: Shape, k: int, parts: int) -> Node:
    """One of the pieces of equal width; what is left over goes to the middle one."""
    whole, even = prod(shape), prod(shape) // parts
    middle, more = parts // 2, prod(shape) % parts
    start = k * even + (more if k > middle else 0)
    return Piece(start, min(whole, start + even + (more if k == middle else 0)))


def _block(name: str, nodes: int, widths: tuple[int, ...]) -> Node:
    """Nodes one after another; each is one of the paper's operations: 13 with the paper's three widths."""
    return Chain.of(**{f"node{n}": Choice.over(f"{name}.node{n}", **_operations(widths)) for n in range(1, nodes + 1)})


def _operations(widths: tuple[int, ...]) -> dict[str, Node]:
    made: dict[str, Node] = {"identity": Identity()}
    for width, rate in zip(widths, (0.05, 0.1, 0.2), strict=False):
        for kind in ("relu", "tanh", "sigmoid"):
            made[f"dense{width}_{kind}"] = Chain.of(dense=Linear(width), act=Act(kind))
        made[f"dropout{round(100 * rate)}"] = Dropout(rate)
    return made


def _join(count: int) -> Node:
    return Concat.of(**{f"from{n}": Take(n, Identity()) for n in range(count)})
