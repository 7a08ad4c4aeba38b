"""Names for the classes of the source: what the tree calls them, and where two have one name what tells them apart."""

from __future__ import annotations

from nas.export.unify import ABSENT, Kind, Made, Row
from nas.export.words import camel, fresh, stem


def name_kinds(written: list[Kind], top: Kind, taken: set[str]) -> None:
    """Names the classes: as the tree calls them, and where two have one name by what tells them apart."""
    top.name = fresh(top.kind, taken)
    taken.add(top.name)
    first: dict[str, Kind] = {}
    for kind in written:
        plain = f"{kind.kind}Block" if kind.kind in taken and kind.kind not in first else kind.kind
        if kind.kind not in first:
            kind.name = fresh(plain, taken)
            first[kind.kind] = kind
        else:
            kind.name = fresh(_apart(kind, first[kind.kind]), taken)
        taken.add(kind.name)


def _apart(kind: Kind, other: Kind) -> str:
    """A name for a class that has the tree's name in common with another one."""
    mine, known = _items(kind), _items(other)
    extra = [camel(n) if n not in known else camel(word) for n, word in mine.items() if known.get(n) != word]
    lacks = [camel(n) for n in known if n not in mine]
    if len(extra) == 1 and len(lacks) < 2:
        return f"{kind.kind}With{extra[0]}"
    if len(lacks) == 1 and not extra:
        return f"{kind.kind}Without{lacks[0]}"
    places = [s.path.split(".") for s in kind.every]
    others = {place for s in other.every for place in s.path.split(".")}
    for step in zip(*places, strict=False):
        if len(set(step)) == 1 and step[0] not in others and stem(step[0]):
            word = camel(step[0])
            return word if word.startswith(kind.kind) else f"{word}{kind.kind}"
    return kind.kind


def _items(kind: Kind) -> dict[str, str]:
    """What stands in a class: the name of each item, and of the class that it is of."""
    found: dict[str, str] = {}
    stack = [("", piece) for piece in kind.pieces.values()] if kind.row else list(kind.pieces.items())
    for name, piece in stack:
        if isinstance(piece, Row):
            stack.extend(zip(piece.names, piece.items, strict=True))
        elif isinstance(piece, Made):
            found[name] = piece.of.kind
        else:
            found[name] = next(v.__name__ for v in piece.make.values if v is not ABSENT)
    return found
