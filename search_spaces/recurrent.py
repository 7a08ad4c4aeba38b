"""Recurrent cells as binary trees, over the rows of images (Zoph and Le 2017, arXiv:1611.01578, section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.recorded import recorded
from nas.space import Space
from nas.tree import Chain, Choice, Concat, Dag, Identity, Int, Node, Scan, Shape, Str, Sum, Take
from search_spaces.ops.conv import Linear
from search_spaces.ops.norm import Act
from search_spaces.ops.tables import LastStep, Multiply, Piece, Rows

COMBINATIONS = ("add", "multiply")
ACTIVATIONS = ("identity", "tanh", "sigmoid", "relu")
RELAXES = "its choices are words, of which no weighed sum is made"


@recorded
def recurrent(
    input: tuple[int, int, int] = (1, 28, 28),  # the word of the project for an input shape
    classes: int = 10,
    base: int = 8,
    width: int = 64,
) -> Space:
    """One recurrent cell, tied over time, which reads an image row by row; its last state is classified.

    base: leaves of the tree (8 in the paper: 8^16 * 15^2, about 6e16 cells); width: of both states.
    """
    nodes = 2 * base - 1
    cell = TreeCell(
        width,
        tuple(Choice(f"node{k}.combination", COMBINATIONS) for k in range(nodes)),
        tuple(Choice(f"node{k}.activation", ACTIVATIONS) for k in range(nodes)),
        Choice("inject.combination", COMBINATIONS),
        Choice("inject.activation", ACTIVATIONS),
        Choice("inject.node", tuple(range(nodes))),
        Choice("memory.node", tuple(range(nodes))),
    )
    body = Chain.of(rows=Rows(), scan=Scan(cell, (2 * width,)), last=LastStep(), h=Piece(0, width))
    root = Chain.of(body=body, linear=Linear(classes))
    return Space("recurrent", root, tuple(input), relaxes=RELAXES)


@final
@dataclass(frozen=True)
class TreeCell(Node):
    """The next state from (x, state): a binary tree in which each node combines two values (figure 5).

    The state is h and c, of `width` each, joined; a cell gives both back, joined.
    combinations, activations: of each node, leaves first, the root last; a leaf combines linear maps of x and of h.
    inject: how the old c enters, behind node `inject_node`; memory: the node whose combination, before its activation,
    is the new c. The new h is what the root makes.
    """

    width: Int
    combinations: tuple[Str, ...]
    activations: tuple[Str, ...]
    inject_combination: Str
    inject_activation: Str
    inject_node: Int
    memory_node: Int

    def lower(self, shape: Shape) -> Node:
        steps: dict[str, Node] = {"h": Take(1, Piece(0, self.width)), "c": Take(1, Piece(self.width, 2 * self.width))}
        leaves = (len(self.combinations) + 1) // 2
        made: list[str] = []  # the step that each node ends with
        for k, (combination, activation) in enumerate(zip(self.combinations, self.activations, strict=True)):
            if k < leaves:
                steps[f"node{k}_x"] = Take(0, Linear(self.width, bias=False))
                steps[f"node{k}_h"] = Take(_at(steps, "h"), Linear(self.width))
                pair = (f"node{k}_x", f"node{k}_h")
            else:
                pair = (made[2 * (k - leaves)], made[2 * (k - leaves) + 1])
            steps[f"node{k}"] = _combined(steps, combination, *pair)
            steps[f"node{k}_act"] = Take(_at(steps, f"node{k}"), _act(activation))
            made.append(f"node{k}_act")
            if k == self.inject_node:
                steps["inject"] = _combined(steps, self.inject_combination, made[-1], "c")
                steps["inject_act"] = Take(_at(steps, "inject"), _act(self.inject_activation))
                made[-1] = "inject_act"
        both = Concat.of(h=_taken(steps, made[-1]), c=_taken(steps, f"node{self.memory_node}"))
        return Dag((*steps, "state"), (*steps.values(), both))


def _at(steps: dict[str, Node], name: str) -> int:
    """The number of a step's value among those in sight, behind x and the state."""
    return 2 + list(steps).index(name)


def _taken(steps: dict[str, Node], name: str) -> Node:
    return Take(_at(steps, name), Identity())


def _combined(steps: dict[str, Node], combination: str, a: str, b: str) -> Node:
    if combination == "multiply":
        return Take((_at(steps, a), _at(steps, b)), Multiply())
    return Sum.of(a=_taken(steps, a), b=_taken(steps, b))


def _act(kind: str) -> Node:
    return Identity() if kind == "identity" else Act(kind)
