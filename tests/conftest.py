"""What the whole suite shares: the counts of tests by marker, printed at its end."""

from collections import Counter

import pytest
import torch

from nas.cli import run
from tests.commands import SEARCH

torch.set_num_threads(1)  # two threads wait for each other where another process has the second core
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


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A small finished run; what changes it takes a copy."""
    where = tmp_path_factory.mktemp("cli") / "run"
    assert run([*SEARCH, "--trials", "4", "--baseline", "random", "--out", str(where)]) == 0
    return where
