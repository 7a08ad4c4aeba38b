"""What a user gets for bad input, and after an interruption: one line, the right exit code, nothing lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import types

import pytest

import nas
from nas import plugins
from tests.commands import HOME, SEARCH, command, said, typed

BAD = [
    (["serch"], 2, "did you mean search"),
    (["search", "--trails", "3"], 2, "did you mean --trials"),
    (["search", "--trials", "x"], 2, "--trials"),
    (["search", "--trials", "0"], 2, "--trials must be at least 1, got 0"),
    (["search", "--epochs", "0"], 2, "--epochs must be at least 1"),
    (["search", "--executor", "slurm"], 2, "invalid choice 'slurm'"),
    (["search", "--space", "mobil"], 2, "did you mean mobile"),
    (["search", "--data", "digts"], 2, "digits"),
    (["search", "--strategy", "evolutoin"], 2, "did you mean evolution"),
    (["search", "--max", "params"], 2, "METRIC=VALUE"),
    (["search", "--max", "parms=3"], 2, "did you mean params"),
    (["search", "--max", "params=3ms"], 2, "150k"),
    (["search", "--max", "params=-3"], 2, "above 0"),
    (["search", "--max", "params=1k"], 3, "the smallest one needs"),
    (["search", "--set", "cells"], 2, "NAME=VALUE"),
    (["search", "--set", "rooms=3"], 2, "rooms"),
    (["search", "--workers", "0"], 2, "--workers must be at least 1"),
    (["search", "--gpus-per-trial", "-1"], 2, "must be 0 or more"),
    (["search", "--executor", "local", "--gpus-per-trial", "0.5", "--out", "r"], 5, "a GPU was asked for"),
    (["search", "--recipe", "optimiser=adam"], 2, "there are: sgd, adamw"),
    (["resume", "nowhere"], 2, "is no run"),
    (["status", "nowhere"], 2, "is no run"),
    (["show"], 2, "nas show"),
    (["spaces", "chek", "x"], 2, "check NAME"),
    (["spaces", "--set", "cells=2"], 2, "is for one space"),
    (["spaces", "--input", "3,x"], 2, "C,H,W"),
    (["profile", "|none~0|"], 2, "is no architecture"),
    (["profile", "{"], 2, "is no JSON"),
    (["run", "agin_evolution"], 2, "did you mean aging_evolution"),
]


@pytest.mark.parametrize(("args", "code", "words"), BAD, ids=[" ".join(b[0]) for b in BAD])
def test_bad_input_gets_one_line_and_the_right_code(args, code, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    got, out, err = typed(capsys, *args)
    assert got == code
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert not out
    assert not list(tmp_path.iterdir())
    made = said(capsys, *args)
    assert set(made) == {"error", "fix", "code"}


def test_a_folder_of_another_run_is_refused(folder, capsys):
    code, _, err = typed(capsys, *SEARCH, "--seed", "1", "--trials", "4", "--out", folder)
    assert code == 2
    assert "holds another run" in err
    code, _, err = typed(capsys, "export", folder, "--best", "99")
    assert code == 2
    assert "rank 99" in err
    code, _, err = typed(capsys, "export", folder, "--to", folder)
    assert code == 2
    assert "is no export" in err


def test_a_run_of_another_version_is_refused(folder, tmp_path, capsys):
    other = tmp_path / "run"
    shutil.copytree(folder, other)
    settings = json.loads((other / "settings.json").read_text())
    (other / "settings.json").write_text(json.dumps({**settings, "format": 99}))
    code, _, err = typed(capsys, "status", other)
    assert code == 2
    assert "format 99" in err


def test_every_candidate_failing_is_told(tmp_path, capsys):
    text = "import nas, torch\nfrom search_spaces.ops import Classifier\n\nclass Bad(torch.nn.Module):\n"
    text += (
        "    def __init__(self, width):\n        super().__init__()\n        self.c = torch.nn.Conv2d(1, width, 1)\n"
    )
    text += "    def forward(self, x):\n        y = self.c(x)\n        if x.device.type == 'cpu':\n"
    text += "            raise RuntimeError('this module is broken')\n        return y\n\ndef space(input, classes):\n"
    text += "    bad = nas.Module.of(Bad, width=nas.Choice('width', (4, 8)))\n"
    text += "    return nas.Space('bad', nas.Chain.of(bad=bad, head=Classifier(classes)), input)\n"
    (tmp_path / "bad.py").write_text(text)
    flags = ["--executor", "local", "--workers", "1", "--trials", "2", "--out", tmp_path / "r"]
    code, _, err = typed(capsys, "search", "--space", f"{tmp_path / 'bad.py'}:space", "--data", "digits", *flags)
    assert code == 3
    assert "this module is broken" in err
    _, out, _ = typed(capsys, "show", tmp_path / "r")
    assert "failed" in out


def test_ctrl_c_prints_the_line_that_resumes_and_it_does(tmp_path):
    args = [*SEARCH, "--epochs", "3", "--trials", "40", "--out", tmp_path / "r"]
    job = subprocess.Popen(command(*args), stderr=subprocess.PIPE, text=True, cwd=HOME)
    while "done" not in (line := job.stderr.readline()):
        assert job.poll() is None, line
    job.send_signal(signal.SIGINT)
    _, err = job.communicate(timeout=30)
    assert job.returncode == 4
    found = re.search(r"go on with: nas (resume \S+)", err)
    assert found, err
    assert "Traceback" not in err
    done = subprocess.run(
        command(*found[1].split(), "--trials", "3", "--json"), capture_output=True, text=True, cwd=HOME, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials"]["done"] >= 3


def test_a_folder_named_like_a_package_of_ours_is_no_harm(tmp_path):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").write_text("raise RuntimeError('not this one')")
    script = "import nas; from nas import plugins; print(plugins.experiments())"
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "aging_evolution" in done.stdout, done.stderr


def test_a_package_that_hides_ours_is_named(tmp_path, monkeypatch):
    (tmp_path / "__init__.py").touch()
    hiding = types.ModuleType("experiments")
    hiding.__file__ = str(tmp_path / "__init__.py")
    monkeypatch.setitem(sys.modules, "experiments", hiding)
    with pytest.raises(nas.UserError, match=f"{tmp_path} hides the package experiments"):
        plugins.package("experiments")


def test_a_space_with_fewer_networks_than_trials_comes_to_its_end(tmp_path, capsys):
    text = "import nas\nfrom search_spaces.ops import *\n\n"
    text += "def space(input, classes):\n    w = nas.Choice('w', (4, 8))\n"
    text += "    return nas.Space('s', nas.Chain.of(c=ConvNormAct(w), head=Classifier(classes)), input)\n"
    (tmp_path / "my.py").write_text(text)
    flags = ["--space", f"{tmp_path / 'my.py'}:space", "--data", "digits", "--executor", "local", "--workers", "1"]
    more = ["--epochs", "1", "--final-epochs", "1", "--trials", "5", "--out", tmp_path / "r"]
    code, _, err = typed(capsys, "search", *flags, *more)
    assert code == 0
    assert "2 different networks" in err
    assert said(capsys, "status", tmp_path / "r")["state"] == "done"
    _, out, _ = typed(capsys, "search", *flags, *more)
    assert "done already" in out


def test_a_users_file_that_changed_is_told(tmp_path, capsys):
    file = tmp_path / "my.py"
    text = "import nas\nfrom search_spaces.ops import *\n\n"
    text += "def space(input, classes):\n    w = nas.Choice('w', (4, 8, 6))\n"
    text += "    return nas.Space('s', nas.Chain.of(c=ConvNormAct(w), head=Classifier(classes)), input)\n"
    file.write_text(text)
    flags = ["--space", f"{file}:space", "--data", "digits", "--executor", "local", "--workers", "1", "--epochs", "1"]
    more = ["--final-epochs", "1", "--trials", "1", "--out", tmp_path / "r"]
    assert said(capsys, "search", *flags, *more)["trials"]["done"] == 1
    file.write_text(text.replace("4, 8, 6", "4, 8, 10"))
    for words in (["resume", tmp_path / "r", "--trials", "2"], ["export", tmp_path / "r"]):
        code, _, err = typed(capsys, *words)
        assert code == 2
        assert "has changed since the run began" in err
