"""`nas search --supernet`: one training, inherited ratings, a check, and a network trained on all images."""

import json

import pytest

from nas import searching
from nas.errors import UserError
from nas.finding import Finding
from nas.handover import hand_over
from nas.oneshot import told
from nas.options import Options
from nas.settle import settle
from nas.training.rules import RULES
from tests.commands import typed
from tests.inline import Here

SMALL = {"widths": [4], "multipliers": [1.0], "depths": [1, 2], "kernels": [1, 3], "expands": [1, 2], "head": 8}


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(searching, "make_executor", lambda *args, **more: Here())
    Here.names = []
    return Here


def settings(**more):
    asked = {
        "space": "mobile",
        "space_settings": SMALL,
        "data": "digits",
        "epochs": 4,
        "final_epochs": 1,
        "images": 200,
    }
    return settle(**{**asked, "supernet": "uniform", **more})


def test_a_search_trains_one_supernet_rates_checks_and_trains_the_best(here, tmp_path):
    how = Options(trials=6, executor="local", workers=1, baseline="random", check=4)
    finding = searching.start(settings(), how, out=tmp_path / "run")
    assert sum(name.endswith("/ supernet") for name in here.names) == 1
    assert (tmp_path / "run/supernet/weights.safetensors").is_file()
    assert finding.run.counts()["done"] + finding.run.counts()["repeat"] >= 6
    check = finding.run.store.fact("check")
    assert check["networks"] == 4
    assert "counting" in told(check)
    assert finding.best().test["test_accuracy"] > 0
    exported = hand_over(finding, finding.best())
    assert exported["proved"]
    before = len(here.names)
    again = searching.start(settings(), how, out=tmp_path / "run")
    assert len(here.names) == before  # nothing is done twice
    assert again.frame().equals(finding.frame())
    rated = next(t for t in finding.ranked(9) if t.arch != finding.best().trial.arch)
    with pytest.raises(UserError, match="rated by the supernet") as refused:
        Finding.read(tmp_path / "run").trial(rated.id).module()
    assert "nas train" in refused.value.fix


def test_a_supernet_is_another_run_than_none_and_an_old_run_keeps_its_name(here):
    assert settings().hash != settings(supernet="").hash
    plain = settings(supernet="")
    without = {k: v for k, v in plain.json().items() if k != "supernet"}
    assert type(plain).from_json(without).hash == plain.hash


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--space", "nasbench101"], "cannot share weights: the channels of a vertex"),
        (["--supernet", "unfair"], "no path rule is called 'unfair'"),
        (["--check", "2"], "--check must be 0, or at least 4"),
        (["--supernet", "", "--check", "8"], "--check says what a supernet is worth"),
    ],
)
def test_bad_input_gets_one_line(capsys, args, line, tmp_path):
    base = ["search", "--data", "digits", "--out", str(tmp_path / "run"), "--json"]
    given = [*base, *(() if "--supernet" in args else ("--supernet", "uniform")), *args]
    code, out, _ = typed(capsys, *given)
    assert code == 2
    assert line in json.loads(out)["error"]


def test_the_help_names_every_rule(capsys):
    _, out, _ = typed(capsys, "search", "--help")
    assert all(rule in out for rule in RULES)
