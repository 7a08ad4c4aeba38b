"""All facts together, and the page that lists what was reached and what was not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from importlib import import_module
from pathlib import Path

from search_spaces import SPACES
from tests.references.facts import Fact, Missed

HERE = Path(__file__).parent
FAMILIES = sorted(f.stem for f in HERE.glob("family_*.py"))
FACTS: list[Fact] = [f for name in FAMILIES for f in import_module(f"tests.references.{name}").FACTS]
MISSED: list[Missed] = [m for name in FAMILIES for m in import_module(f"tests.references.{name}").MISSED]


def page() -> str:
    """The text of docs/references.md."""
    measured, printed = (sum(f.tag == tag for f in FACTS) for tag in "MP")
    lines = [
        "# References",
        "",
        "What the spaces were held against, and what they do not reach. Written by `python -m tests.references`; the",
        "facts are asserted by `pytest tests/references`.",
        "",
        f"{measured} facts that were measured on the authors' code (or by an independent count) are asserted, and",
        f"{printed} printed ones; {len(MISSED)} are listed below as not reached.",
        "",
        "## Spaces",
        "",
        "At their default settings. A space that shares weights keeps laws 5 and 6, one that can be relaxed law 7.",
        "",
        *_table(("space", "architectures", "choices", "shares weights", "can be relaxed"), _spaces()),
        "",
        "## Not reached",
        "",
        *_table(
            ("what", "source", "published", "ours", "why"),
            ((m.about, m.source, m.theirs, m.ours, m.why) for m in MISSED),
        ),
        "",
        "## Asserted",
        "",
        *_table(("what", "value", "source"), ((f.about, _value(f.expected), f.source) for f in FACTS)),
        "",
    ]
    return "\n".join(lines)


def _spaces() -> Iterator[tuple[str, ...]]:
    for name, make in sorted(SPACES.items()):
        space = make()
        size = f"{space.size:,}" if space.size < 10**9 else f"{Decimal(space.size):.2e}"
        yield (
            name,
            size,
            str(len(space.choices)),
            *(f"no: {why}" if why else "yes" for why in (space.shares, space.relaxes)),
        )


def _value(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = [[c.replace("|", "\\|") for c in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, tuple("---" for _ in head), *cells)]
