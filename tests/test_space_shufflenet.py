"""The space of Single Path One-Shot, beyond the laws and the published counts."""

import pickle

import numpy as np
import pytest
import torch

from nas.graph import graph
from nas.profile import profile
from search_spaces import shufflenet
from search_spaces.ops.shuffle import Channels
from search_spaces.shufflenet import SCALES
from tests.references.family_shufflenet import uniform

SMALL = {"stem": 4, "widths": (8, 12), "depths": (2, 1), "head": 8}


def test_two_halves_are_those_of_a_shuffle_in_two_groups():
    x = torch.arange(2 * 8 * 3 * 3).reshape(2, 8, 3, 3)
    halves = x.reshape(8, 2, 9).permute(1, 0, 2).reshape(2, 2, 4, 3, 3)
    for start in (0, 1):
        assert torch.equal(Channels(start, None, 2).call((8, 3, 3))()(x), halves[start])


def test_a_block_passes_half_of_its_input_on():
    space = shufflenet((3, 16, 16), 3, **SMALL)
    flat = graph(space.network(space.parse("[0, 3, 1]")), space.input)
    ends = [op.path for op in flat.ops if op.kind == "concat"]
    assert ends == ["block1.shuffle3x3", "block2.xception", "block3.shuffle5x5"]
    (end,) = [op for op in flat.ops if op.path == ends[1] and op.kind == "concat"]
    assert flat.ops[end.inputs[0]].path == "block2.xception.proj"
    assert [flat.ops[i].shape[0] for i in end.inputs] == [4, 4]


def test_it_is_spelled_as_its_authors_do():
    space = shufflenet(**SMALL)
    arch = space.parse("(2, 1, 0)")
    assert space.spell(arch) == "[2, 1, 0]"
    wide = shufflenet(**SMALL, scales=SCALES)
    both = wide.parse("[2,1,0] [0, 7, 4]")
    assert both.labels == {**arch.labels, "block1.scale": 0.2, "block2.scale": 1.6, "block3.scale": 1.0}
    assert wide.parse(wide.spell(both)) == both
    for one, text in (
        (space, "2 1 0"),
        (space, "[2, 1]"),
        (space, "[2, 1, 4]"),
        (space, "[2, 1, 0] [0, 7, 4]"),
        (wide, "[2, 1, 0]"),
        (wide, "[2, 1, 0] [0, 7, 8]"),
    ):
        with pytest.raises(ValueError, match="is no network of shufflenet; one is .3 numbers below 4"):
            one.parse(text)


def test_it_relaxes_where_its_widths_are_fixed():
    assert not shufflenet().relaxes
    assert "number" in shufflenet(scales=SCALES).relaxes


def test_widths_that_cannot_be_split_are_refused():
    with pytest.raises(ValueError, match="must be even"):
        shufflenet(widths=(64, 161, 320, 640))
    with pytest.raises(ValueError, match="wider than what it reads, got 16 after 16"):
        shufflenet(widths=(16, 160, 320, 640))


def test_a_scale_changes_a_block_alone():
    space = shufflenet((3, 16, 16), 3, **SMALL, scales=(0.5, 1.0))
    one, other = (profile(space.network(space.parse(f"[0, 3, 1] [1, {k}, 1]")), space.input) for k in (0, 1))
    differ = {a.name.split(".")[0] for a, b in zip(one.layers, other.layers, strict=True) if a != b}
    assert differ == {"block2"}
    assert one.total.params < other.total.params


def test_kernels_cost_what_the_depthwise_convolutions_do():
    costs = [sum(layer.cost.macs for layer in uniform(k).layers if layer.op == "Depthwise") for k in range(3)]
    assert costs[1] * 9 == costs[0] * 25
    assert costs[2] * 9 == costs[0] * 49


def test_the_space_travels():
    space = shufflenet(**SMALL, scales=SCALES)
    arch = space.sample(np.random.default_rng(3))
    other = pickle.loads(pickle.dumps(space))
    assert other.network(arch) == space.network(arch)
    assert other.spell(arch) == space.spell(arch)
