"""The published networks: what they cost is what torch counts, also where one choice is another."""

import json
import time

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import nas
from nas import plugins
from nas.build import build
from nas.graph import graph
from nas.profile import profile
from tests.commands import typed

NAMES = sorted(plugins.catalogue())
ASKED = [
    "nasnet-a-mobile",
    "nasnet-a-large",
    "nasnet-a-cifar",
    "pnasnet-5-large",
    "darts-v1-cifar",
    "darts-v1-imagenet",
    "darts-v2-cifar",
    "pc-darts-cifar",
    "spos-block",
    "spos-channel",
    "ofa-w1.0-k7e6d4",
    "mobilenet-v2",
    "mobilenet-v3-large",
    "mobilenet-v3-small",
    "mnasnet-a1",
    "efficientnet-b0",
    "efficientnet-b1",
    "efficientnet-b2",
    "efficientnet-b3",
    "efficientnet-b4",
    "efficientnet-b5",
    "efficientnet-b6",
    "efficientnet-b7",
    "regnety-4gf",
    "deepmad-r18",
    "deepmad-r34",
    "deepmad-r50",
    "deepmad-29m",
    "deepmad-50m",
    "deepmad-89m",
    "vit-resnas-tiny",
    "vit-resnas-small",
    "vit-resnas-medium",
    "bossnet-t0",
    "resnet-18",
    "resnet-50",
]
LARGE = 100_000_000
"""Networks of more parameters are profiled, and not built."""


def torch_counts(network, shape):
    """Parameters and multiply-accumulates as torch finds them on the meta device; heads of train mode apart."""
    train = tuple(f"{op.path}." for op in graph(network, shape).ops if not op.counted)
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as flops:
        module = build(network, shape).eval()
        module(torch.empty(1, *shape))
    params = sum(p.numel() for name, p in module.named_parameters() if not train or not name.startswith(train))
    return params, flops.get_total_flops() // 2


def test_the_catalogue_holds_what_was_asked_for():
    assert set(ASKED) <= set(NAMES)
    assert len(NAMES) >= 40


HEAVY = {
    "amoebanet-a-large",
    "d-darts-edge-cifar-14",
    "d-darts-edge-cifar-20",
    "d-darts-sparse-cifar-14",
    "d-darts-sparse-cifar-20",
    "nasnet-a-large",
    "pnasnet-5-large",
}
"""Networks of so many operations that torch takes seconds to count them."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in HEAVY else ()) for n in NAMES])
def test_a_published_network_costs_what_torch_counts_and_so_does_its_neighbour(name):
    of = plugins.published(name)
    space, rng = of.own, np.random.default_rng(0)
    said = of.profile().total
    assert said.params > LARGE or (said.params, said.macs) == torch_counts(of.network(), space.input)
    other = next(
        a for _ in range(100) if profile(space.network(a := space.mutate(of.arch, rng)), space.input).total != said
    )
    found = profile(space.network(other), space.input).total
    assert (found.params, found.macs) != (said.params, said.macs)
    assert found.params > LARGE or (found.params, found.macs) == torch_counts(space.network(other), space.input)


def test_a_published_network_is_a_module_for_other_images_too():
    of = nas.published("resnet-18")
    module = of.module(input=(1, 32, 32), classes=7)
    assert module(torch.zeros(2, 1, 32, 32)).shape == (2, 7)
    assert of.space(classes=7).member(of.arch)


def test_the_command_lists_them_with_their_sources(capsys):
    code, out, _ = typed(capsys, "spaces", "--published", "--json")
    listed = json.loads(out)["published"]
    assert code == 0
    assert [p["name"] for p in listed] == NAMES
    keys = {"name", "space", "settings", "arch", "input", "classes", "params", "macs", "source", "read_from"}
    assert all(set(p) >= keys and p["source"] and p["read_from"] for p in listed)


def test_a_published_network_is_profiled_by_its_name(capsys):
    code, out, _ = typed(capsys, "profile", "resnet-18", "--input", "3,64,64", "--classes", "10", "--json")
    made = json.loads(out)
    assert code == 0
    assert made["name"] == "resnet-18"
    assert made["input"] == [3, 64, 64]
    assert made["classes"] == 10
    assert made["params"] == sum(x["params"] for x in made["layers"])


def test_an_unknown_name_offers_the_nearest(capsys):
    with pytest.raises(nas.UserError, match="did you mean resnet-18"):
        nas.published("resnet18")
    code, _, err = typed(capsys, "profile", "resnet18")
    assert code == 2
    assert "did you mean resnet-18" in err


def test_an_input_that_is_too_small_is_told_the_layer_and_the_smallest_size(capsys):
    code, _, err = typed(capsys, "profile", "nasnet-a-large", "--input", "3,2,2")
    assert code == 2
    assert "stem" in err
    side = int(err.split("3,")[-1].split(",")[0])
    assert typed(capsys, "profile", "nasnet-a-large", "--input", f"3,{side},{side}")[0] == 0
    assert typed(capsys, "profile", "nasnet-a-large", "--input", f"3,{side - 1},{side - 1}")[0] == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c | {"stage1.depth": 77}, "'stage1.depth' has no option 77 (it has"),
        (lambda c: c | {"stage9.depth": 1}, "no choice named 'stage9.depth'"),
        (lambda c: {k: v for k, v in c.items() if k != "stage1.depth"}, "does not say what 'stage1.depth' is"),
        (lambda c: c | {"stage1.depth": "two"}, "'stage1.depth' has no option two"),
    ],
)
def test_an_architecture_that_is_off_is_told_which_choice(change, words, capsys):
    of = plugins.published("resnet-18")
    text = json.dumps({"space": "resnet", "settings": dict(of.own.settings), "choices": change(dict(of.arch.labels))})
    code, _, err = typed(capsys, "profile", text)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_a_spelling_that_is_too_long_for_a_path_is_read(capsys):
    of = plugins.published("darts-v2-cifar")
    text = of.own.spell(of.arch)
    assert len(text) > 255
    code, out, _ = typed(capsys, "profile", text, "--space", "darts", "--json")
    assert code == 0
    assert json.loads(out)["arch"] == dict(of.arch.labels)
    assert typed(capsys, "show", text)[0] == 2


def test_nothing_is_built_to_profile():
    start = time.process_time()
    plugins.published("efficientnet-b7").profile()
    assert time.process_time() - start < 1
