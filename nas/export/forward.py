"""The body of `forward`: values become statements with local names that a reader can follow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeAlias

from nas.export.layout import Calling, Doc, fits, flat, lay
from nas.export.parts import Add, Arg, Cat, Item, Loop, Scope, Use, Value, Zeros, args, reached
from nas.export.unify import Kind
from nas.export.words import fresh
from nas.tree import Shape

UNREAD = "# Trained with the rest, though nothing reads what it makes."

_Said: TypeAlias = tuple[Doc, frozenset[str]]


def forward(kind: Kind) -> list[str]:
    """The lines of a class's `forward`."""
    scope = kind.scopes[0]
    names = arguments(scope)
    given = ", ".join(f"{n}: Tensor" for n in names)
    head = f"    def forward(self, {given}) -> {'tuple[Tensor, ...]' if scope.several else 'Tensor'}:"
    writer = _Writer(indent=8)
    writer.start((*kind.out, *kind.dead), again=1 if kind.skip else 0)
    for value in reached((*kind.out, *kind.dead)):
        if isinstance(value, Arg) and not value.name:
            writer.bind(value, names[value.index])
    writer.run(kind.dead)
    if kind.skip:
        inner, _ = writer.say(kind.out[0])
        lines = [*writer.lines, *lay(inner, 8, "out = ")]
        lines.append(f"        return {names[0]} + out if self.{kind.label} else out")
    else:
        said = [writer.say(value, last=True)[0] for value in kind.out]
        one = said[0] if not scope.several else ", ".join(map(flat, said)) + ("," if len(said) == 1 else "")
        lines = [*writer.lines, *lay(one, 8, "return ")]
    if fits(head, 0):
        return [head, *lines]
    signature = Calling("    def forward", ("self", *(f"{n}: Tensor" for n in names)))
    return [*lay(signature, 0, "", head[head.index(") ->") + 1 :]), *lines]


def arguments(scope: Scope) -> list[str]:
    """The names of what `forward` is given."""
    return ["x"] if len(scope.shapes) == 1 else [f"x{i}" for i in range(len(scope.shapes))]


@dataclass
class _Writer:
    indent: int
    lines: list[str] = field(default_factory=list)
    bound: dict[int, str] = field(default_factory=dict)
    left: Counter[int] = field(default_factory=Counter)
    items: dict[int, list[Item]] = field(default_factory=dict)
    pending: Counter[str] = field(default_factory=Counter)
    taken: set[str] = field(default_factory=set)
    owner: dict[str, int] = field(default_factory=dict)

    def start(self, out: tuple[Value, ...], again: int = 0) -> None:
        """Counts how often each value is read."""
        seen: set[int] = set()
        stack = list(out)
        self.left.update(id(v) for v in out)
        while stack:
            value = stack.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, Item):
                self.items.setdefault(id(value.use), []).append(value)
            inner = args(value)
            self.left.update(id(v) for v in inner)
            stack.extend(inner)
            if isinstance(value, Arg):
                self.left[id(value)] += again

    def bind(self, value: Value, name: str) -> None:
        self.bound[id(value)], self.owner[name] = name, id(value)
        self.taken.add(name)

    def say(self, value: Value, *, last: bool = False) -> _Said:
        """The text of a value and the names it reads; statements that it needs first are written."""
        self.left[id(value)] -= 1
        if id(value) in self.bound:
            name = self.bound[id(value)]
            return name, frozenset({name})
        doc, reads = self.form(value)
        if id(value) in self.bound:  # several values were bound at once
            return self.bound[id(value)], frozenset({self.bound[id(value)]})
        if self.left[id(value)] > 0 or (value.name and not last):
            return self.assign(value, doc, reads, value.name)
        return doc, reads

    def run(self, dead: tuple[Use, ...]) -> None:
        """The calls whose result nothing reads."""
        for k, use in enumerate(dead):
            said, _ = self.say(use, last=True)
            self.lines += [] if k else [f"{' ' * self.indent}{UNREAD}"]
            self.lines += lay(said, self.indent, "")

    def assign(self, value: Value, doc: Doc, reads: frozenset[str], wish: str = "") -> _Said:
        free = [n for n in sorted(reads) if self.left[self.owner[n]] <= 0 and not self.pending[n]]
        name = wish and fresh(wish, self.taken)
        name = name or (free[0] if free else fresh("out", self.taken))
        self.lines += lay(doc, self.indent, f"{name} = ")
        self.bind(value, name)
        return name, frozenset({name})

    def form(self, value: Value) -> _Said:
        match value:
            case Use():
                return self.use(value)
            case Item():
                return self.several(value.use)
            case Add():
                return self.add(value)
            case Cat():
                docs, reads = self.all(value.terms)
                return Calling("torch.cat", (Calling("", docs, ends="[]"), "dim=1")), reads
            case Zeros():
                doc, reads = self.say(value.like)
                if value.shape:
                    return _zeros(flat(doc), value.shape), reads
                return Calling("torch.zeros_like", (doc,)), reads
            case Loop():
                return self.loop(value)
        raise KeyError(f"the argument {value.index} has no name")

    def all(self, values: tuple[Value, ...]) -> tuple[tuple[Doc, ...], frozenset[str]]:
        docs: list[Doc] = []
        reads: list[frozenset[str]] = []
        for value in values:
            doc, new = self.say(value)
            docs.append(doc)
            reads.append(new)
            self.pending.update(new)  # a text that is not yet written holds these names
        for new in reads:
            self.pending.subtract(new)
        return tuple(docs), frozenset().union(*reads)

    def use(self, value: Use) -> _Said:
        """A call; of more than two in a row, each has a line."""
        row = [value]
        while len(row[-1].args) == 1 and self.inner(row[-1].args[0]):
            row.append(row[-1].args[0])  # type: ignore[arg-type]  # `inner` says that it is a use
        docs, reads = self.all(row[-1].args)
        for use in row[:0:-1]:
            self.left[id(use)] -= 1
            doc: Doc = Calling(f"self.{use.part}", docs)
            if len(row) > 2:
                doc, reads = self.assign(use, doc, reads)
            docs = (doc,)
        return Calling(f"self.{value.part}", docs), reads

    def inner(self, value: Value) -> bool:
        """Whether a value is a call that is read here alone, and has no name."""
        return isinstance(value, Use) and id(value) not in self.bound and self.left[id(value)] == 1 and not value.name

    def several(self, use: Use) -> _Said:
        docs, reads = self.all(use.args)
        by = {item.index: item for item in self.items[id(use)]}
        names = []
        for i in range(use.several):
            name = fresh((by[i].name or f"{use.part}{i}") if i in by else "_", self.taken if i in by else ())
            if i in by:
                self.bind(by[i], name)
            names.append(name)
        self.lines += lay(Calling(f"self.{use.part}", docs), self.indent, f"{', '.join(names)} = ")
        return "", reads

    def add(self, value: Add) -> _Said:
        docs, reads = self.all(value.terms)
        inner = [isinstance(v, Add) and id(v) not in self.bound for v in value.terms]
        if any(inner) and not fits(" + ".join(map(flat, docs)), self.indent + len("return ()")):
            named = [
                self.assign(v, d, reads) if i else (d, reads) for v, d, i in zip(value.terms, docs, inner, strict=True)
            ]
            docs, inner = tuple(d for d, _ in named), [False] * len(inner)
            reads = reads.union(*(r for _, r in named))
        terms = [f"({flat(d)})" if add else flat(d) for d, add in zip(docs, inner, strict=True)]
        if len(terms) == 2:  # where order cannot change what is rounded, names come first
            terms.sort(key=lambda t: not t.isidentifier())
        whole = " + ".join(terms)
        if fits(whole, self.indent + max(len("return "), len(value.name) + 3)):
            return whole, reads
        name = fresh(value.name or "out", self.taken)
        self.taken.add(name)
        line = terms[0]
        for term in terms[1:]:
            if fits(f"{name} = {line} + {term}", self.indent):
                line = f"{line} + {term}"
            else:
                self.lines.append(f"{' ' * self.indent}{name} = {line}")
                line = f"{name} + {term}"
        self.lines.append(f"{' ' * self.indent}{name} = {line}")
        self.bind(value, name)
        return name, frozenset({name})

    def loop(self, value: Loop) -> _Said:
        doc, reads = self.say(value.over)
        over, _ = (doc, reads) if isinstance(doc, str) and doc.isidentifier() else self.assign(value.over, doc, reads)
        pad = " " * self.indent
        kept = value.kept
        states = [fresh(value.state[k].name, self.taken) for k in kept]
        step, seen = fresh("step", self.taken), fresh("steps", self.taken)
        self.taken.update({*states, step, seen})
        for k, name in zip(kept, states, strict=True):
            self.lines += lay(_zeros(flat(over), (value.widths[k],)), self.indent, f"{name} = ")
        self.lines += [f"{pad}{seen} = []", f"{pad}for {step} in {over}.unbind(1):"]
        inner = _Writer(indent=self.indent + 4, taken=set(self.taken))
        inner.start(value.runs)
        for arg, name in zip((value.step, *(value.state[k] for k in kept)), (step, *states), strict=True):
            inner.bind(arg, name)
            inner.left[id(arg)] += 1  # the loop reads its variables again
        inner.run(value.dead)
        self.lines += [*inner.next_state([value.made[k] for k in kept], states), f"{pad}    {seen}.append({states[0]})"]
        return Calling("torch.stack", (seen, "dim=1")), frozenset()

    def next_state(self, made: list[Value], states: list[str]) -> list[str]:
        """The lines of a loop that make the next state."""
        first = made[0]
        once = all(isinstance(m, Item) and self.left[id(m)] == 1 for m in made)
        if isinstance(first, Item) and once and len({id(m.use) for m in made if isinstance(m, Item)}) == 1:
            docs, _ = self.all(first.use.args)
            by = {m.index: name for m, name in zip(made, states, strict=True) if isinstance(m, Item)}
            names = [by.get(i, "_") for i in range(first.use.several)]
            return [*self.lines, *lay(Calling(f"self.{first.use.part}", docs), self.indent, f"{', '.join(names)} = ")]
        said = [flat(self.say(m, last=True)[0]) for m in made]
        return [*self.lines, *lay(", ".join(said), self.indent, f"{', '.join(states)} = ")]


def _zeros(name: str, shape: Shape) -> Doc:
    return Calling(f"{name}.new_zeros", (f"{name}.shape[0]", *map(str, shape)))
