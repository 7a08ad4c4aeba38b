"""How a law is broken."""

from __future__ import annotations


def check(kept: bool, what: str) -> None:
    """Raise AssertionError, which says what, unless the condition holds."""
    if not kept:
        raise AssertionError(what)
