"""What the whole suite shares: two processes for all of it, and the counts of tests by marker, printed at its end."""

from collections import Counter

import pytest
import torch

from nas.cli import run
from tests.commands import SEARCH

torch.set_num_threads(1)  # two threads wait for each other where another process has the second core
MARKERS = ("slow", "gpu", "ray")
SEEN = Counter()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Plain `pytest` takes two processes, if pytest-xdist is there; named tests, slow ones and a debugger take one.

    Said here and not in pyproject.toml, so that `-p no:xdist` and `-n 0` work, and so does pytest without the package.
    """
    if hasattr(config, "workerinput"):  # this is one of the two, which is given the same arguments
        return
    option = config.option
    whole = config.args_source is config.ArgsSource.TESTPATHS and "not slow" in option.markexpr
    seen = option.usepdb or option.trace or option.capture == "no"  # what a process elsewhere cannot show
    if whole and not seen and getattr(option, "numprocesses", 0) is None:
        option.numprocesses = 2
    if getattr(option, "numprocesses", 0) and option.dist == "no":
        option.dist = "loadfile"  # a file's tests share what it made


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Count before anything is deselected."""
    for item in items:
        marks = [name for name in MARKERS if item.get_closest_marker(name)]
        SEEN.update(marks or ["plain"])


def pytest_sessionfinish(session):
    """One of several processes hands over what it counted."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["seen"] = dict(SEEN)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Each of several processes has counted all tests."""
    SEEN.update(getattr(node, "workeroutput", {}).get("seen", {}) if not SEEN else {})


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
