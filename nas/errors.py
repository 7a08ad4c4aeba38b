"""What may go wrong for a user, said in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import final

USAGE, INFEASIBLE, INTERRUPTED, ENVIRONMENT = 2, 3, 4, 5
"""Exit codes: wrong usage; nothing feasible; interrupted and resumable; the machine lacks something."""


@final
class UserError(Exception):
    """Something a user can mend: one line that names the thing, what was expected, what came, and the fix.

    code: the exit code of the command (2 usage, 3 nothing feasible, 4 interrupted and resumable, 5 environment).
    """

    def __init__(self, message: str, *, fix: str = "", code: int = USAGE) -> None:
        super().__init__(message, fix, code)
        self.message, self.fix, self.code = " ".join(message.split()), " ".join(fix.split()), code

    def __reduce__(self) -> tuple[object, tuple[str, str, int]]:
        return _user_error, (self.message, self.fix, self.code)

    def __str__(self) -> str:
        return f"{self.message}; {self.fix}" if self.fix else self.message


def _user_error(message: str, fix: str, code: int) -> UserError:
    return UserError(message, fix=fix, code=code)


def nearest(word: str, known: Iterable[str], *, what: str) -> UserError:
    """The error for an unknown name, which offers the nearest known ones."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    fix = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(names)}"
    return UserError(f"no {what} is called {word!r}", fix=fix)
