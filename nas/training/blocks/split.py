"""A space cut into blocks, each a space of its own whose choices are those of the whole (arXiv:2103.12424)."""

from __future__ import annotations

from collections.abc import Sequence

from nas.errors import UserError
from nas.graph import graph
from nas.space import Architecture, Rng, Space
from nas.tree import Chain, Node

MANY = 100_000
"""A block of more paths is refused: all are listed, and a table of them is made to choose from."""


def cut(root: Node, ends: Sequence[str]) -> tuple[Chain, ...]:
    """The blocks of a chain, with holes or filled, by the names of their last items; what is behind these is left out.

    Raises UserError where the root is no chain, or the names are not items of it in its order.
    """
    if not isinstance(root, Chain) or root.depth is not None:
        what = "a chain of varying depth" if isinstance(root, Chain) else f"a {type(root).__name__}"
        raise UserError(f"blocks are cut from a chain of named items, the root is {what}", fix="take another space")
    found, first = list[Chain](), 0
    for name in ends:
        if name not in root.names:
            raise UserError(f"no block can end with {name!r}", fix=f"the items are {', '.join(root.names)}")
        last = root.names.index(name) + 1
        if last <= first:
            raise UserError(f"the block that ends with {name!r} is empty", fix="name the blocks' last items in order")
        found.append(Chain(root.names[first:last], root.items[first:last]))
        first = last
    if not found:
        raise UserError("a space is cut into at least one block", fix=f"the items are {', '.join(root.names)}")
    return tuple(found)


def blocks(space: Space, ends: Sequence[str], best: Sequence[Architecture] = ()) -> tuple[Space, ...]:
    """The first blocks of a space, one more than `best` decides; names of items and choices are those of the whole.

    best: the paths that were chosen in the first blocks; each next block's input is what they put out.
    """
    chains, shape, found = cut(space.root, ends), space.input, list[Space]()
    for k, chain in enumerate(chains[: len(best) + 1]):
        found.append(Space(space.name, chain, shape, settings=space.settings, shares=space.shares))
        if k < len(best):
            shape = graph(found[k].network(best[k]), shape).out
    return tuple(found)


def paths(block: Space, before: Sequence[tuple[Space, Architecture]] = ()) -> list[Architecture]:
    """The paths of a block: one architecture for each network, in the order of enumeration.

    before: the blocks in front of it and what was chosen there. Where a choice stands in several blocks, the paths are
    those that leave these networks as they are.
    """
    found: dict[Node, Architecture] = {}
    known: dict[tuple[tuple[str, object], ...], bool] = {}
    for arch in block:
        tied = tuple(pair for pair in arch.choices if any(pair[0] in space.choices for space, _ in before))
        if tied not in known:
            known[tied] = all(_keeps(space, chosen, arch) for space, chosen in before)
        if known[tied]:
            found.setdefault(block.network(arch), arch)
    return list(found.values())


def merged(space: Space, best: Sequence[Architecture]) -> Architecture:
    """The architecture of the whole that has these paths, one for each block; the later one decides what two share."""
    labels = {name: label for arch in best for name, label in arch.choices}
    return space.decide(lambda choice: choice.index(labels[choice.name]))


def few(block: Space) -> None:
    """UserError where a block has too many paths."""
    if block.size > MANY:
        raise UserError(
            f"the block of {', '.join(_names(block))} has {block.size:,} paths, at most {MANY:,} can be rated",
            fix="cut the space into more blocks",
        )


def even(block: Space, others: Sequence[Space]) -> int:
    """How many options each choice of a block has; UserError where fair sets cannot be drawn from it.

    All choices must be open in every path, have equally many options, and stand in no other block.
    """
    sizes = {len(choice.options) for choice in block.choices.values()}
    free = not any(name in other.choices for other in others for name in block.choices)
    if len(sizes) != 1 or not free or block.size != next(iter(sizes)) ** len(block.choices):
        raise UserError(
            f"no fair set of paths can be drawn from the block of {', '.join(_names(block))}: its choices must all be "
            "open, have equally many options, and stand in no other block",
            fix="draw so many random paths a step instead, 4 in the paper",
        )
    return sizes.pop()


def fair(block: Space, rng: Rng) -> list[Architecture]:
    """Paths in which each option of each choice stands once (Chu et al. 2019, arXiv:1907.01845)."""
    orders = {name: rng.permutation(len(choice.options)) for name, choice in block.choices.items()}
    count = min(map(len, orders.values()))
    return [block.decide(lambda choice, n=n: int(orders[choice.name][n])) for n in range(count)]  # type: ignore[misc]  # the default binds the loop's value


def _keeps(space: Space, chosen: Architecture, arch: Architecture) -> bool:
    """Whether a block's network stays as it was chosen when a later path decides what they share."""
    shared = {name: label for name, label in arch.choices if name in space.choices}
    if not shared:
        return True
    labels = {**chosen.labels, **shared}
    try:
        return space.network(Architecture(space.name, tuple(sorted(labels.items())))) == space.network(chosen)
    except KeyError:
        return False


def _names(block: Space) -> tuple[str, ...]:
    return block.root.names if isinstance(block.root, Chain) else (block.name,)
