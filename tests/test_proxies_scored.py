"""Proxies over architectures of a space, and `nas proxies`."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from nas.build import build
from nas.data import load
from nas.proxies import COUNTS, DATA_FREE, PROXIES, draw, scored
from nas.proxies.ranks import spearman
from nas.proxies.scoring import weight_seed
from nas.training import seeded
from nas.tree import Call, Choice, Cost, Node, TrainHead
from search_spaces import nasbench201, recurrent, shufflenet, vit_resnas
from search_spaces.ops import Classifier, Conv, Norm
from tests.commands import said, typed
from tests.tiny import drawn, space
from tests.tiny import small as mobile

CELLS = nasbench201((1, 8, 8), 10, cells=1, channels=4)
SMALL = ("--set", "cells=1", "--set", "channels=4")
FAST = ("synflow", "nwot", "fisher", "jacob_cov", "zen", "entropy")
NAMES = ("synflow", "nwot", "snip", "zico")


def digits(seed=0):
    return draw(load("digits"), seed=seed, size=8)


def threes(shape=(1, 8, 8), count=6):
    rng = torch.Generator().manual_seed(0)
    return [(torch.randn(count, *shape, generator=rng), torch.arange(count) % 3) for _ in range(2)]


def test_every_proxy_has_a_value_on_a_network_with_gates_and_train_heads():
    archs = drawn(mobile, 2)
    found = scored(mobile, archs, list(PROXIES), threes(), seed=0)
    assert np.isfinite(found.values).all(), found.why
    assert (found.seconds > 0).all()


@pytest.mark.parametrize(
    "made",
    [
        vit_resnas(
            (3, 16, 16), 3, embeds=((24,), (32,), (48,)), heads=((2,), (2,), (2,)), head_dims=(8, 8, 8),
            mlps=((48,), (64,), (96,)), blocks=(2, 2, 2), stem=4, patch=4,
        ),
        recurrent(classes=3),
        shufflenet((3, 16, 16), 3),
    ],
    ids=["attention", "recurrent", "shuffled"],
)  # fmt: skip
def test_other_kinds_of_networks_are_scored_too(made):
    found = scored(made, drawn(made, 1), FAST, threes(made.input, 3), seed=0)
    assert np.isfinite(found.values).all(), found.why


def test_the_order_of_architectures_changes_nothing():
    archs = drawn(CELLS, 5)
    there = scored(CELLS, archs, NAMES, digits(), seed=0)
    back = scored(CELLS, archs[::-1], NAMES, digits(), seed=0)
    assert np.array_equal(there.values, back.values[::-1], equal_nan=True)
    other = scored(CELLS, archs, NAMES, digits(), seed=1)
    assert not np.isclose(there.column("snip"), other.column("snip")).any()


def test_equal_networks_are_scored_once():
    cells = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
        "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
    ]
    found = scored(CELLS, [CELLS.parse(c) for c in cells], NAMES, digits(), seed=0)
    assert found.scored == 2
    assert np.array_equal(found.values[0], found.values[1])
    assert not np.array_equal(found.values[0], found.values[2])


def test_a_part_that_nothing_reads_keeps_its_parameters():
    cells = [
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|none~2|",
    ]
    found = scored(CELLS, [CELLS.parse(c) for c in cells], ["params", "synflow"], seed=0)
    assert found.scored == 2
    assert found.column("params")[0] < found.column("params")[1]


class _Breaks(torch.nn.Module):
    def forward(self, x):
        raise RuntimeError("this layer\nis broken")


@dataclass(frozen=True)
class Broken(Node):
    """A node whose module raises."""

    def call(self, shape):
        return Call.of(_Breaks)

    def out(self, shape):
        return shape

    def cost(self, shape):
        return Cost()


def test_one_bad_network_has_a_reason_and_ends_nothing():
    made = space(Conv(4), Choice.over("op", good=Norm(), bad=Broken()), shape=(1, 8, 8))
    archs = sorted(made, key=lambda a: a["op"])
    found = scored(made, archs, ["params", "nwot", "snip", "synflow"], threes(), seed=0)
    bad, good = found.values
    assert math.isfinite(bad[0])
    assert np.isnan(bad[1:]).all()
    assert np.isfinite(good[[0, 2, 3]]).all()
    assert found.why[0, "snip"] == "RuntimeError: this layer is broken"
    assert "no activation" in found.why[1, "nwot"]


def test_what_only_training_has_does_not_count():
    made = space(Conv(4), Norm(), TrainHead(Classifier(3)), shape=(1, 8, 8))
    (arch,) = made
    with seeded(weight_seed(arch, 0)):
        module = build(made.network(arch), made.input)
    used = [tensor for name, tensor in module.named_parameters() if "weight" in name and not name.startswith("2.")]
    kept = [tensor for tensor in used if tensor.dim() > 1]
    assert len(kept) == 2, "a convolution and the classifier"
    found = scored(made, [arch], ["l2_norm", "snip"], threes(), seed=0)
    assert found.column("l2_norm")[0] == pytest.approx(sum(float(w.detach().norm()) for w in kept), rel=1e-6)
    assert found.column("snip")[0] > 0


def test_a_batch_that_is_missing_is_no_bad_network():
    with pytest.raises(ValueError, match="nwot needs 1 batches"):
        scored(CELLS, drawn(CELLS, 1), ["params", "nwot"], seed=0)


def test_a_draw_is_that_of_its_seed_and_scaled():
    images, labels = digits()[0]
    again, _ = digits()[0]
    other, _ = digits(1)[0]
    assert images.shape == (8, 1, 8, 8)
    assert labels.shape == (8,)
    assert torch.equal(images, again)
    assert not torch.equal(images, other)
    whole = torch.cat([x for x, _ in draw(load("digits"), 8, seed=0, size=128)])
    assert abs(float(whole.mean())) < 0.1
    assert float(whole.std()) == pytest.approx(1, abs=0.1)


def test_spearman_leaves_out_what_is_missing():
    nan = float("nan")
    assert spearman(np.array([1.0, 2, 3, nan]), np.array([10.0, 20, 15, 0])) == pytest.approx(0.5)
    assert math.isnan(spearman(np.array([1.0, 1, 1]), np.array([1.0, 2, 3])))


def test_the_command_without_data_has_what_needs_none(capsys):
    made = said(capsys, "proxies", "nasbench201", *SMALL, "--sample", "5")
    assert [p["name"] for p in made["proxies"]] == list(DATA_FREE)
    assert len(made["rows"]) == 5
    assert made["networks_per_s"] > 0
    assert all(p["seconds"] > 0 and "spearman_macs" in p for p in made["proxies"])
    again = said(capsys, "proxies", "nasbench201", *SMALL, "--sample", "5")
    assert [r["scores"] for r in again["rows"]] == [r["scores"] for r in made["rows"]]


def test_the_command_with_data_puts_the_counts_first(capsys):
    code, out, _ = typed(
        capsys, "proxies", "nasbench201", *SMALL, "--data", "digits", "--names", "nwot,synflow", "--sample", "4",
        "--batch", "16",
    )  # fmt: skip
    assert code == 0
    head = out.splitlines()[0].split()
    assert head == [*COUNTS, "nwot", "synflow", "architecture"]
    assert "networks a second" in out
    assert "follows the size" in out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nasbench201", "--names", "nwot"), "needs images"),
        (("nasbench201", "--names", "nvot", "--data", "digits"), "did you mean nwot"),
        (("nasbench201", "--names", ""), "--names is empty"),
        (("nasbench201", "--sample", "0"), "--sample must be at least 1"),
        (("nasbench201", "--data", "digits", "--batch", "5000"), "give a smaller --batch"),
        (("accel_nasbench",), "no networks to build"),
        (("nasbench2O1",), "did you mean nasbench201"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(args, words, capsys):
    code, _, err = typed(capsys, "proxies", *args)
    assert code in (2, 3)
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_the_command_on_a_run_sets_scores_beside_accuracy(folder, capsys):
    made = said(capsys, "proxies", folder, "--names", "nwot,snip", "--batch", "16")
    assert made["run"] == str(folder)
    assert made["data"] == "digits"
    assert [p["name"] for p in made["proxies"]] == [*COUNTS, "nwot", "snip"]
    for one in made["proxies"]:
        assert one["tau"]["low"] <= one["tau"]["value"] <= one["tau"]["high"]
        assert one["tau"]["n"] == 4
    assert all("accuracy" in row for row in made["rows"])
    code, _, err = typed(capsys, "proxies", folder, "--data", "digits")
    assert code == 2
    assert "a run has its own data" in err


@pytest.mark.gpu
def test_a_gpu_gives_what_a_cpu_gives():
    names = [name for name in PROXIES if name not in ("ntk", "grasp")]
    archs = drawn(CELLS, 3)
    cpu = scored(CELLS, archs, names, digits(), seed=0)
    gpu = scored(CELLS, archs, names, digits(), seed=0, device="cuda")
    assert gpu.values == pytest.approx(cpu.values, rel=1e-2, nan_ok=True)
