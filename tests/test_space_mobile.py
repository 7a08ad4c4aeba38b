"""The mobile spaces: what their words mean, and that published networks are themselves elsewhere."""

import pytest
import torch

from nas import plugins
from nas.build import build
from nas.profile import profile
from nas.tree import Chain
from search_spaces import efficientnet, fbnet, mnasnet, mobilenet, ofa
from search_spaces.catalogue import efficientnet as scales
from search_spaces.ops import MBConv
from search_spaces.ops.residual import ChannelShuffle
from search_spaces.ops.resize import Resize


def names(network, shape):
    return [layer.name for layer in profile(network, shape).layers]


def test_without_expansion_there_is_no_expanding_convolution_and_with_one_of_1_there_is():
    keys = [names(MBConv(8, 3, expand), (8, 6, 6)) for expand in (None, 1, 6)]
    assert keys[1] == keys[2] == ["body.expand", "body.norm1", "body.act1", *keys[0]]


def test_the_hidden_width_is_in_multiples_of_the_divisor():
    def hidden(divisor):
        return profile(MBConv(8, 3, 2.3, divisor=divisor), (8, 6, 6)).layers[0].out[0]

    assert [hidden(d) for d in (1, 8, 16)] == [18, 24, 32]  # 16 is less than 90 % of 18


@pytest.mark.parametrize("groups", [1, 2])
def test_groups_divide_both_pointwise_convolutions(groups):
    layers = {x.name: x for x in profile(MBConv(8, 3, 3, groups=groups), (8, 6, 6)).layers}
    assert [layers[f"body.{n}"].cost.params for n in ("expand", "project")] == [8 * 24 // groups] * 2
    assert ("body.shuffle" in layers) == (groups > 1)


def test_a_shuffle_deals_the_channels_out_and_needs_groups_that_divide_them():
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert build(ChannelShuffle(2), (6, 1, 1))(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    with pytest.raises(ValueError, match="4 groups do not divide 6 channels"):
        build(ChannelShuffle(4), (6, 1, 1))


def test_a_dropped_body_leaves_the_input_in_train_mode_alone():
    module, x = build(MBConv(4, 3, 2, drop=0.999999), (4, 5, 5)), torch.ones(2, 4, 5, 5)
    assert torch.equal(module.train()(x), x)
    assert not torch.equal(module.eval()(x), x)


def test_an_image_is_resized_to_a_square():
    node = Chain.of(resize=Resize(4), block=MBConv(4, 3, 2))
    assert profile(node, (3, 9, 7)).out == (4, 4, 4)
    flat = build(Resize(4), (3, 9, 7))(torch.ones(1, 3, 9, 7))
    assert torch.allclose(flat, torch.ones(1, 3, 4, 4))


def test_a_resolution_costs_what_that_input_costs():
    of = plugins.published("ofa-w1.0-k3e3d2")
    space = of.space(resolutions=(128, 224))
    resized = space.network(space.read({**of.arch.labels, "resolution": 128}))
    assert profile(resized, space.input).total == of.profile(input=(3, 128, 128)).total


@pytest.mark.parametrize("name", ["mobilenet-v3-small", "mnasnet-small", "efficientnet-b0", "fbnet-c", "ofa-lg-24"])
def test_a_published_network_keeps_its_strides_for_small_images(name):
    at = {side: plugins.published(name).profile(input=(1, side, side), classes=3).layers for side in (32, 224)}
    convs = {side: [x.out[1:] for x in layers if x.op in {"Conv", "Depthwise"}] for side, layers in at.items()}
    assert [(-(-h // 7), -(-w // 7)) for h, w in convs[224]] == convs[32]


def test_b7_is_b0_at_another_scale():
    b0, b7 = (plugins.published(f"efficientnet-b{n}") for n in (0, 7))
    assert b0.arch == b7.arch
    for n, (width, depth, side, dropout) in enumerate(scales.SCALES):
        space = efficientnet((3, side, side), width=width, depth=depth, dropout=dropout)
        scaled = profile(space.network(b0.arch), space.input).total
        assert scaled == plugins.published(f"efficientnet-b{n}").profile().total


def test_fbnet_has_9_to_the_22_and_a_skip_that_changes_the_shape_is_a_convolution():
    assert fbnet().size == 9**22
    space = fbnet(stages=((8, 2, 2),), stem=8)
    layers = names(space.network(space.read({"layer1": "skip", "layer2": "skip"})), space.input)
    assert [name for name in layers if name.startswith("layer")] == [
        f"layer1.skip.{part}" for part in ("conv", "norm", "act")
    ]


def test_a_block_of_mnasnet_has_432_choices():
    one = {"filters": (64,), "layers": (4,), "strides": (2,)}
    assert mnasnet(**one).size == (2 + 2) * 2 * 2 * 3 * 3 * 3 == 432  # mbconv has two expansions
    assert mnasnet(**one, ops=("mbconv",), skips=("identity",)).size == 2 * 2 * 2 * 3 * 3


def test_squeezes_measure_what_the_papers_measure():
    """The block's input in MnasNet (Tan et al. 2019), the hidden width in MobileNetV3 (Howard et al. 2019)."""

    def squeezed(name, block):
        node = next(
            x for x in plugins.published(name).profile().layers if x.name.startswith(block) and "se25" in x.name
        )
        c = node.out[0]
        return (node.cost.params - c) // (2 * c + 1), c

    assert squeezed("mnasnet-a1", "block3.layer2") == (10, 120)
    assert squeezed("mobilenet-v3-large", "stage3.block2") == (32, 120)


def test_a_width_that_two_multipliers_share_is_one_option():
    assert mobilenet().choices["stage1.width"].options == (8, 16)
    half = mobilenet(width=0.5).choices["stage2.width"]
    assert (half.options, half.labels) == ((8, 16), (16, 24))


@pytest.mark.parametrize(
    ("make", "settings", "words"),
    [
        (mnasnet, {"ops": ("conv", "dense")}, "no operation is called 'dense'; there are conv, sepconv, mbconv"),
        (mnasnet, {"skips": ("max",)}, "no skip is called 'max'; there are none, identity, pool"),
        (fbnet, {"candidates": ("k3_e1", "e6")}, "no candidate is called 'e6'; one is skip"),
        (ofa, {"macro": "resnet"}, "no macro is called 'resnet'; there are mobilenetv3, proxyless"),
    ],
)
def test_an_unknown_word_is_named_with_those_that_there_are(make, settings, words):
    with pytest.raises(ValueError, match=words):
        make(**settings)
