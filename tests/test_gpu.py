"""What only a machine with a GPU can show; `pytest -m gpu` runs it there and says why it cannot elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.build import build
from nas.latency.timing import latency
from nas.training import Fitted, fit
from search_spaces import mobile
from tests.commands import typed
from tests.trainings import INFO, RECIPE, TRAIN, VALIDATION, Stop, net, same, silent, stop_after

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that torch sees"),
]
GPU = torch.device("cuda")


def train(module: torch.nn.Module, folder: Path | None = None, report=silent, **changes: object) -> Fitted:
    recipe = replace(RECIPE, **{"epochs": 4, **changes})
    return fit(module, TRAIN, VALIDATION, INFO, recipe, seed=3, device=GPU, folder=folder, report=report)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_same_seed_same_numbers(precision: str) -> None:
    one, two = net(), net()
    first, second = train(one, precision=precision), train(two, precision=precision)
    assert first.metrics == second.metrics
    assert same(one, two)


def test_a_training_that_was_stopped_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    whole, stopped, again = net(), net(), net()
    expected = train(whole)
    with pytest.raises(Stop):
        train(stopped, tmp_path, report=stop_after(2))
    assert train(again, tmp_path).metrics == expected.metrics
    assert same(whole, again)


def test_latency_is_measured_on_the_gpu() -> None:
    space = mobile((3, 64, 64), 10)
    arch = space.decide(lambda c: 0)
    assert 0 < latency(build(space.network(arch), space.input), space.input, GPU) < 0.1


def test_four_trials_share_a_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--space", "mobile", "--data", "digits", "--trials", "8", "--epochs", "2", "--final-epochs", "2"]
    code, out, _ = typed(capsys, "search", *flags, "--gpus-per-trial", "0.25", "--out", tmp_path / "run", "--json")
    assert code == 0
    assert json.loads(out)["trials"]["done"] == 8
    made = [json.loads(f.read_text()) for f in (tmp_path / "run" / "search").glob("*/training.json")]
    assert len(made) == 8
    assert all(m["device"] == torch.cuda.get_device_name() and m["images_per_second"] > 0 for m in made)
