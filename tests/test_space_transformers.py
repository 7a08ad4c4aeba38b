"""Vision transformers and the fabric of BossNet: their texts, what they share, and what they compute."""

from math import prod
from time import process_time

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nas import plugins
from nas.build import build
from nas.profile import profile
from nas.testing import space_laws
from nas.tree import Chain, Sum
from search_spaces import dna, hytra, vit_resnas
from search_spaces.ops.attention import ClassToken, SelfAttention, Tokens
from search_spaces.ops.conv import Conv
from search_spaces.ops.vit_blocks import SpatialReduction

TINY = "((4, 176), (1, (176, 3, 32), (176, 704), 1)"


def test_the_tiny_super_net_has_as_many_architectures_as_its_options_make():
    stage = prod([4 * 7] * 3) * prod([1 + 4 * 7] * 3)
    assert vit_resnas().size == 5**3 * stage**3


def test_a_skipped_block_is_written_with_a_zero_and_a_missing_one_is_the_last_that_may_be():
    of = plugins.published("vit-resnas-tiny")
    text = of.own.spell(of.arch)
    assert text.startswith(TINY)
    assert text.count("), 0)") == 2
    assert [name for name, label in of.arch.choices if label == "skip"] == [
        "stage1.block6.layer",
        "stage3.block6.layer",
    ]
    other = of.own.parse(text.replace("(1, (176, 3, 32), (176, 576), 1)", "(1, (176, 0, 32), (176, 0), 0)", 1))
    assert other["stage1.block2.layer"] == "skip"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("17", "no network of vit_resnas"),
        ("((4, 176),", "no network of vit_resnas"),
        ("((4, 176), (2, 176, 1000))", "3 to 6 blocks, not 0"),
        ("change heads", "have 32 features, not 48"),
        ("skip a whole one", "block 1 of stage 1 cannot be skipped"),
    ],
)
def test_a_text_that_is_no_transformer_is_refused(text, words):
    of = plugins.published("vit-resnas-tiny")
    changes = {
        "change heads": ("(176, 3, 32)", "(176, 3, 48)"),
        "skip a whole one": ("(176, 704), 1)", "(176, 704), 0)"),
    }
    given = of.own.spell(of.arch).replace(*changes[text], 1) if text in changes else text
    with pytest.raises(ValueError, match=words):
        of.own.parse(given)
    with pytest.raises(KeyError, match=r"'stage1.embed' has no option 99"):
        of.own.parse(of.own.spell(of.arch).replace("176", "99"))


def test_stages_that_cannot_follow_each_other_are_refused():
    with pytest.raises(ValueError, match="stage 2 must be at least as wide as stage 1, got 16 after 32"):
        vit_resnas(embeds=((32,), (16,), (64,)))
    with pytest.raises(ValueError, match="equally many stages"):
        vit_resnas(blocks=(6, 6))


def test_attention_is_the_formula_of_each_head():
    g = torch.Generator().manual_seed(0)
    module, x = build(SelfAttention(3, 4), (5, 6)), torch.randn(2, 5, 6, generator=g)
    mixed = []
    for head in range(3):
        q, k, v = (getattr(module, name)(x)[..., 4 * head : 4 * head + 4] for name in ("query", "key", "value"))
        weights = torch.einsum("bid,bjd->bij", q, k).div(4**0.5).softmax(-1)
        mixed.append(torch.einsum("bij,bjd->bid", weights, v))
    torch.testing.assert_close(module(x), module.project(torch.cat(mixed, 2)))


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (1, 1)])
def test_a_reduction_without_weights_is_the_mean_of_four_patches(height, width):
    network = Chain.of(tokens=Tokens(), token=ClassToken(), reduce=SpatialReduction(5, height, width))
    module, x = build(network, (3, height, width)), torch.randn(2, 3, height, width)
    for name, p in module.named_parameters():
        if name.startswith("reduce.body"):
            torch.nn.init.zeros_(p)
    out = module(x)
    token = module.token.weight.expand(2, 1, 3)
    mean = F.avg_pool2d(x, 2, 2, ceil_mode=True).flatten(2).transpose(1, 2)
    torch.testing.assert_close(out[..., :3], torch.cat((token, mean), 1))
    assert not out[..., 3:].any()


def test_patches_have_16_on_a_side_unless_it_is_said():
    for side, tokens in ((32, 256), (224, 256), (8, 64)):
        space = vit_resnas((3, side, side), 10)
        layers = profile(space.network(space.decide(lambda c: 0)), space.input).layers
        assert next(layer.out for layer in layers if layer.name == "body.tokens")[0] == tokens


def test_a_patch_head_counts_its_weights_alone():
    def cost(**settings):
        space = vit_resnas((3, 32, 32), 10, **settings)
        return profile(space.network(space.decide(lambda c: 0)), space.input).total

    with_head, without = cost(patch_head=True), cost()
    assert with_head.params - without.params == 10 * (1024 + 1)
    assert with_head.macs == without.macs


@pytest.mark.parametrize(
    "text",
    [
        "[[5, 4]]",
        "[[5, 4, 3, 3], [3, 2, 3, 5], [0, 0, 1, 0], [0, 0, 0, 0]]",
        "[[5, 3, 3, 3], [3, 2, 3, 0], [0, 0, 1, 0], [0, 0, 0, 0]]",
        "[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]",
    ],
)
def test_a_path_that_the_fabric_lacks_is_refused(text):
    with pytest.raises(ValueError, match="is no path of this fabric"):
        hytra().parse(text)
    with pytest.raises(ValueError, match="is no network of hytra"):
        hytra().parse(text.replace("[[", "[[9, ", 1))


def test_a_layer_has_its_own_weights_for_what_it_reads():
    space = hytra((1, 32, 32), 3, (8, 16, 32, 64), (4, 3), layers=2, head_dim=4, stem=4)

    def keys(text):
        return set(build(space.network(space.parse(text)), space.input).state_dict())

    fell, stayed = keys("[[5, 4], [4, 3]]"), keys("[[4, 4], [4, 3]]")
    assert {k for k in fell if k.startswith("layer2")} - stayed
    assert "layer2.scale2.conv.sum.body.conv.weight" in fell & stayed
    assert "layer2.scale2.conv.sum.body.enter.down.conv.weight" in fell - stayed
    assert {k for k in fell if k.startswith("layer3")} == {k for k in stayed if k.startswith("layer3")}


def test_a_retrained_network_without_layers_at_a_scale_has_a_strided_convolution_there():
    space = hytra((1, 64, 64), 3, (8, 16, 32, 64), (4, 3), layers=2, head_dim=4, stem=4, form="retrained")
    layers = profile(space.network(space.parse("[[4, 4], [3, 3]]")), space.input).layers
    strided = {layer.name: layer.out for layer in layers if layer.name.split(".")[0] in {"before1", "behind4"}}
    assert strided["before1.conv.conv"] == (8, 8, 8)
    assert strided["behind4.conv.conv"][0] == 64


def test_a_stage_of_dna_has_16_or_256_ways_and_is_written_by_numbers():
    assert dna().size == 16 * 256**4
    of = plugins.published("dna-c")
    assert of.own.spell(of.arch) == "[[1, 0], [1, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 4], [1, 4, 1, 1]]"
    assert of.arch["stage4.layer4.op"] == "MB3_5x5"
    for text in ("[[1, 0]]", "[[1, 0, 1], [1], [1], [1], [1]]", "5", "[[1, 9], [1, 1, 0, 1], [], [], []]"):
        with pytest.raises(ValueError, match="is no network of dna"):
            of.own.parse(text)


def test_the_medium_transformer_is_profiled_in_under_a_second():
    of = plugins.published("vit-resnas-medium")
    start = process_time()
    of.profile()
    assert process_time() - start < 1


def test_a_variation_is_a_few_lines_of_a_users_own():
    def root(space):  # another stem: a sum of two ways down
        body = dict(zip(space.root.names, space.root.items, strict=True))
        body["stem"] = Sum.of(coarse=Conv(12, 3, 2), fine=Chain.of(a=Conv(12, 1), b=Conv(12, 3, 2)))
        return Chain.of(**body)

    given = vit_resnas((3, 16, 16), 4, ((12,), (16,)), ((1, 2), (2,)), (4, 4), ((8,), (16,)), (2, 2))
    made = type(given)("other_stem", root(given), given.input)
    arch = made.sample(np.random.default_rng(0))
    assert build(made.network(arch), made.input)(torch.zeros(2, 3, 16, 16)).shape == (2, 4)
    space_laws()["8 the profile equals torch's own counts"](made)
