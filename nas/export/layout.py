"""Source text laid out as `ruff format` leaves it: one line where it fits, else one argument a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, final

WIDTH = 88
"""Columns of a line, the formatter's own."""


@final
@dataclass(frozen=True)
class Calling:
    """A call, or with `head` "" and square `ends` a list; `tall` puts each argument on its own line in any case,
    `rows` if one line is too short for all.
    """

    head: str
    args: tuple[Doc, ...]
    keys: tuple[str, ...] = ()
    ends: str = "()"
    tall: bool = False
    rows: bool = False

    def inside(self) -> str:
        """The arguments on one line."""
        return ", ".join(self.key(k) + flat(arg) for k, arg in enumerate(self.args))

    def key(self, k: int) -> str:
        """What stands before an argument: its keyword, if it has one."""
        name = self.keys[k] if self.keys else ""
        return f"{name}=" if name else ""


@final
@dataclass(frozen=True)
class Repeat:
    """`*[what for _ in range(times)]`."""

    what: Doc
    times: int


Doc: TypeAlias = "str | Calling | Repeat"


def flat(doc: Doc) -> str:
    """The text on one line."""
    if isinstance(doc, str):
        return doc
    if isinstance(doc, Repeat):
        return f"*[{flat(doc.what)} for _ in range({doc.times})]"
    return f"{doc.head}{doc.ends[0]}{doc.inside()}{doc.ends[1]}"


def tall(doc: Doc) -> bool:
    """Whether a text must not stand on one line."""
    if isinstance(doc, Repeat):
        return tall(doc.what)
    return isinstance(doc, Calling) and (doc.tall or any(map(tall, doc.args)))


def lay(doc: Doc, indent: int, before: str = "", after: str = "") -> list[str]:
    """The lines of a text, with something before it and after it."""
    pad = " " * indent
    line = f"{pad}{before}{flat(doc)}{after}"
    if isinstance(doc, str) or (len(line) <= WIDTH and not tall(doc)) or (isinstance(doc, Calling) and not doc.args):
        return [line]
    if isinstance(doc, Repeat):
        inner = lay(doc.what, indent + 4)
        line = f"{pad}    {flat(doc.what)} for _ in range({doc.times})"
        if len(line) <= WIDTH and not tall(doc):
            return [f"{pad}{before}*[", line, f"{pad}]{after}"]
        return [f"{pad}{before}*[", *inner, f"{pad}    for _ in range({doc.times})", f"{pad}]{after}"]
    lines = [f"{pad}{before}{doc.head}{doc.ends[0]}"]
    line = f"{pad}    {doc.inside()}"
    if len(line) <= WIDTH and not tall(doc) and not doc.rows:
        return [*lines, line, f"{pad}{doc.ends[1]}{after}"]
    for k, arg in enumerate(doc.args):
        lines += lay(arg, indent + 4, doc.key(k), ",")
    return [*lines, f"{pad}{doc.ends[1]}{after}"]


def fits(text: str, indent: int) -> bool:
    """Whether a text fits on a line."""
    return indent + len(text) <= WIDTH


def docstring(text: str, indent: int) -> list[str]:
    """The lines of a docstring, wrapped; what follows the first line is set off."""
    pad = " " * indent
    first, *rest = [_wrap(p, WIDTH - indent - 3) for p in text.strip().split("\n\n")]
    if not rest and len(first) == 1 and len(first[0]) <= WIDTH - indent - 6:
        return [f'{pad}"""{first[0]}"""']
    lines = [f'{pad}"""{first[0]}', *(pad + line for line in first[1:])]
    for paragraph in rest:
        lines += ["", *(pad + line for line in paragraph)]
    return [*lines, f'{pad}"""']


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def quoted(text: str) -> str:
    """A string literal, in double quotes where that needs no escapes."""
    return f'"{text}"' if text.isprintable() and '"' not in text and "\\" not in text else repr(text)
