"""What a drawing shows: the whole network block by block, and each different block once, beside it."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from itertools import pairwise, takewhile
from typing import Any, TypeAlias, final

from nas.graph import Graph, Op
from nas.tree import Node, Shape

BY = "\N{MULTIPLICATION SIGN}"
FLAT = 26
"""A block of at most so many boxes is drawn whole; a larger one by its parts."""
WHOLE = 40
"""The whole is drawn by at most so many boxes where one of its blocks holds most of it."""
RUN = 4
"""Operations in a row that share a box at most."""
_Form: TypeAlias = tuple[Any, ...]


@final
@dataclass(eq=False)
class Box:
    """One box of a panel.

    kind: input, weights (something learned), plain, sum, concat, block (drawn in a panel of its own) or output.
    times: how many equal ones stand in a row here; detail: the title of the panel that shows its inside.
    """

    kind: str
    title: str
    note: str = ""
    times: int = 1
    detail: str = ""


@final
@dataclass(eq=False)
class Panel:
    """Boxes and the edges between them, from earlier boxes to later ones."""

    title: str
    boxes: list[Box] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)


def panels(flat: Graph, name: str) -> list[Panel]:
    """The panels of a network called `name`, the whole first; what runs in train mode alone is left out."""
    ids = _drawn(flat)
    made = _Maker(flat, _sources(flat, ids))
    made.panel(name, "", [i for i in ids if i in made.sources], whole=True)
    return made.made


def _drawn(flat: Graph) -> list[int]:
    """The operations without those of train mode and those that make zeros."""
    empty: set[int] = set()
    for i, op in enumerate(flat.ops):
        if op.kind == "zero" or (op.inputs and all(j in empty for j in op.inputs)):
            empty.add(i)
    needed = empty & set(flat.outputs)
    return [i for i, op in enumerate(flat.ops) if not op.train and (i not in empty or needed)]


def _sources(flat: Graph, ids: list[int]) -> dict[int, list[int]]:
    """What each drawn operation reads; a sum or a concatenation of one drawn value is that value, and no box."""
    drawn = set(ids)
    same: dict[int, int] = {}
    made: dict[int, list[int]] = {}
    for i in ids:
        reads = [same.get(j, j) for j in flat.ops[i].inputs if j in drawn]
        if flat.ops[i].kind in ("sum", "concat") and len(reads) == 1 and i not in flat.outputs:
            same[i] = reads[0]
        else:
            made[i] = reads
    return made


@dataclass
class _Maker:
    flat: Graph
    sources: dict[int, list[int]]
    made: list[Panel] = field(default_factory=list)
    known: dict[_Form, tuple[str, int]] = field(default_factory=dict)
    titles: set[str] = field(default_factory=set)

    def panel(self, title: str, prefix: str, ids: list[int], *, whole: bool = False) -> None:
        panel = Panel(title)
        self.made.append(panel)
        while True:  # a name that holds everything is no step of its own
            names = {_next(self.flat.ops[i].path, prefix) for i in ids if self.flat.ops[i].kind != "input"}
            if len(names) != 1 or (only := names.pop()).startswith("#"):
                break
            prefix = f"{prefix}.{only}" if prefix else only
        groups, blocks = self.runs(ids), self.children(prefix, ids)
        equal = any(self.form(a) == self.form(b) for a, b in pairwise(blocks) if len(self.runs(a)) > 1)
        if len(groups) > FLAT or equal:
            groups = self.opened(prefix, blocks) if whole else blocks
        here = {i for group in groups for i in group}
        outer = list(dict.fromkeys(j for i in sorted(here) for j in self.reads(i) if j not in here))
        titles = ["input"] if len(outer) == 1 else [f"input {k + 1}" for k in range(len(outer))]
        boxes = [Box("input", title) for title in titles]
        place = {i: n for n, i in enumerate(outer)}
        for group, path in zip(groups, self.named(groups), strict=True):
            place.update(dict.fromkeys(group, len(boxes)))
            boxes.append(self.box(group, path, whole=whole))
        edges = {(place[j], place[i]) for i in here for j in self.reads(i) if place[j] != place[i]}
        read = {j for i in here for j in self.reads(i)}
        ends = self.flat.outputs if whole else [i for i in here if i not in read]
        edges |= {(place[i], len(boxes)) for i in ends}
        boxes.append(Box("output", "output"))
        panel.boxes, panel.edges = _folded(boxes, sorted(edges))

    def runs(self, ids: list[int]) -> list[list[int]]:
        """Operations one by one, but those in a row that nothing else reads as one."""
        readers: dict[int, int] = {}
        for i in ids:
            for j in self.reads(i):
                readers[j] = readers.get(j, 0) + 1
        groups: list[list[int]] = []
        for i in ids:
            op, last = self.flat.ops[i], groups[-1][-1] if groups else -1
            row = op.kind == "node" and self.reads(i) == [last] and readers.get(last) == 1 and len(groups[-1]) < RUN
            if row and self.flat.ops[last].kind == "node" and not (_weighs(op) and any(map(self.weighs, groups[-1]))):
                groups[-1].append(i)
            else:
                groups.append([i])
        return groups

    def reads(self, i: int) -> list[int]:
        return self.sources[i]

    def weighs(self, i: int) -> bool:
        return _weighs(self.flat.ops[i])

    def children(self, prefix: str, ids: list[int]) -> list[list[int]]:
        """Operations by the next name of their path."""
        groups: list[list[int]] = []
        last = None
        for i in ids:
            name = _next(self.flat.ops[i].path, prefix)
            if name != last or name.startswith("#") or self.flat.ops[i].kind == "input":
                groups.append([])
            groups[-1].append(i)
            last = name
        return groups

    def named(self, groups: list[list[int]]) -> list[list[str]]:
        """For each group the path of the part that holds it, as short as tells it from the others."""
        paths = [_shared([self.flat.ops[i].path.split(".") for i in group]) for group in groups]
        alike = [
            max((len(_shared([p, q])) for m, q in enumerate(paths) if m != n), default=0) for n, p in enumerate(paths)
        ]
        return [path[: max(1, k + 1)] for path, k in zip(paths, alike, strict=True)]

    def opened(self, prefix: str, blocks: list[list[int]]) -> list[list[int]]:
        """Blocks of which none holds most of the network: such a one is drawn by its parts."""
        total = sum(map(len, blocks))
        for k, block in enumerate(blocks):
            if len(block) * 2 > total:
                name = _next(self.flat.ops[block[0]].path, prefix)
                inner = f"{prefix}.{name}" if prefix else name
                parts = self.children(inner, block)
                if len(parts) > 1 and len(blocks) + len(parts) <= WHOLE:
                    return [*blocks[:k], *self.opened(inner, parts), *blocks[k + 1 :]]
        return blocks

    def box(self, group: list[int], path: list[str], *, whole: bool) -> Box:
        ops = [self.flat.ops[i] for i in group]
        note = _by(ops[-1].shape) if whole else ""
        if ops[0].kind == "input":
            return Box("input", "input", _by(ops[0].shape))
        if len(group) == 1 and ops[0].kind != "node":
            return Box(ops[0].kind if ops[0].kind in ("sum", "concat") else "plain", ops[0].kind, note)
        if len(self.runs(group)) == 1:
            kind = "weights" if any(map(_weighs, ops)) else "plain"
            return Box(kind, " · ".join(_said(op.node, channels=whole) for op in ops if op.node), note)
        name, prefix = path[-1], ".".join(path[:-1])
        title, times = self.detail(name, prefix, group)
        return Box("block", f"block {name}" if name.isdigit() else name, note, times, title)

    def detail(self, name: str, prefix: str, group: list[int]) -> tuple[str, int]:
        """The panel that shows the inside of a block, and how often: a row of equal blocks is shown by one of them."""
        form = self.form(group)
        if form not in self.known:
            title = _fresh(f"block of {prefix.rpartition('.')[2]}" if name.isdigit() else name, self.titles)
            self.titles.add(title)
            at = len(self.made)
            self.panel(title, f"{prefix}.{name}" if prefix else name, group)
            boxes = self.made[at].boxes
            self.known[form] = title, 1
            if len(boxes) == 3 and boxes[1].kind == "block":
                del self.made[at]
                self.known[form] = boxes[1].detail, boxes[1].times
        return self.known[form]

    def form(self, group: list[int]) -> _Form:
        """What is equal for blocks that one panel can show: their operations, widths apart, and how they are joined."""
        at = {i: n for n, i in enumerate(group)}
        ops = [self.flat.ops[i] for i in group]
        return tuple(
            (op.kind, _said(op.node) if op.node else "", tuple(at.get(j, -1) for j in self.reads(i)))
            for i, op in zip(group, ops, strict=True)
        )


def _folded(boxes: list[Box], edges: list[tuple[int, int]]) -> tuple[list[Box], list[tuple[int, int]]]:
    """Equal blocks in a row as one box that says how many."""
    into = [[a for a, b in edges if b == n] for n in range(len(boxes))]
    out = [[b for a, b in edges if a == n] for n in range(len(boxes))]
    place: dict[int, int] = {}
    kept: list[Box] = []
    for n, box in enumerate(boxes):
        before = into[n][0] if len(into[n]) == 1 else n
        first = kept[place[before]] if before != n and len(out[before]) == 1 else box
        if first is not box and (first.kind, first.detail, first.note) == ("block", box.detail, box.note):
            place[n] = place[before]
            first.times += box.times
            first.title = box.detail
        else:
            place[n] = len(kept)
            kept.append(box)
    return kept, sorted({(place[a], place[b]) for a, b in edges if place[a] != place[b]})


def _shared(paths: list[list[str]]) -> list[str]:
    """The names that all of these paths begin with."""
    first, last = min(paths), max(paths)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return [name for name, _ in same]


def _next(path: str, prefix: str) -> str:
    rest = path[len(prefix) :].lstrip(".") if path.startswith(prefix) else path
    return rest.partition(".")[0] or f"#{path}"


def _fresh(name: str, taken: set[str]) -> str:
    return next(n for k in range(len(taken) + 2) if (n := name if not k else f"{name} ({k + 1})") not in taken)


def _weighs(op: Op) -> bool:
    return op.node is not None and op.node.cost(op.reads).macs > 0


def _by(shape: Shape) -> str:
    return ", ".join(map(_by, shape)) if shape and isinstance(shape[0], tuple) else BY.join(map(str, shape))


def _said(node: Node | None, *, channels: bool = False) -> str:
    """A primitive in a few words: its kind, its kernel, and what is not as usual; `channels`: its width as well."""
    words: list[str] = []
    for f in fields(node) if node is not None else ():
        value = getattr(node, f.name)
        if f.name == "kernel":
            words.append(BY.join(map(str, value)) if isinstance(value, tuple) else f"{value}{BY}{value}")
        elif isinstance(value, str) and value:
            words.append(value)
        elif f.name in ("channels", "features", "classes"):
            words += [str(value)] if channels and value is not None else []
        elif isinstance(value, int) and f.default is not MISSING and value != f.default:
            words.append(f.name if value is True else f"{f.name} {value}")
    name = type(node).__name__
    if len(words) == 1 and name == "Act":
        return words[0]
    return " ".join([name, *words])
