"""The commands as a user types them: what they print, and their JSON."""

import json
import shutil
import time
from pathlib import Path

import nas
from nas.cli import run
from nas.cli.commands import COMMANDS, command
from search_spaces import SPACES
from tests.commands import HOME, SEARCH, said, typed


def test_every_command_has_help_with_an_example(capsys):
    for name, (_, what) in COMMANDS.items():
        code, out, _ = typed(capsys, name, "--help")
        assert code == 0
        assert command(name).__doc__.splitlines()[0] == what
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


def test_rank_ranks_what_was_trained_and_what_was_not(folder, capsys):
    made = said(capsys, "rank", folder, "--sample", "100", "--top", "100")
    means = [row["mean"] for row in made["rows"]]
    assert means == sorted(means, reverse=True)
    assert made["predictor"] == "auto"
    trained = {t["key"] for t in said(capsys, "show", folder)["trials"] if t["state"] == "done"}
    assert {row["key"] for row in made["rows"] if row["measured"] is not None} == trained
    assert len(made["rows"]) > 50


def test_spaces_and_their_laws(tmp_path, capsys):
    from tests.test_spaces import own

    made = said(capsys, "spaces")
    assert {s["name"] for s in made["spaces"]} == set(SPACES)
    for space in made["spaces"]:
        assert set(space) >= {"name", "settings", "choices", "size", "shares", "relaxes"}
    assert any(isinstance(s["size"], str) for s in made["spaces"]), "beyond 2^53 an integer is written as a string"
    checked = said(capsys, "spaces", "check", own(tmp_path), "--input", "1,8,8", "--classes", "3")
    assert all(law["kept"] for law in checked["laws"])
    broken = "import nas\nfrom search_spaces.ops import *\n\ndef space(input, classes):\n"
    broken += "    w = nas.Choice('w', (8, 12))\n    s = nas.Sum.of(a=Conv(w), b=Conv(8))\n"
    broken += "    return nas.Space('s', nas.Chain.of(s=s, head=Classifier(classes)), input)\n"
    code, out, _ = typed(capsys, "spaces", "check", own(tmp_path, broken, "b.py"), "--input", "1,8,8", "--classes", "3")
    assert code == 2
    assert "BROKEN" in out
    assert "needs equal shapes" in out


def test_train_takes_any_network(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = SPACES["nasbench201"]((1, 8, 8), 10, cells=1, channels=4)
    arch = next(iter(space))
    file = {"space": space.name, "settings": {"cells": 1, "channels": 4}, "choices": dict(arch.labels)}
    file["choices"]["node3.from0"] = "nor_conv_3x3"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "architecture.json").write_text(json.dumps(file))
    made = said(capsys, "train", "mine", "--data", "digits", "--epochs", "1", "--executor", "local")
    assert made["trials"]["done"] == 1
    assert made["final"]["test_accuracy"] > 0
    assert Path(made["export"]["model"]).is_file()
    assert typed(capsys, "train", "mine", "--data", "digits", "--trial", "2")[0] == 2
    assert "nas train resnet-18 --data DATA" in typed(capsys, "train", "resnet-18")[2]


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
    assert len(said(capsys, "show", tmp_path / "e", "--study", "random")["trials"]) >= 3
    assert said(capsys, "status", tmp_path / "e")["counts"]["evolution"]["done"] == 3
    code, _, err = typed(capsys, "export", tmp_path / "e")
    assert code == 2
    assert "is a run of the experiment aging_evolution" in err
    code, out, _ = typed(capsys, "run", "aging_evolution", "--help")
    assert code == 0
    assert "--population" in out


def test_experiments_are_40_to_80_lines():
    for file in (HOME / "experiments").glob("[!_]*.py"):
        assert 40 <= len(file.read_text().splitlines()) <= 80, file
