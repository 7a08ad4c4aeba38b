"""Residual networks: what a setting changes, what it may not, and how a placing of poolings is written."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
import torch

from nas.build import build
from nas.errors import UserError
from nas.export import prove
from nas.plugins import published, space
from nas.profile import profile
from nas.testing.spaces import sizes
from search_spaces.deepmad import deepmad_mobile, deepmad_resnet
from search_spaces.ops.resnet_modules import ChannelPad
from search_spaces.pooling import pooling
from search_spaces.resnet import resnet
from search_spaces.resnet50d import resnet50d
from tests.exports import tidy, written

SMALL = {"stem": "cifar", "widths": ((4, 6), (6, 8)), "depths": ((1,), (1, 2))}


def labels(*widths, depth=1):
    made = {f"stage{s}.width": w for s, w in enumerate(widths, 1)}
    return made | {"stage1.depth": 1, "stage2.depth": depth}


@pytest.mark.parametrize("kind", ["projection", "pooled", "bare", "padded"])
def test_a_supernet_has_the_same_keys_whether_or_not_two_widths_are_equal(kind):
    own = resnet((3, 8, 8), 3, shortcuts=kind, **SMALL)
    equal, other = (sizes(own.network(own.read(labels(*w))), own) for w in ((6, 6), (4, 8)))
    assert set(equal) == set(other)


def test_the_input_is_added_where_a_squeeze_block_keeps_the_channels():
    own = deepmad_mobile((3, 8, 8), 3, (2, 2), (8,), ((8, 16), (16,)), ((24,), (24,)), (3,), ((2,), (1,)), head=8)
    keeps, widens = (own.network(own.read({**dict(_first(own).choices), "stage1.channels": c})) for c in (8, 16))
    paths = [[op.path for op in _ops(net, own) if op.kind == "sum"] for net in (keeps, widens)]
    assert paths == [["stage1.block1.sum", "stage1.block2.sum"], ["stage1.block2.sum", "stage2.block1.sum"]]
    assert set(sizes(keeps, own)) == set(sizes(widens, own))


def _first(own):
    return next(iter(own))


def _ops(network, own):
    from nas.graph import graph

    return graph(network, own.input).ops


def test_padding_keeps_the_first_channels_and_appends_zeros():
    x = torch.arange(6.0).reshape(1, 3, 1, 2)
    assert torch.equal(ChannelPad(2)(x), x[:, :2])
    assert torch.equal(ChannelPad(5)(x), torch.cat([x, torch.zeros(1, 2, 1, 2)], 1))


def test_inner_widths_are_chosen_block_by_block():
    own = resnet((3, 8, 8), 3, "bottleneck", **SMALL, inner=((2, 3), (2, 4)))
    assert own.size == 2 * 2 * 2 * (2 + 4)  # two widths, one block in stage 1, one or two in stage 2
    assert "stage2.block2.inner" in own.choices


def test_the_default_holds_the_networks_of_the_paper():
    for name, block in (("resnet-18", "basic"), ("resnet-34", "basic"), ("resnet-50", "bottleneck")):
        assert resnet(block=block).member(published(name).arch)
    for name in ("r18", "r34", "r50"):
        assert deepmad_resnet().member(published(f"deepmad-{name}").arch)


def test_once_for_all_counts_its_networks():
    own = resnet50d()
    blocks = prod(sum(3 ** (b + d) for d in range(3)) for b in (2, 2, 4, 2))
    assert own.size == 3 ** (2 + 4) * 2 * blocks
    assert own.choices["stem.inner"].options == (24, 24, 32)
    assert own.choices["stage2.width"].options == (336, 408, 512)
    assert own.choices["stage3.depth"].options == (4, 5, 6)


def test_a_placing_is_written_as_the_lengths_between_its_poolings():
    own = pooling()
    assert own.parse("[4, 3, 3]").labels == {"pool1.before": 4, "pool2.before": 7}
    assert [own.spell(arch) for arch in own][:3] == ["[1,1,8]", "[1,2,7]", "[1,3,6]"]
    for text in ("4,3,3", "[4,3]", "[4,3,4]", "[0,5,5]", "[4,3,x]", "[4,3,3"):
        with pytest.raises(ValueError, match=r"3 positive lengths that add up to 10, as in \[1,1,8\]"):
            own.parse(text)
    with pytest.raises(ValueError, match="refuses"):
        own.read({"pool1.before": 5, "pool2.before": 5})


@pytest.mark.parametrize(("by", "block"), [("pool", "basic"), ("stride", "basic"), ("stride", "bottleneck")])
def test_a_placing_changes_no_parameter(by, block):
    own = pooling((3, 16, 16), 3, block, (2, 4), (2, 2), 3, by)
    shapes = [sizes(own.network(arch), own) for arch in own]
    assert all(s == shapes[0] for s in shapes)
    outs = {profile(own.network(arch), own.input).total.macs for arch in own}
    assert len(outs) > 1
    last = [[op.shape for op in _ops(own.network(arch), own) if op.path.startswith("units")][-1] for arch in own]
    assert {shape[1:] for shape in last} == {(2, 2)}


def test_a_norm_without_statistics_answers_by_its_batch():
    own = pooling((3, 8, 8), 3, widths=(2, 4), depths=(1, 1), poolings=1, norm="plain")
    module = build(own.network(next(iter(own))), own.input).eval()
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(module(x)[:2], module(x[:2]), atol=1e-3)
    assert not list(module.buffers())


@pytest.mark.parametrize(
    ("name", "settings", "what"),
    [
        ("resnet", {"block": "dense"}, "block of resnet is 'dense'; it may be basic, bottleneck"),
        ("resnet", {"shortcuts": "none"}, "it may be projection, pooled, bare, padded"),
        ("resnet", {"widths": ((8,), (16,))}, "2 stages by its widths and 4 by its depths"),
        ("pooling", {"by": "luck"}, "by of pooling is 'luck'; it may be pool, stride"),
        ("pooling", {"poolings": 10}, "10 poolings; give a depth for each width"),
        ("deepmad_resnet", {"depths": ((1, 2),)}, "5 super-blocks by its strides and 1 by its depths"),
    ],
)
def test_a_setting_that_is_off_is_named(name, settings, what):
    with pytest.raises(UserError, match=what):
        space(name, **settings)


def test_exports_make_what_the_networks_make(tmp_path):
    rng, made = np.random.default_rng(0), []
    spaces = (
        resnet((3, 9, 8), 3, shortcuts="padded", **SMALL),
        resnet50d((3, 33, 32), 3, widths=(16, 32), blocks=(1, 1), depths=(0, 1), stem=16),
        deepmad_mobile((3, 15, 16), 3, (2, 1), (8,), ((8, 16), (8, 12)), ((24,), (48, 96)), (3,), ((2,), (2,)), head=8),
        pooling((3, 16, 16), 3, "bottleneck", (2, 4), (2, 2), 3, "stride", "plain"),
    )
    for own in spaces:
        network = own.network(own.sample(rng))
        made.append((written(network, own.input, tmp_path / own.name, own.name), profile(network, own.input).total))
    for (folder, cost), found in zip(made, prove([folder for folder, _ in made]), strict=True):
        assert found["model.py"] <= 1e-5, folder
        assert (found["params"], found["macs"]) == (cost.params, cost.macs), folder
    tidy(tmp_path)
