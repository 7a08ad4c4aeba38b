"""Reading a command's flags into its dataclass; what is wrong is said in one line."""

from __future__ import annotations

import contextlib
import difflib
import io
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

import tyro

from nas.cli.speak import Said
from nas.errors import UserError

C = TypeVar("C")


class Command(ABC):
    """A command: a frozen dataclass whose fields are its flags and whose docstring is its help."""

    @abstractmethod
    def run(self) -> Said | None:
        """Do it, and say what came of it."""

    def resume(self) -> str:
        """The line that goes on after an interruption."""
        return ""

    def code(self, said: Said | None) -> int:
        """The exit code."""
        return said.code if said else 0


def parse(made: type[C], args: Sequence[str], *, prog: str) -> C | None:
    """The command that the arguments make; None where help was asked for, and printed. Raises UserError."""
    known = flags(made)
    for given in args:
        name = given.split("=")[0]
        if given.startswith("--") and name not in (*known, "--help"):
            close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            fix = f"did you mean {' or '.join(close)}?" if close else f"see `{prog} --help`"
            raise UserError(f"{prog} has no flag {name}", fix=fix)
    errors, out = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(out):
            return tyro.cli(made, args=list(args), prog=prog, config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit as stop:
        if not stop.code:
            sys.stdout.write(_without_none(out.getvalue()))
            return None
        raise UserError(_one_line(errors.getvalue()), fix=f"see `{prog} --help`") from None


def flags(made: type[Any]) -> list[str]:
    """The flags of a dataclass, as they are typed."""
    return [f"--{f.name.replace('_', '-')}" for f in fields(made)]


def _without_none(text: str) -> str:
    """A help text without "(default: None)": what is done then stands in the flag's own words."""
    marked = re.sub(r"\(default:(\s+)None\)", lambda m: "\0" + m[1] + "\0", text)
    lines = [line for line in marked.splitlines() if "\0" not in line or line.replace("\0", "").strip()]
    return "\n".join(line.replace("\0", "").rstrip() for line in lines) + "\n"


def _one_line(box: str) -> str:
    """The sentence inside a parser's box: what stands between its first two rules, without what it tried."""
    lines = [re.sub(r"[─│╭╮╰╯]", " ", line).strip() for line in box.splitlines()]
    rules = [n for n, line in enumerate(lines) if re.fullmatch(r"-{5,}", line)]
    body = lines[rules[0] + 1 : rules[1]] if len(rules) > 1 else lines
    text = " ".join(line for line in body if line)
    text = text.split(" Got errors:")[0]
    return re.sub(r"\s+", " ", text).rstrip(".") or "the arguments are off"
