"""Training: its formulas, and how it chooses number format and layout."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nas.data.augment import Augment
from nas.data.part import Memory
from nas.errors import UserError
from nas.training import Recipe, fit, speed
from nas.training.descent import Average, descend, groups, optimiser
from nas.training.recipe import rate
from nas.training.speed import Speed, choose
from nas.training.steps import SPEED_FILE
from tests.trainings import CPU, INFO, RECIPE, TRAIN, Stop, net, silent, stop_after, train

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


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("given", [torch.contiguous_format, torch.channels_last])
def test_images_are_arranged_in_their_strides_as_well(channels: int, given: torch.memory_format) -> None:
    images = torch.rand(4, 6, 5, channels).permute(0, 3, 1, 2)
    images = images if given == torch.channels_last else images.flatten().view(4, channels, 6, 5)
    size = channels * 30
    flat, last = speed.arranged(images, torch.contiguous_format), speed.arranged(images, torch.channels_last)
    assert flat.stride() == (size, 30, 5, 1)
    assert last.stride() == (size, 1, 5 * channels, channels)
    assert torch.equal(flat, images)
    assert torch.equal(last, images)


def test_the_layout_reaches_the_convolutions() -> None:
    seen: list[bool] = []
    module = net()
    module[3].register_forward_hook(
        lambda layer, inner, outer: seen.append(outer.is_contiguous(memory_format=torch.channels_last))
    )
    for layout in ("contiguous", "channels_last"):
        train(module, recipe=replace(RECIPE, epochs=1, layout=layout, ema=0.0))
    assert seen == [False] * (len(seen) // 2) + [True] * (len(seen) // 2)


def test_channels_last_weights_go_down_as_contiguous_ones_do():
    made = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        for kind in ("sgd", "adamw"):
            generator = torch.Generator().manual_seed(0)
            conv = torch.nn.Conv2d(3, 5, 3, bias=False)
            conv.weight.data = torch.randn(5, 3, 3, 3, generator=generator).to(memory_format=layout)
            down = optimiser(conv, Recipe(optimiser=kind, epochs=1))
            for _ in range(3):
                conv.weight.grad = torch.randn(5, 3, 3, 3, generator=generator).to(memory_format=layout)
                descend(down)
            assert conv.weight.shape == conv.weight.grad.shape == (5, 3, 3, 3)
            assert conv.weight.is_contiguous(memory_format=layout)
            made[kind, layout] = conv.weight.detach()
    for kind in ("sgd", "adamw"):
        torch.testing.assert_close(made[kind, torch.contiguous_format], made[kind, torch.channels_last])
