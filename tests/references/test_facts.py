"""Every fact is asserted, exactly where it was measured; `python -m tests.references` writes the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.references.facts import Fact
from tests.references.page import FACTS, page

PAGE = Path(__file__).parents[2] / "docs" / "references.md"


@pytest.mark.parametrize("fact", FACTS, ids=lambda f: f.about)
def test_fact(fact: Fact) -> None:
    found = fact.found()
    if fact.within:
        assert found == pytest.approx(fact.expected, rel=fact.within), fact.source
    else:
        assert found == fact.expected, fact.source


def test_facts_are_told_apart() -> None:
    names = [f.about for f in FACTS]
    assert len(set(names)) == len(names)


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.references"
