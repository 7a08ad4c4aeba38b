"""The commands as a user types them: what they print, their JSON, their exit codes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

import nas
from nas import plugins
from nas.cli import run
from nas.cli.commands import COMMANDS

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small finished run."""
    where = tmp_path_factory.mktemp("cli") / "run"
    assert run([*SEARCH, "--trials", "4", "--baseline", "random", "--out", str(where)]) == 0
    return where


def test_every_command_has_help_with_an_example(capsys):
    for name in COMMANDS:
        code, out, _ = typed(capsys, name, "--help")
        assert code == 0
        assert f"Example: nas {name}" in out
        assert "--json" in out
    code, out, _ = typed(capsys, "--help")
    assert all(name in out for name in COMMANDS)


def test_search_has_the_fixed_flags(capsys):
    _, out, _ = typed(capsys, "search", "--help")
    flags = "space data strategy trials epochs seed max out executor workers ray gpus-per-trial trial-timeout baseline"
    for flag in [*flags.split(), "dry-run", "json"]:
        assert f"--{flag}" in out


def test_search_says_what_it_found(folder, capsys):
    made = said(capsys, *SEARCH, "--trials", "4", "--baseline", "random", "--out", folder)
    assert set(made) >= {
        "run",
        "state",
        "space",
        "data",
        "strategy",
        "seed",
        "seconds",
        "trials",
        "best",
        "final",
        "baseline",
        "export",
    }
    assert made["state"] == "done"
    assert made["trials"]["done"] == 4
    assert set(made["trials"]) == {"done", "failed", "infeasible", "repeat"}
    assert set(made["best"]) >= {"trial", "key", "arch", "val_accuracy", "params", "macs"}
    assert set(made["final"]) == {"test_accuracy", "params", "macs"}
    assert 0.3 < made["final"]["test_accuracy"] <= 1
    assert made["baseline"]["strategy"] == "random"
    assert 0 < made["baseline"]["val_accuracy"] <= 1
    assert Path(made["export"]["model"]).is_file()


def test_the_same_command_says_that_the_run_is_done(folder, capsys):
    began = time.monotonic()
    code, out, _ = typed(capsys, *SEARCH, "--trials", "4", "--baseline", "random", "--out", folder)
    assert code == 0
    assert "done already" in out
    assert "nas resume" in out
    assert time.monotonic() - began < 5


def test_resume_adds_trials_and_keeps_the_old(folder, tmp_path, capsys):
    other = tmp_path / "run"
    shutil.copytree(folder, other)
    before = said(capsys, "show", other)["trials"]
    made = said(capsys, "resume", other, "--trials", "5")
    assert made["trials"]["done"] == 5
    assert said(capsys, "show", other)["trials"][: len(before)] == before


def test_show_and_status_agree(folder, tmp_path, capsys):
    made = said(capsys, "show", folder)
    assert set(made["trials"][0]) >= {"id", "state", "reason", "key", "arch", "budget", "metrics", "seconds"}
    status = said(capsys, "status", folder)
    assert status["state"] == made["state"] == "done"
    assert "trials" not in status
    typed(capsys, "show", folder, "--csv", tmp_path / "t.csv")
    assert len((tmp_path / "t.csv").read_text().splitlines()) == len(made["trials"]) + 1
    _, out, _ = typed(capsys, "status", folder)
    assert "best so far" in out


def test_test_images_are_read_once_and_only_at_the_end(folder, tmp_path, capsys, monkeypatch):
    from nas.evaluators import scratch

    opened = []
    real = scratch.load_test
    monkeypatch.setattr(scratch, "load_test", lambda *a, **k: opened.append(a) or real(*a, **k))
    from nas import options
    from tests.inline import Inline

    class Folded(Inline):
        def submit(self, task):
            task.folder.mkdir(parents=True, exist_ok=True)
            super().submit(_Work(task))

    monkeypatch.setattr(options, "Local", lambda workers, gpus: Folded(1))
    assert run([*SEARCH, "--trials", "3", "--baseline", "random", "--out", str(tmp_path / "r")]) == 0
    assert len(opened) == 1


class _Work:
    """A task that is its own work."""

    def __init__(self, task):
        import numpy as np

        self.trial, self.evaluate, self.proposal, self.folder = task.trial, task.evaluate, task.proposal, task.folder
        self.rng, self.parent = np.random.default_rng((task.seed, task.trial, 1)), None

    def report(self, epoch, metrics):
        pass


def test_export_writes_and_proves(folder, tmp_path, capsys):
    made = said(capsys, "export", folder, "--best", "1", "--to", tmp_path / "model")
    assert set(made) >= {"run", "trial", "key", "to", "files", "largest_difference", "proved"}
    assert made["proved"] is True
    assert set(made["files"]) == {"model", "weights", "program"}
    assert max(made["largest_difference"].values()) <= 1e-5
    for name in ("architecture.json", "metrics.json", "repro.json"):
        json.loads((tmp_path / "model" / name).read_text())
    again = said(capsys, "profile", tmp_path / "model" / "architecture.json")
    assert again["params"] == json.loads((tmp_path / "model" / "metrics.json").read_text())["params"]


def test_a_trained_module_comes_back_in_python(folder):
    import torch

    found = nas.Finding.read(folder).best()
    module = found.module()
    assert module(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert not module.training
    frame = nas.Finding.read(folder).frame()
    assert len(frame) >= 4


def test_train_takes_another_trial(folder, tmp_path, capsys):
    other = tmp_path / "run"
    shutil.copytree(folder, other)
    made = said(capsys, "train", other, "--best", "2", "--epochs", "1")
    assert 0 < made["test_accuracy"] <= 1
    assert made["epochs"] == 1


def test_rank_ranks_what_was_not_trained(folder, capsys):
    made = said(capsys, "rank", folder, "--sample", "300", "--top", "5")
    means = [row["mean"] for row in made["rows"]]
    assert means == sorted(means, reverse=True)
    assert len(means) == 5
    trained = {t["key"] for t in said(capsys, "show", folder)["trials"] if t["state"] == "done"}
    assert not trained & {row["key"] for row in made["rows"]}
    assert all(row["std"] > 0 for row in made["rows"])


def test_spaces_and_their_laws(tmp_path, capsys):
    from tests.test_spaces import own

    made = said(capsys, "spaces")
    assert {s["name"] for s in made["spaces"]} == {"nasbench201", "mobile"}
    for space in made["spaces"]:
        assert set(space) >= {"name", "settings", "choices", "size", "shares", "relaxes"}
    assert isinstance(made["spaces"][0]["size"], str), "beyond 2^53 an integer is written as a string"
    checked = said(capsys, "spaces", "check", own(tmp_path), "--input", "1,8,8", "--classes", "3")
    assert all(law["kept"] for law in checked["laws"])
    broken = "import nas\nfrom search_spaces.ops import *\n\ndef space(input, classes):\n"
    broken += "    w = nas.Choice('w', (8, 12))\n    s = nas.Sum.of(a=Conv(w), b=Conv(8))\n"
    broken += "    return nas.Space('s', nas.Chain.of(s=s, head=Classifier(classes)), input)\n"
    code, out, _ = typed(capsys, "spaces", "check", own(tmp_path, broken, "b.py"), "--input", "1,8,8", "--classes", "3")
    assert code == 2
    assert "BROKEN" in out
    assert "needs equal shapes" in out


def test_profile_is_exact_and_quick(capsys):
    made = said(capsys, "profile", "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|")
    assert (made["params"], made["macs"], made["classes"], made["input"]) == (559386, 78561920, 10, [3, 32, 32])
    assert made["params"] == sum(layer["params"] for layer in made["layers"])
    assert set(made["layers"][0]) >= {"name", "op", "out", "params", "macs", "activations"}
    assert made["seconds"] < 1
    other = said(capsys, "profile", "mobile", "--input", "1,28,28", "--classes", "7")
    assert other["classes"] == 7


def test_doctor_finds_this_machine_fine(capsys):
    assert said(capsys, "doctor")["fine"] is True


def test_dry_run_tells_the_cost_and_leaves_nothing(tmp_path, capsys):
    made = said(capsys, *SEARCH, "--trials", "6", "--dry-run", "--out", tmp_path / "r")
    assert made["seconds"] > 0
    assert made["memory_bytes"] > 1e7
    assert made["params"]["low"] <= made["params"]["high"]
    assert not (tmp_path / "r").exists()


def test_run_lists_and_runs_experiments(tmp_path, capsys):
    assert "aging_evolution" in said(capsys, "run")["experiments"]
    flags = [
        "--trials",
        "3",
        "--epochs",
        "1",
        "--channels",
        "4",
        "--executor",
        "local",
        "--workers",
        "1",
        "--out",
        tmp_path / "e",
    ]
    made = said(capsys, "run", "aging_evolution", *flags)
    assert made["experiment"] == "aging_evolution"
    assert set(made["evolution"]) == {"accuracy", "architecture"}
    code, out, _ = typed(capsys, "run", "aging_evolution", "--help")
    assert code == 0
    assert "--population" in out


def test_experiments_are_40_to_80_lines():
    for file in (HOME / "experiments").glob("[!_]*.py"):
        assert 40 <= len(file.read_text().splitlines()) <= 80, file


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


def command(*args):
    return [sys.executable, "-m", "nas", *map(str, args)]


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
