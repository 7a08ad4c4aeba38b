"""Commands as a user types them, for tests."""

import json
import sys
from pathlib import Path

from nas.cli import run

HOME = Path(__file__).parent.parent
SMALL = [
    "--executor",
    "local",
    "--workers",
    "1",
    "--epochs",
    "1",
    "--final-epochs",
    "2",
    "--set",
    "cells=1",
    "--set",
    "channels=4",
]
SEARCH = ["search", "--space", "nasbench201", "--data", "digits", *SMALL]


def typed(capsys, *args):
    """The exit code and what was printed, as (code, out, err)."""
    capsys.readouterr()
    code = run([str(a) for a in args])
    out, err = capsys.readouterr()
    return code, out, err


def said(capsys, *args):
    """The one JSON object that a command prints."""
    code, out, err = typed(capsys, *args, "--json")
    assert len(out.strip().splitlines()) == 1, out
    made = json.loads(out)
    assert code == made.get("code", 0), err
    return made


def command(*args):
    """The words that start nas in a process of its own."""
    return [sys.executable, "-m", "nas", *map(str, args)]
