"""From a user's own files to a model that runs where nas is not: on Ray, and with candidates that do their worst."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.commands import said, typed
from tests.test_spaces import MINE

ALONE = """
import sys
class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("nas", "search_spaces", "safetensors", "ray"):
            raise ImportError(f"{name} is barred")
sys.meta_path.insert(0, Barred())
import torch, model
x = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
network = model.load()
program = torch.export.load("model.pt2").module()
print(float((network(model.normalise(x)) - program(model.normalise(x))).abs().max()), model.CLASSES)
"""
WORST = """
import os, time
import nas, torch
from torch import nn
from search_spaces.ops import Classifier, Conv

class Worst(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.way, self.scale = way, nn.Parameter(torch.ones(1))
    def forward(self, x):
        if x.device.type == "meta":
            return x * self.scale
        if self.way == "raises":
            raise RuntimeError("a candidate of this kind")
        if self.way == "memory":
            torch.empty(2**50)
        if self.way == "hangs":
            time.sleep(1000)
        if self.way == "dies":
            os._exit(3)
        return x * self.scale * (float("nan") if self.way == "nan" else 1.0)

def space(input, classes):
    ways = ("fine", "raises", "memory", "hangs", "dies", "nan")
    worst = nas.Module.of(Worst, way=nas.Choice("way", ways))
    width = nas.Choice("width", (4, 6, 8))
    return nas.Space("worst", nas.Chain.of(stem=Conv(width), worst=worst, head=Classifier(classes)), input)
"""


def photos(folder, rng):
    """180 images of three colours and of different sizes, and one that cannot be read."""
    for name, colour in (("red", 0), ("green", 1), ("blue", 2)):
        (folder / name).mkdir(parents=True)
        for n in range(60):
            pixels = rng.integers(0, 90, (int(rng.integers(14, 30)), int(rng.integers(14, 30)), 3), dtype=np.uint8)
            pixels[..., colour] += 120
            Image.fromarray(pixels).save(folder / name / f"{n}.png")
    (folder / "red" / "torn.png").write_bytes(b"\x89PNG torn")
    return folder


@pytest.mark.ray
def test_own_images_and_own_module_on_ray_end_in_a_model_alone(tmp_path, capsys):
    data = photos(tmp_path / "photos", np.random.default_rng(0))
    (tmp_path / "my.py").write_text(MINE)
    flags = ["--space", f"{tmp_path / 'my.py'}:space", "--data", data, "--image-size", "16", "--epochs", "2"]
    made = said(capsys, "search", *flags, "--final-epochs", "8", "--trials", "3", "--out", tmp_path / "run")
    assert made.get("trials", made)["done"] == 3, made
    assert made["final"]["test_accuracy"] > 0.8
    folder = made["export"]["to"]
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    difference, classes = done.stdout.split(maxsplit=1)
    assert float(difference) < 1e-5
    assert "'red'" in classes
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert settings["data"] == str(data)


def test_the_worst_candidates_get_their_reasons(tmp_path, capsys):
    (tmp_path / "worst.py").write_text(WORST)
    flags = [
        "--space",
        f"{tmp_path / 'worst.py'}:space",
        "--data",
        "digits",
        "--executor",
        "local",
        "--trial-timeout",
        "8",
    ]
    more = ["--epochs", "1", "--final-epochs", "1", "--trials", "18", "--strategy", "random", "--seed", "1"]
    made = said(capsys, "search", *flags, *more, "--workers", "2", "--out", tmp_path / "run")
    trials = said(capsys, "show", tmp_path / "run")["trials"]
    expected = {"fine": "", "raises": "error", "memory": "memory", "hangs": "timeout", "dies": "died", "nan": "nan"}
    ended = [t for t in trials if t["state"] in ("done", "failed")]
    assert {t["arch"]["way"] for t in ended} == set(expected)
    for trial in ended:
        assert trial["reason"] == expected[trial["arch"]["way"]], trial
        assert trial["state"] == ("failed" if expected[trial["arch"]["way"]] else "done")
    assert made["best"]["arch"]["way"] == "fine"
    _, out, _ = typed(capsys, "show", tmp_path / "run")
    assert "a candidate of this kind" in " ".join(out.split())


def test_a_latency_limit_is_measured_before_training(tmp_path, capsys):
    flags = [
        "--space",
        "nasbench201",
        "--set",
        "cells=1",
        "--set",
        "channels=4",
        "--data",
        "digits",
        "--executor",
        "local",
    ]
    more = ["--epochs", "1", "--final-epochs", "1", "--trials", "2", "--workers", "1"]
    made = said(capsys, "search", *flags, *more, "--max", "latency=1s", "--out", tmp_path / "loose")
    trials = said(capsys, "show", tmp_path / "loose")["trials"]
    assert all(0 < t["metrics"]["latency_s"] < 1 for t in trials if t["state"] == "done")
    assert made["trials"]["done"] == 2
    code, _, err = typed(capsys, "search", *flags, *more, "--max", "latency=1us", "--out", tmp_path / "tight")
    assert code == 3
    assert "infeasible" in err
    reasons = {t["reason"] for t in said(capsys, "show", tmp_path / "tight")["trials"] if t["state"] == "infeasible"}
    assert any("latency" in reason and "0.001 ms" in reason for reason in reasons)
