"""The README's blocks do what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli import run
from nas.cli.commands import COMMANDS

HOME = Path(__file__).parent.parent
TEXT = (HOME / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_readmes_space_keeps_the_laws(tmp_path, capsys):
    (tmp_path / "my.py").write_text(PYTHON[0])
    assert len([line for line in PYTHON[0].splitlines() if line.strip()]) <= 15
    assert run(["spaces", "check", f"{tmp_path / 'my.py'}:space", "--input", "1,8,8"]) == 0, capsys.readouterr().out


def test_the_readmes_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = (
        PYTHON[1] + "\nimport torch\nassert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)\nassert len(table) >= 4\n"
    )
    environment = {"PYTHONPATH": str(HOME), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = next((tmp_path / "runs" / "mine").glob("ledger.sqlite"))
    assert found.is_file()


def test_the_readme_names_every_command():
    table = set(re.findall(r"`nas (\w+)`", TEXT))
    assert table == set(COMMANDS)


@pytest.mark.parametrize("line", re.findall(r"^nas .*", TEXT, re.MULTILINE))
def test_the_readmes_lines_have_flags_that_there_are(line, capsys):
    words = line.split("#")[0].split()
    assert run([words[1], "--help"]) == 0
    known = capsys.readouterr().out
    for flag in re.findall(r"--[a-z-]+", line.split("#")[0]):
        assert flag in known, f"{flag} of {line!r}"
