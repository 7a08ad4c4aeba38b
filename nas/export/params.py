"""The parameters of a class: names and formulas for the numbers in which its instances differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, final

from torch import nn

from nas.export.unify import ABSENT, Kind, Layer, Made, Piece, Row, Slot, parameters
from nas.export.words import attribute, fresh, stem

NONE: Any = type("NoDefault", (), {"__repr__": lambda self: "NONE"})()
"""The default of a parameter that has none."""
SIZES = ("kernel", "stride", "padding", "dilation")
"""Arguments that are no widths: a parameter of another word is never taken for them."""
READS = {"in_channels", "in_features", "num_features", "num_channels", "groups", "input_size", "normalized_shape"}
WIDTHS = {"out_channels", "out_features", "hidden_size"}


@final
@dataclass(eq=False)
class Param:
    """A parameter: its values, one for each scope; `size` says which size it is (stride, kernel), "" for none."""

    name: str
    values: tuple[Any, ...]
    size: str = ""
    default: Any = NONE
    used: bool = False


@final
@dataclass(eq=False)
class Formula:
    """How a slot is written: a literal, a parameter, or a sum on parameters; {} in `form` stand for their names."""

    values: tuple[Any, ...]
    form: str = ""
    reads: tuple[Param, ...] = ()
    local: str = ""
    times: int = 0

    @property
    def literal(self) -> bool:
        """Whether it is the same value for all scopes."""
        return not self.form

    def text(self) -> str:
        """The formula, with the names that the parameters have in the end."""
        return self.form.format(*(p.name for p in self.reads))


@final
@dataclass(eq=False)
class Fitted:
    """The parameters of a class, a formula for each slot (by id), and the switch of each part that may be missing."""

    params: list[Param] = field(default_factory=list)
    formulas: dict[int, Formula] = field(default_factory=dict)
    switches: dict[int, Formula] = field(default_factory=dict)
    skip: Formula | None = None


def fit(kind: Kind) -> Fitted:
    """Settles what a class is called with, and sets `kind.args`."""
    fitted = _Fitting(kind).run()
    for k, scope in enumerate(kind.scopes):
        kind.args[id(scope)] = {p.name: p.values[k] for p in fitted.params}
    return fitted


def pieces(piece: Piece) -> Iterator[Piece]:
    """A piece and all that stand in it."""
    yield piece
    if isinstance(piece, Row):
        for item in piece.items:
            yield from pieces(item)


def agrees(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two columns are equal wherever both are there."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not ABSENT and y is not ABSENT]
    return all(x == y and (type(x) is type(y) or not isinstance(x, bool)) for x, y in pairs)


def size(arg: str) -> str:
    """The word of an argument that is a size (kernel, stride, padding, dilation); "" for any other."""
    return next((word for word in SIZES if arg.startswith(word)), "")


class _Fitting:
    def __init__(self, kind: Kind) -> None:
        self.kind, self.made = kind, Fitted()
        self.fields = list(_fields(kind))
        known = {(f.values, f.name) for f in self.fields}
        self.inputs = [p for p in _inputs(kind) if (p.values, p.name) not in known]
        self.new: list[Param] = []

    def run(self) -> Fitted:
        for piece in self.kind.pieces.values():
            for inner in pieces(piece):
                self.piece(inner)
        for piece in self.kind.pieces.values():
            for inner in pieces(piece):
                if not all(inner.there) and not (isinstance(inner, Layer) and _plain(inner)):
                    self.made.switches[id(inner)] = self.switch(inner)
        if self.kind.skip:
            self.made.skip = self.skip()
        self.name()
        return self.made

    def piece(self, piece: Piece) -> None:
        if isinstance(piece, Layer):
            if len({m for m in piece.make.values if m is not ABSENT}) > 1:
                self.made.formulas[id(piece.make)] = self.parameter(piece.make, attribute(stem(piece.make.item)))
            known = {slot.arg: slot for slot in piece.args}
            for slot in piece.args:
                self.made.formulas[id(slot)] = self.formula(slot, known.get("kernel_size"))
        elif isinstance(piece, Made):
            for slot in piece.args.values():
                self.made.formulas[id(slot)] = self.formula(slot, None)

    def formula(self, slot: Slot, kernel: Slot | None) -> Formula:
        seen = [v for v in slot.values if v is not ABSENT]
        if len(seen) < len(slot.values) and not size(slot.arg):
            known = next(
                (f for f in self.made.formulas.values() if " * " in f.form and agrees(f.values, slot.values)), None
            )
            if known is not None:
                return self.use(known.values, known.form, *known.reads)
            if all(type(v) is int and v > 0 for v in seen) and slot.arg not in READS:
                return self.parameter(slot, _word(slot))  # the width of a part that may be missing: 0 where it is
        if all(type(v) is type(seen[0]) and v == seen[0] for v in seen):
            return Formula(slot.values)
        if isinstance(seen[0], type):
            return self.parameter(slot, attribute(slot.arg))
        word = size(slot.arg)
        if word == "padding" and kernel is not None:
            whole = self.made.formulas[id(kernel)]
            halves = tuple(k // 2 if isinstance(k, int) else k for k in kernel.values)
            if whole.form == "{}" and agrees(halves, slot.values):
                return Formula(slot.values, "{} // 2", whole.reads)
        fields = [f for f in self.fields if (f.name in slot.arg if word else not size(f.name))]
        fields.sort(key=lambda f: f.name not in slot.arg)
        inputs = [] if word else self.inputs
        for param in [*inputs, *fields] if slot.arg in READS or slot.arg.startswith("in_") else [*fields, *inputs]:
            if agrees(param.values, slot.values):
                return self.use(slot.values, "{}", param)
        return (None if word else self.product(slot)) or self.parameter(slot, _word(slot))

    def product(self, slot: Slot) -> Formula | None:
        """A width that is a multiple of the input's, by a field."""
        for a in [*self.inputs, *(f for f in self.fields if f.name in {"channels", "features", "width"})]:
            for b in self.fields:
                if size(b.name) or b is a or any(isinstance(v, bool | str) for v in b.values):
                    continue
                whole = all(isinstance(v, int) for v in b.values)
                made = tuple(x * y if whole else round(x * y) for x, y in zip(a.values, b.values, strict=True))
                if not agrees(made, slot.values):
                    continue
                numbers = [p for p in (a, b) if len(set(p.values)) > 1]
                form = " * ".join("{}" if p in numbers else str(p.values[0]) for p in (a, b))
                if numbers:
                    return self.use(made, form if whole else f"round({form})", *numbers)
        return None

    def use(self, values: tuple[Any, ...], form: str, *reads: Param) -> Formula:
        for param in reads:
            param.used = True
        return Formula(values, form, reads)

    def parameter(self, slot: Slot, word: str) -> Formula:
        """A parameter that is no field: one that has the same values already, or a new one."""
        for param in self.new:
            if agrees(param.values, slot.values) and param.size == size(slot.arg):
                param.values = tuple(y if x is ABSENT else x for x, y in zip(param.values, slot.values, strict=True))
                return self.use(slot.values, "{}", param)
        param = Param(word, slot.values)
        param.size = size(slot.arg)
        if slot.arg == "make" or any(isinstance(v, type) for v in slot.values):
            there = [v for v in slot.values if v is not ABSENT]
            param.default = max(dict.fromkeys(there), key=there.count)
        self.new.append(param)
        return self.use(slot.values, "{}", param)

    def switch(self, piece: Piece) -> Formula:
        """What is true where a part is there: a width of its own, which is 0 without it, or a flag."""
        own = [s for s in _slots(piece) if self.made.formulas[id(s)].form == "{}"]
        for slot in own:
            param = self.made.formulas[id(slot)].reads[0]
            lacks = tuple(v is not ABSENT for v in param.values)
            widths = all(v is ABSENT or (isinstance(v, int) and v > 0) for v in param.values)
            if param in self.new and lacks == piece.there and widths:
                param.values, param.default = tuple(0 if v is ABSENT else v for v in param.values), 0
                return Formula(piece.there, "{}", (param,))
        item = own[0].item if own else next(iter(_slots(piece)), Slot((), "", "optional")).item
        param = Param(attribute(item), piece.there, default=False, used=True)
        self.new.append(param)
        return Formula(piece.there, "{}", (param,))

    def skip(self) -> Formula:
        """When the input is added: where stride and width leave the shape as it is, if that says it; else a flag."""
        flags = self.kind.skip
        strides = [f for f in self.fields if f.name == "stride"]
        for source in self.inputs:
            for f in self.fields:
                equal = tuple(x == y for x, y in zip(source.values, f.values, strict=True))
                if size(f.name) or len(set(f.values)) == 1:
                    continue
                if equal == flags and not all(equal):
                    return self.use(flags, "{} == {}", source, f)
                for stride in strides:
                    if tuple(e and s == 1 for e, s in zip(equal, stride.values, strict=True)) == flags:
                        return self.use(flags, "{} == 1 and {} == {}", stride, source, f)
        for stride in strides:
            if tuple(s == 1 for s in stride.values) == flags:
                return self.use(flags, "{} == 1", stride)
        param = Param(attribute(self.kind.label), flags, default=False, used=True)
        self.new.append(param)
        return Formula(flags, "{}", (param,))

    def name(self) -> None:
        """Names the parameters: those of the input first, then fields in their order, then the rest; defaults last."""
        inputs, given = [p for p in self.inputs if p.used], [f for f in self.fields if f.used]
        taken = {f.name for f in given}
        for param in inputs:
            param.name = fresh(f"in_{param.name}" if param.name in taken or len(inputs) > 1 else param.name, taken)
            taken.add(param.name)
        for param in self.new:
            param.name = fresh(param.name, taken)
            taken.add(param.name)
            if param.size == "stride" and 1 in param.values:
                param.default = 1
            param.values = tuple(_filler(param) if v is ABSENT else v for v in param.values)
        everything = [*inputs, *given, *self.new]
        self.made.params = sorted(everything, key=lambda p: p.default is not NONE)


def _filler(param: Param) -> Any:
    return param.default if param.default is not NONE else next(v for v in param.values if v is not ABSENT)


def _word(slot: Slot) -> str:
    """What a new parameter is called: by the argument's own word, or by its part and the argument."""
    if slot.arg in WIDTHS:
        return "hidden"
    if size(slot.arg):
        return size(slot.arg)
    return attribute(slot.arg if slot.arg not in READS else slot.arg.removeprefix("in_").removeprefix("num_"))


def _slots(piece: Piece) -> Iterator[Slot]:
    for inner in pieces(piece):
        if isinstance(inner, Layer):
            yield from inner.args
        elif isinstance(inner, Made):
            yield from inner.args.values()


def _plain(layer: Layer) -> bool:
    return not layer.args and nn.Identity in layer.make.values


def _fields(kind: Kind) -> Iterator[Param]:
    """The numbers among the fields of the nodes, as far as they vary or are needed in a formula."""
    nodes = [s.node for s in kind.scopes]
    if nodes[0] is None or any(type(n) is not type(nodes[0]) for n in nodes):
        return
    for f in fields(nodes[0]):
        values = tuple(getattr(n, f.name) for n in nodes)
        if all(isinstance(v, int | float | str) for v in values):
            default = next((v for v in values if v == f.default), NONE)
            yield Param(attribute(f.name), values, size(f.name), default)


def _inputs(kind: Kind) -> Iterator[Param]:
    """The width of each input: its channels, or the features of its last axis."""
    for k in range(len(kind.scopes[0].shapes)):
        shapes = [s.shapes[k] for s in kind.scopes]
        if all(len(s) in {1, 2, 3} for s in shapes) and len({len(s) for s in shapes}) == 1:
            image = len(shapes[0]) == 3
            yield Param("channels" if image else "features", tuple(s[0] if image else s[-1] for s in shapes))


__all__ = ["Fitted", "Formula", "Param", "fit", "parameters", "pieces"]
