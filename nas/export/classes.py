"""One class of the source: its parameters, the parts that it makes, and its `forward`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from nas.export.forward import forward
from nas.export.layout import Calling, Doc, Repeat, docstring, fits, flat, lay
from nas.export.params import NONE, Fitted, Param
from nas.export.unify import ABSENT, Kind, Layer, Made, Piece, Row, Slot
from nas.export.words import attribute, fresh

Write: TypeAlias = Callable[[Any], str]
SMALL = 4
"""Layers of a sequence that stands where it is used, if it is used once."""


@final
@dataclass
class Classes:
    """Writes the classes of a network; `literal` writes a value (a number, a torch class) as source."""

    fitted: Mapping[int, Fitted]
    literal: Write
    locals: list[str] = field(default_factory=list)

    def source(self, kind: Kind) -> list[str]:
        """The lines of a class."""
        fitted = self.fitted[id(kind)]
        self.locals = []
        words = _words(kind, fitted)
        row = kind.row
        lines = [f"class {kind.name}(nn.{'Sequential' if row else 'Module'}):", *docstring(about(kind), 4), ""]
        body: list[str] = []
        if row:
            items = tuple(self.items(row, kind))
            body = lay(Calling("super().__init__", items, tall=len(items) > 1), 8)
            return [*lines, *self.head(fitted), *self.shared(fitted, words), *self.locals, *body]
        for name, piece in kind.pieces.items():
            body += lay(self.made(piece, kind), 8, f"self.{name} = ")
        if fitted.skip:
            body.append(f"        self.{kind.label} = {fitted.skip.text()}")
        start = ["        super().__init__()", *self.shared(fitted, words), *self.locals]
        if kind.pieces or fitted.params:
            lines += [*self.head(fitted), *start, *body, ""]
        return [*lines, *forward(kind)]

    def head(self, fitted: Fitted) -> list[str]:
        """The signature of `__init__`."""
        given = ["self", *(self.parameter(p) for p in fitted.params)]
        return lay(Calling("def __init__", tuple(given)), 4, "", " -> None:")

    def parameter(self, param: Param) -> str:
        kinds = {type(v) for v in param.values}
        known = {frozenset({int}): "int", frozenset({bool}): "bool", frozenset({str}): "str"}
        word = known.get(frozenset(kinds), "float" if kinds <= {int, float} else "")
        if all(isinstance(v, type) for v in param.values):
            word = "type[nn.Module]"
        default = "" if param.default is NONE else self.literal(param.default)
        if not word:
            return f"{param.name}={default}" if default else param.name
        return f"{param.name}: {word}" + (f" = {default}" if default else "")

    def shared(self, fitted: Fitted, words: Mapping[str, str]) -> list[str]:
        """Formulas that are used more than once, with a name."""
        return [f"        {word} = {form}" for form, word in words.items()] if fitted else []

    def made(self, piece: Piece, kind: Kind) -> Doc:
        """How a part is made."""
        doc = self.plain(piece, kind)
        switch = self.fitted[id(kind)].switches.get(id(piece))
        if switch is None:
            return doc
        text = f"{flat(doc)} if {switch.text()} else nn.Identity()"
        if fits(text, 20):
            return text
        name = attribute(_item(piece))
        name = fresh(name, {p.name for p in self.fitted[id(kind)].params})
        self.locals += [f"        {name}: nn.Module = nn.Identity()", f"        if {switch.text()}:"]
        self.locals += lay(doc, 12, f"{name} = ")
        return name

    def plain(self, piece: Piece, kind: Kind) -> Doc:
        if isinstance(piece, Row):
            items = tuple(self.items(piece, kind))
            whole = Calling("nn.Sequential", items, tall=len(items) > 2, rows=len(items) > 1)
            return items[0] if len(piece.items) == 1 else whole
        if isinstance(piece, Made):
            return self.calling(piece, kind)
        args = tuple(self.slot(s, kind) for s in piece.args)
        keys = tuple(s.arg if word else "" for s, word in zip(piece.args, piece.keyword, strict=True))
        return Calling(self.slot(piece.make, kind), args, keys)

    def items(self, row: Row, kind: Kind) -> list[Doc]:
        """The layers of a sequence; equal neighbours that have a class of their own stand in a loop."""
        docs: list[Doc] = []
        for item in row.items:
            doc = self.made(item, kind)
            before = docs[-1] if docs else None
            if not isinstance(item, Layer) and before == doc:
                docs[-1] = Repeat(doc, 2)
            elif isinstance(before, Repeat) and before.what == doc:
                docs[-1] = Repeat(doc, before.times + 1)
            else:
                docs.append(doc)
        return docs

    def calling(self, piece: Made, kind: Kind) -> Doc:
        """An object of another class of the file; a short sequence that is used once stands where it is used."""
        if inlined(piece.of):
            return self.plain(next(iter(piece.of.pieces.values())), piece.of)
        args: list[str] = []
        keys: list[str] = []
        for k, param in enumerate(self.fitted[id(piece.of)].params):
            slot = piece.args[param.name]
            seen = [v for v in slot.values if v is not ABSENT]
            if param.default is not NONE and all(type(v) is type(param.default) and v == param.default for v in seen):
                continue
            args.append(self.slot(slot, kind))
            width = any(word in param.name for word in ("channels", "features"))
            keys.append("" if param.default is NONE and (width or not k) and not any(keys) else param.name)
        return Calling(piece.of.name, tuple(args), tuple(keys))

    def slot(self, slot: Slot, kind: Kind) -> str:
        """An argument as source."""
        fitted = self.fitted[id(kind)]
        formula = fitted.formulas.get(id(slot))
        if formula is None or formula.literal:
            return self.literal(next(v for v in slot.values if v is not ABSENT))
        return _words(kind, fitted).get(formula.text(), formula.text())


def inlined(kind: Kind) -> bool:
    """Whether a class is so small, and so seldom used, that it is written where it is used."""
    return kind.row is not None and len(kind.every) == 1 and len(kind.row.items) <= SMALL


def about(kind: Kind) -> str:
    """What a class is: the first line of its node's docstring."""
    node = kind.scopes[0].node
    doc = inspect.cleandoc(type(node).__doc__ or "").splitlines()[0] if node is not None and type(node).__doc__ else ""
    if not doc or doc.startswith(f"{type(node).__name__}(") or '"""' in doc or "\\" in doc:
        return "A block of the network."
    first = doc.partition("; ")[0].rstrip(".")
    return f"{first}."


def _words(kind: Kind, fitted: Fitted) -> dict[str, str]:
    """Names for the products that stand in several places."""
    texts = [f.text() for f in fitted.formulas.values() if " * " in f.form]
    made: dict[str, str] = {}
    taken = {p.name for p in fitted.params}
    for text in dict.fromkeys(texts):
        if texts.count(text) > 1:
            made[text] = fresh("hidden", taken)
            taken.add(made[text])
    return made


def _item(piece: Piece) -> str:
    if isinstance(piece, Row):
        return _item(piece.items[0])
    slots = piece.args.values() if isinstance(piece, Made) else [piece.make]
    return next((s.item for s in slots), "part")
