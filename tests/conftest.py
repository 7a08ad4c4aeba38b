"""What the whole suite shares: the counts of tests by marker, printed at its end."""

from collections import Counter

import pytest

MARKERS = ("slow", "gpu", "ray")
SEEN = Counter()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Count before anything is deselected."""
    for item in items:
        marks = [name for name in MARKERS if item.get_closest_marker(name)]
        SEEN.update(marks or ["plain"])


def pytest_terminal_summary(terminalreporter):
    """The line of counts."""
    chosen = terminalreporter.config.getoption("-m") or "all"
    counted = ", ".join(f"{SEEN[name]} {name}" for name in ("plain", *MARKERS))
    terminalreporter.write_line(f"collected by marker: {counted}; run here: {chosen}")
