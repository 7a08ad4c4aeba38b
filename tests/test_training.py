"""Training: the same numbers twice, and what happens when it is killed."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.build import build
from nas.data import join, load, load_test
from nas.errors import UserError
from nas.profile import profile
from nas.training import Diverged, Recipe, accuracy, checkpoint, fit, forget
from nas.training.steps import SPEED_FILE
from nas.tree import Chain, TrainHead
from search_spaces.ops import Classifier, ConvNormAct, DropPath
from search_spaces.ops.modules import PathDrop
from tests.trainings import CPU, INFO, LONG, RECIPE, TRAIN, VALIDATION, Stop, net, same, silent, stop_after, train


def test_an_auxiliary_head_is_trained_and_a_scheduled_part_reads_the_clock() -> None:
    head = TrainHead(Chain.of(drop=DropPath(0.5, scheduled=True), classify=Classifier(INFO.classes)))
    tree = Chain.of(stem=ConvNormAct(4), aux=head, classify=Classifier(INFO.classes))
    built, plain, recipe = build(tree, INFO.input), build(tree, INFO.input), replace(RECIPE, epochs=2)
    plain.load_state_dict(built.state_dict())
    before = {name: value.clone() for name, value in built.state_dict().items()}
    train(built, recipe=recipe)
    train(plain, recipe=replace(recipe, auxiliary=0))
    changed = {name for name, value in built.state_dict().items() if not torch.equal(value, before[name])}
    assert "aux.classify.linear.weight" in changed
    assert torch.equal(plain.state_dict()["aux.classify.linear.bias"], before["aux.classify.linear.bias"])
    assert not same(built, plain)  # the stem learns from the head
    assert isinstance(built(torch.zeros(1, *INFO.input)), torch.Tensor)
    assert 0.5 < built.get_submodule("aux.drop").get_buffer("progress") < 1
    assert (
        profile(tree, INFO.input).total
        == profile(Chain.of(stem=tree.items[0], classify=tree.items[2]), INFO.input).total
    )


def test_dropped_paths_keep_the_mean_and_whole_examples() -> None:
    drop, x = PathDrop(0.4, scheduled=True), torch.ones(20_000, 3)
    assert torch.equal(drop(x), x)  # at the start nothing is dropped
    drop.get_buffer("progress").fill_(0.5)
    made = drop(x)
    assert set(made.unique().tolist()) == {0.0, torch.tensor(1 / 0.8).item()}
    assert torch.equal(made[:, 0], made[:, 2])
    assert abs(made.mean().item() - 1) < 0.02
    assert torch.equal(drop.eval()(x), x)


# The same numbers


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_same_seed_same_numbers_other_seed_others(optimiser: Any) -> None:
    one, two, other = net(), net(), net()
    recipe = replace(RECIPE, optimiser=optimiser, epochs=2)
    first = train(one, recipe=recipe)
    torch.rand(3)
    second = train(two, recipe=recipe)
    train(other, recipe=recipe, seed=4)
    assert same(one, two)
    assert first.metrics == second.metrics
    assert not same(one, other)


def test_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    train(net(), recipe=replace(RECIPE, epochs=1))
    assert torch.equal(state, torch.get_rng_state())


def test_final_metrics_are_those_of_the_module_left() -> None:
    module = net()
    told: list[tuple[int, Mapping[str, float]]] = []
    fitted = train(module, report=lambda epoch, metrics: told.append((epoch, dict(metrics))))
    assert [epoch for epoch, _ in told] == [1, 2, 3, 4]
    assert told[-1][1] == fitted.metrics
    assert not module.training
    assert module.state_dict()["1.num_batches_tracked"] == 16
    assert accuracy(module, VALIDATION, INFO, device=CPU).items() <= fitted.metrics.items()


@pytest.mark.parametrize(
    "change",
    [{}, {"optimiser": "adamw", "ema": 0.0}, {"layout": "channels_last", "precision": "bf16"}],
    ids=["sgd", "adamw", "bf16"],
)
def test_resumed_equals_uninterrupted(tmp_path: Path, change: dict[str, Any]) -> None:
    recipe = replace(RECIPE, **change)
    whole, halves = net(), net()
    expected = train(whole, tmp_path / "whole", recipe)
    with pytest.raises(Stop):
        train(halves, tmp_path / "halves", recipe, stop_after(2))
    fresh = net()
    epochs: list[int] = []
    found = train(fresh, tmp_path / "halves", recipe, lambda epoch, metrics: epochs.append(epoch))
    assert epochs == [3, 4]
    assert same(whole, fresh)
    assert found.metrics == expected.metrics
    assert (found.precision, found.layout) == (expected.precision, expected.layout)
    again = net()
    assert train(again, tmp_path / "halves", recipe).metrics == expected.metrics
    assert same(whole, again)


CHILD = """
import sys, pathlib, torch
sys.path[:0] = [{tests!r}, {root!r}]
import trainings as here
torch.set_num_threads(int(sys.argv[2]))
print("ready", flush=True)
here.train(here.net(), pathlib.Path(sys.argv[1]), here.LONG)
print("done", flush=True)
"""


def test_killed_at_a_random_moment_equals_uninterrupted(tmp_path: Path) -> None:
    here = Path(__file__).resolve()
    code = CHILD.format(tests=str(here.parent), root=str(here.parents[1]))
    command = [sys.executable, "-c", code, str(tmp_path), str(torch.get_num_threads())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        while not (tmp_path / checkpoint.FILE).exists() and child.poll() is None:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.2))
        child.send_signal(signal.SIGKILL)
    resumed, whole = net(), net()
    epochs: list[int] = []
    found = train(resumed, tmp_path, LONG, lambda epoch, metrics: epochs.append(epoch))
    assert 0 < len(epochs) < LONG.epochs, "the kill came too late or too early to mean anything"
    assert found.metrics == train(whole, None, LONG).metrics
    assert same(resumed, whole)


# What goes wrong


def test_a_damaged_checkpoint_means_a_fresh_start(tmp_path: Path) -> None:
    whole = net()
    train(whole)
    for fault in ("cut", "flipped", "garbage", "other seed"):
        with pytest.raises(Stop):
            train(net(), tmp_path, report=stop_after(2), seed=9 if fault == "other seed" else 3)
        path = tmp_path / checkpoint.FILE
        content = bytearray(path.read_bytes())
        if fault == "cut":
            path.write_bytes(content[: len(content) // 2])
        elif fault == "flipped":
            place = content.find(b"PK\x07\x08", len(content) // 2) - 5
            content[place] ^= 64
            path.write_bytes(content)
        elif fault == "garbage":
            path.write_bytes(b"not a checkpoint")
        module = net()
        with pytest.warns(RuntimeWarning, match="starts afresh"):
            fitted = train(module, tmp_path)
        assert len(fitted.notes) == 1
        assert same(module, whole)
        forget(tmp_path)


def test_another_device_goes_on_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        train(net(), tmp_path, report=stop_after(2))
    saved, _ = checkpoint.read(tmp_path)
    assert saved is not None
    checkpoint.write(tmp_path, saved | {"device": "cuda"})
    epochs: list[int] = []
    with pytest.warns(RuntimeWarning, match="begun on cuda"):
        fitted = train(net(), tmp_path, report=lambda epoch, metrics: epochs.append(epoch))
    assert epochs == [3, 4]
    assert "not repeatable" in fitted.notes[0]


def test_a_full_disk_spares_the_earlier_checkpoint(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a device without space")
    with pytest.raises(Stop):
        train(net(), tmp_path, report=stop_after(1))
    before = (tmp_path / checkpoint.FILE).read_bytes()
    (tmp_path / checkpoint._DRAFT).symlink_to("/dev/full")
    with pytest.raises(UserError, match="no space left") as caught:
        train(net(), tmp_path)
    assert caught.value.code == 5
    assert (tmp_path / checkpoint.FILE).read_bytes() == before
    assert not (tmp_path / checkpoint._DRAFT).is_symlink()
    resumed, whole = net(), net()
    train(resumed, tmp_path)
    train(whole)
    assert same(resumed, whole)


def test_another_disk_error_is_not_called_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        train(net(), tmp_path / "file" / "folder")


def test_forget_leaves_no_checkpoint(tmp_path: Path) -> None:
    train(net(), tmp_path, replace(RECIPE, epochs=1))
    forget(tmp_path)
    forget(tmp_path)
    assert os.listdir(tmp_path) == [SPEED_FILE]  # noqa: PTH208


def test_divergence_stops_and_says_where(tmp_path: Path) -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.calls = net(), 0

        def forward(self, images: Tensor) -> Tensor:
            self.calls += self.training
            found: Tensor = self.inner(images)
            return found * (math.nan if self.calls > 6 else 1.0)

    with pytest.raises(Diverged, match="epoch 2 by step 8 of 16"):
        train(Breaks(), tmp_path)
    saved, _ = checkpoint.read(tmp_path)
    assert saved is not None
    assert saved["epoch"] == 1


def test_weights_that_break_in_the_last_step_are_found() -> None:
    module = net()
    module[9].register_full_backward_hook(lambda layer, inner, outer: (inner[0] * math.nan,))
    recipe = replace(RECIPE, epochs=1, batch_size=70)
    with pytest.raises(Diverged, match="epoch 1 by step 1 of 1"):
        fit(module, TRAIN, None, INFO, recipe, seed=0, device=CPU, folder=None, report=silent)


# It learns


def test_digits_are_learnt() -> None:
    data = load("digits", seed=0)
    module = net(classes=10, width=32)
    part = join(data.train, data.validation)
    recipe = Recipe(epochs=12)
    fit(module, part, None, data.info, recipe, seed=0, device=CPU, folder=None, report=silent)
    assert accuracy(module, load_test("digits", seed=0), data.info, device=CPU)["accuracy"] > 0.9
