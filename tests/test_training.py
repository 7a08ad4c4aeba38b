"""Training: its formulas, the same numbers twice, and what happens when it is killed."""

from __future__ import annotations

import copy
import errno
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.data import Info, join, load, load_test
from nas.data.augment import Augment
from nas.data.part import Memory
from nas.errors import UserError
from nas.training import Diverged, Fitted, Recipe, accuracy, checkpoint, fit, forget, seeded, speed
from nas.training.descent import Average, groups
from nas.training.recipe import rate
from nas.training.speed import Speed, choose
from nas.training.steps import SPEED_FILE

CPU = torch.device("cpu")
INFO = Info("toy", "toy", (1, 8, 8), 3, ("a", "b", "c"), {"train": 70, "validation": 30}, "0" * 16, (0.5,), (0.3,))
RECIPE = Recipe(epochs=4, batch_size=16, mixup=0.2, lr=0.02)


def toy(seed: int, size: int) -> Memory:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (size,), generator=generator)
    return Memory(torch.rand(size, 1, 8, 8, generator=generator) * (1 + labels[:, None, None, None]) / 3, labels)


TRAIN, VALIDATION = toy(1, 70), toy(2, 30)


def net(classes: int = 3, width: int = 8) -> nn.Module:
    with seeded(5):
        return nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(2 * width, classes),
        )


def silent(epoch: int, metrics: Mapping[str, float]) -> None:
    del epoch, metrics


def train(
    module: nn.Module,
    folder: Path | None = None,
    recipe: Recipe = RECIPE,
    report: Callable[[int, Mapping[str, float]], None] = silent,
    seed: int = 3,
) -> Fitted:
    return fit(module, TRAIN, VALIDATION, INFO, recipe, seed=seed, device=CPU, folder=folder, report=report)


def same(a: nn.Module, b: nn.Module) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


class Stop(Exception):
    pass


def stop_after(last: int) -> Callable[[int, Mapping[str, float]], None]:
    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == last:
            raise Stop

    return report


# The formulas


def test_rate_rises_linearly_and_falls_along_a_cosine() -> None:
    rates = [rate(step, 110, peak=2.0, warmup=10 / 110) for step in range(111)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.6])
    assert rates[9] == rates[10] == 2.0
    assert rates[60] == pytest.approx(1.0)
    assert rates[35] == pytest.approx(1 + math.cos(math.pi / 4))
    assert rates[110] == pytest.approx(0.0)
    assert rate(0, 1, peak=1.0, warmup=0.0) == 1.0
    assert rate(0, 1, peak=1.0, warmup=1.0) == 1.0


def test_norms_and_biases_do_not_decay() -> None:
    module = net()
    heavy, light = groups(module, 0.1)
    assert (heavy["weight_decay"], light["weight_decay"]) == (0.1, 0.0)
    names = {id(value): name for name, value in module.named_parameters()}
    assert [names[id(value)] for value in heavy["params"]] == ["0.weight", "3.weight", "9.weight"]
    assert len(heavy["params"]) + len(light["params"]) == len(names)
    module.requires_grad_(False)
    assert groups(module, 0.1) == []


def test_a_step_without_gradient_shrinks_weights_alone() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    before = copy.deepcopy(module.state_dict())
    images = Memory(torch.full((16, 1, 8, 8), 0.5), TRAIN.labels[:16])  # the mean: zero input, no gradient of weights
    recipe = Recipe(epochs=1, batch_size=16, lr=0.1, weight_decay=0.5, warmup=0, ema=0, clip=0, momentum=0)
    recipe = replace(recipe, augment=Augment())
    fit(module, images, None, INFO, recipe, seed=0, device=CPU, folder=None, report=silent)
    assert torch.allclose(module.state_dict()["1.weight"], before["1.weight"] * (1 - 0.1 * 0.5))
    # The bias moves by its gradient, softmax less the smoothed labels, and by nothing else.
    target = torch.full((16, 3), 0.1 / 3).scatter_(1, images.labels[:, None], 0.9 + 0.1 / 3)
    gradient = (before["1.bias"].softmax(0) - target).mean(0)
    assert torch.allclose(module.state_dict()["1.bias"], before["1.bias"] - 0.1 * gradient, atol=1e-6)


def test_train_loss_is_the_smoothed_cross_entropy() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    nn.init.zeros_(module[1].weight)
    bias = torch.tensor([1.0, 0.0, -1.0])
    module[1].bias.data.copy_(bias)
    recipe = Recipe(epochs=1, batch_size=70, label_smoothing=0.3)
    fitted = fit(module, TRAIN, None, INFO, recipe, seed=0, device=CPU, folder=None, report=silent)
    logs = bias.log_softmax(0)
    expected = -(0.7 * logs[TRAIN.labels] + 0.3 * logs.mean()).mean()
    assert fitted.metrics == {"train_loss": pytest.approx(float(expected), rel=1e-5)}


def test_average_follows_its_closed_form() -> None:
    module = nn.BatchNorm1d(1)
    average = Average(module, 0.6)
    expected = 1.0
    for step, value in enumerate([3.0, -2.0, 5.0, 0.5, 1.5, 8.0, 2.0, 4.0, 9.0, 1.0, 0.0, 3.0, 7.0]):
        nn.init.constant_(module.weight, value)
        module.running_mean.fill_(value)
        module.num_batches_tracked.fill_(step)
        average.update(step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    average.settle()
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)
    assert float(average.module.running_mean) == pytest.approx(expected - _first(0.6, 13), rel=1e-5)
    assert int(average.module.num_batches_tracked) == 12


def _first(decay: float, steps: int) -> float:
    """What is left of the first value: the weight began at 1, the running mean at 0."""
    return math.prod(min(decay, (1 + step) / (10 + step)) for step in range(steps))


def test_clipping_bounds_the_step() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    before = nn.utils.parameters_to_vector(module.parameters()).detach().clone()
    recipe = Recipe(epochs=1, batch_size=70, lr=1.0, momentum=0, weight_decay=0, warmup=0, clip=0.01, ema=0)
    fit(module, TRAIN, None, INFO, recipe, seed=0, device=CPU, folder=None, report=silent)
    after = nn.utils.parameters_to_vector(module.parameters()).detach()
    assert float((after - before).norm()) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"ema": 1.5}, {"lr": 0.0}, {"optimiser": "lion"}, {"warmup": -1}])
def test_a_wrong_recipe_names_its_fault(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(change))):
        Recipe(**change)


def test_a_recipe_is_plain_values() -> None:
    assert json.loads(json.dumps(Recipe().json()))["batch_size"] == 64


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
import test_training as here
torch.set_num_threads(int(sys.argv[2]))
print("ready", flush=True)
here.train(here.net(), pathlib.Path(sys.argv[1]), here.LONG)
print("done", flush=True)
"""
LONG = replace(RECIPE, epochs=80)


def test_killed_at_a_random_moment_equals_uninterrupted(tmp_path: Path) -> None:
    here = Path(__file__).resolve()
    code = CHILD.format(tests=str(here.parent), root=str(here.parents[1]))
    command = [sys.executable, "-c", code, str(tmp_path), str(torch.get_num_threads())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        while not (tmp_path / checkpoint.FILE).exists() and child.poll() is None:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.3))  # noqa: S311
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
    with pytest.raises(OSError) as caught:
        train(net(), tmp_path / "file" / "folder")
    assert caught.value.errno == errno.ENOTDIR


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
    with pytest.raises(Diverged, match="epoch 1"):
        train(module, recipe=replace(RECIPE, epochs=1, batch_size=70))


# Precision and layout


def test_short_trainings_stay_plain() -> None:
    module = net()
    state = copy.deepcopy(module.state_dict())
    assert choose(module, (16, 1, 8, 8), recipe=Recipe(), steps=100, device=CPU) == Speed()
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


def test_long_trainings_take_what_is_fastest_by_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {"fp32 contiguous": 2.0, "fp32 channels_last": 1.5, "bf16 channels_last": 1.0}
    monkeypatch.setattr(speed, "native_bf16", lambda device: True)
    monkeypatch.setattr(speed, "_step_seconds", lambda module, shape, way, device, **_: costs[speed._name(way)])
    module = net()

    def chosen(recipe: Recipe) -> str:
        return speed._name(choose(module, (16, 1, 8, 8), recipe=recipe, steps=100, device=CPU))

    assert chosen(Recipe()) == "bf16 channels_last"
    assert chosen(Recipe(precision="fp32")) == "fp32 channels_last"
    assert chosen(Recipe(layout="contiguous", precision="fp32")) == "fp32 contiguous"
    costs |= {"fp32 channels_last": 1.8, "bf16 channels_last": 1.9}
    assert chosen(Recipe()) == "fp32 contiguous"
    monkeypatch.setattr(speed, "native_bf16", lambda device: False)
    costs |= {"bf16 channels_last": 0.1}
    assert chosen(Recipe()) == "fp32 contiguous"


def test_the_choice_is_timed_and_recorded_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SHORT", 0.0)
    monkeypatch.setattr(speed, "GAIN", 0.0)
    with pytest.raises(Stop):
        train(net(), tmp_path, report=stop_after(2))
    record = json.loads((tmp_path / SPEED_FILE).read_bytes())["speed"]
    assert len(record["images_per_second"]) in (2, 3)
    assert record["layout"] == "channels_last"
    monkeypatch.setattr(speed, "GAIN", 1e9)
    assert train(net(), tmp_path).layout == "channels_last"


# It learns


def test_digits_are_learnt() -> None:
    data = load("digits", seed=0)
    module = net(classes=10, width=32)
    part = join(data.train, data.validation)
    recipe = Recipe(epochs=12)
    fit(module, part, None, data.info, recipe, seed=0, device=CPU, folder=None, report=silent)
    assert accuracy(module, load_test("digits", seed=0), data.info, device=CPU)["accuracy"] > 0.9
