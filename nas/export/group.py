"""Small questions about chains and parts that the reading of a tree asks."""

from __future__ import annotations

from itertools import groupby

from nas.export.parts import Leaf, Part, Seq, shown
from nas.export.words import plural, stem
from nas.tree import Chain, Concat, Dag, Node, Sum


def pairs(node: Chain | Sum | Concat | Dag) -> list[tuple[str, Node]]:
    """The items of a structure with their names."""
    return list(zip(node.names, node.items, strict=True))


def form(part: Part) -> object:
    """What must be equal for a part to be met twice: its modules and how it runs them."""
    if isinstance(part, Leaf):
        return part.path
    if isinstance(part, Seq):
        return [form(item) for item in part.items]
    return {name: form(inner) for name, inner in part.scope.parts.items()}, [shown(value) for value in part.scope.runs]


def grouped(chain: Chain) -> list[tuple[str, Node, bool]]:
    """The items of a chain, with numbered neighbours of one class (block1, block2) as one chain of their own."""
    made: list[tuple[str, Node, bool]] = []
    stems = [stem(name) for name in chain.names]
    for (word, _), run in groupby(pairs(chain), key=lambda pair: _run(*pair)):
        found = list(run)
        if (len(found) > 1 and len(found) == stems.count(word)) or (not word and len(chain.items) > 1):
            inner = Chain(tuple(n for n, _ in found), tuple(i for _, i in found))
            made.append((plural(word or "layer"), inner, False))
        else:
            made.extend((*pair, True) for pair in found)
    return made


def _run(name: str, item: Node) -> tuple[str, object]:
    word = stem(name)
    while isinstance(item, Chain) and len(item.items) == 1:
        item = item.items[0]
    numbered = word != name and (not word or not isinstance(item, Chain))
    return (word, type(item) if word else None) if numbered else (name, name)
