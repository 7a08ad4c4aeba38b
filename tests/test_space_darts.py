"""The cells of DARTS and its kin: the authors' texts, tied and untied cells, deeper networks, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nas import UserError, plugins
from nas.build import build
from nas.graph import graph, signature
from nas.space import Space
from nas.testing.sharing import relaxes
from search_spaces import dartopti, darts, ddarts
from search_spaces.catalogue.darts import DARTS_V2, PC_IMAGE
from search_spaces.dartopti import BASELINES, start
from search_spaces.ddarts import origin
from search_spaces.genotype import read
from search_spaces.ops.darts_cells import FactorizedReduce
from search_spaces.ops.modules import PathDrop

SMALL = (3, 8, 8)
FIELDS = {
    "Genotype": ("normal", "normal_concat", "reduce", "reduce_concat"),
    "Genotype_nested": ("genes", "concat", "reductions"),
    "Genotype_opt": ("genes", "seq", "concat", "reductions"),
}


def parts(space: Space, change: dict[str, object]) -> set[str]:
    """Which cells of a random network become others when these labels change."""
    arch = space.sample(np.random.default_rng(0))
    before, after = (graph(space.network(a), space.input) for a in (arch, space.read({**arch.labels, **change})))
    ops = [{(op.path, op.node) for op in flat.ops} for flat in (before, after)]
    return {path.partition(".")[0] for path, _ in ops[0] ^ ops[1]}


@pytest.mark.parametrize("text", [DARTS_V2, PC_IMAGE])
def test_the_text_of_a_genotype_leads_there_and_back(text: str) -> None:
    space = darts()
    said = space.spell(space.parse(text))
    (_, theirs), (_, ours) = read(text, FIELDS), read(said, FIELDS)
    for kind in ("normal", "reduce"):
        for n in range(4):
            assert sorted(ours[kind][2 * n : 2 * n + 2]) == sorted(theirs[kind][2 * n : 2 * n + 2])
    assert space.parse(said) == space.parse(text)


@pytest.mark.parametrize("name", ["d-darts-sparse-cifar-8", "d-darts-edge-cifar-8", "dartopti-resnet50-edge"])
def test_the_text_of_cells_for_themselves_leads_there_and_back(name: str) -> None:
    net = plugins.published(name)
    said = net.own.spell(net.arch)
    (_, theirs), (_, ours) = read(str(net.labels), FIELDS), read(said, FIELDS)
    assert [sorted(gene) for gene in ours["genes"]] == [sorted(gene) for gene in theirs["genes"]]
    assert net.own.parse(said) == net.arch


V2 = DARTS_V2.replace("\n", "")
NESTED = "Genotype_nested(genes={}, concat=range(2, 6), reductions=[1, 2])"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("__import__('os').remove('x')", "no text of cells; one is Genotype"),
        (V2.replace("'dil_conv_3x3', 2", "open('x'), 2"), "no text of cells"),
        (V2.replace("[2, 3, 4, 5]", "range(2, 10 ** 9)"), "no text of cells"),
        ("(" * 10_000, "no text of cells"),
        (V2.replace(", reduce_concat=[2, 3, 4, 5]", ""), "must give normal, normal_concat, reduce, reduce_concat"),
        (V2.replace("[2, 3, 4, 5]", "[3, 4, 5]"), "must be range"),
        (V2.replace("('skip_connect', 0), ('skip_connect', 0)", "('skip_connect', 1), ('skip_connect', 0)"), "node 4"),
        (V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"), "node 5 must read two different ones of 0 to 4"),
        (V2.replace(", ('dil_conv_3x3', 2)", ""), "node 5 must read two different ones of 0 to 4, it reads 0"),
        (
            V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 2, 5)"),
            r"normal must be a list of \(operation, number\)",
        ),
        (V2.replace("('dil_conv_3x3', 2)", "('dil_conv_9x9', 2)"), "has no option dil_conv_9x9"),
    ],
)
def test_a_text_that_is_no_pair_of_cells_is_refused_in_a_line(text: str, says: str) -> None:
    with pytest.raises((ValueError, KeyError), match=says) as refused:
        darts().parse(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("space", "text", "says"),
    [
        (ddarts(SMALL, cells=3, layers=3), NESTED.format([[]] * 2), "a list of 3 cells"),
        (ddarts(SMALL, cells=3, layers=3), NESTED.format([[("sep_conv_3x3", 2, 2)], [], []]), "cell0 has no edge"),
        (ddarts(SMALL, cells=3, layers=3), NESTED.format([[("none", 2, 1)], [], []]), "cell0 has no edge"),
        (ddarts(SMALL, cells=3, layers=3), NESTED.format("[[], [], 3]"), "cell2 must be a list"),
        (ddarts(SMALL, cells=5, layers=5), NESTED.format([[]] * 5), r"at the cells \[1, 2\], the space at \[1, 3\]"),
        (darts(SMALL, layers=3, tied=False), NESTED.format([[]] * 3), "cell0: node 2 must read two"),
        (darts(SMALL, layers=3, tied=False), NESTED.format(3), "genes must be a list of 3 cells"),
        (dartopti(SMALL), start("resnet50"), "a list of 1 cells"),
        (
            dartopti(SMALL),
            start("resnet18").replace("seq=[0, 0", "seq=[0, 1"),
            r"seq of resnet18 must be \[0, 0, 0, 0\]",
        ),
    ],
)
def test_a_text_that_is_no_member_is_refused_in_a_line(space: Space, text: str, says: str) -> None:
    with pytest.raises((ValueError, KeyError), match=says) as refused:
        space.parse(text)
    assert "\n" not in str(refused.value)


def test_cells_of_one_gene_must_be_written_alike() -> None:
    space, own = dartopti(SMALL), [list(BASELINES["resnet18"].genes[0])]
    text = "Genotype_nested(genes={}, concat=range(2, 6), reductions=[1, 2, 3])"
    assert space.parse(text.format(own * 4)) == space.parse(start("resnet18"))
    with pytest.raises(ValueError, match="cell 3 has another gene than an earlier one of gene 0"):
        space.parse(text.format([*own * 3, own[0][:-1]]))


def test_tied_cells_change_together_and_untied_ones_alone() -> None:
    tied, untied = darts(SMALL, channels=4, layers=6), darts(SMALL, channels=4, layers=6, tied=False)
    cell = 1_037_664_180
    assert (tied.size, untied.size) == (cell**2, cell**6)
    labels = tied.sample(np.random.default_rng(0)).labels
    other = "dil_conv_5x5" if labels["normal.node2.from0"] != "dil_conv_5x5" else "dil_conv_3x3"
    assert parts(tied, {"normal.node2.from0": other}) == {"cell0", "cell1", "cell3", "cell5"}
    labels = untied.sample(np.random.default_rng(0)).labels
    other = "dil_conv_5x5" if labels["cell3.node2.from0"] != "dil_conv_5x5" else "dil_conv_3x3"
    assert parts(untied, {"cell3.node2.from0": other}) == {"cell3"}


def test_cells_of_one_gene_change_together() -> None:
    space = dartopti(SMALL, baseline="resnet50", channels=2, operations=("simple_conv_1x1", "skip_connect"))
    name = "gene0.node2.from0.simple_conv_1x1"
    flipped = 1 - int(space.sample(np.random.default_rng(0))[name])
    assert parts(space, {name: flipped}) == {"cell0", "cell3"}


def test_a_deeper_network_repeats_the_cells_of_each_third() -> None:
    assert [origin(i, 8, 8) for i in range(8)] == list(range(8))
    assert [origin(i, 14, 8) for i in range(14)] == [0, 0, 0, 1, 2, 4, 3, 4, 3, 5, 6, 7, 6, 7]
    assert [origin(i, 20, 8) for i in range(20)] == [0, 0, 0, 1, 1, 1, 2, *[4, 3] * 3, 5, *[6, 7] * 3]
    shallow, deep = plugins.published("d-darts-sparse-cifar-8"), plugins.published("d-darts-sparse-cifar-20")
    assert shallow.arch == deep.arch


def test_the_weights_of_an_edge_carry_its_source() -> None:
    net = plugins.published("darts-v2-cifar")
    with torch.device("meta"):
        keys = build(net.network(), net.own.input).state_dict().keys()
    assert "cell0.nodes.node2.from1.sep_conv_3x3.op.pointwise2.weight" in keys
    assert "cell6.nodes.node2.from0.max_pool_3x3.op.weight" not in keys
    assert "cell7.preprocess0.halves.odd.conv.weight" in keys


def test_every_operation_but_an_identity_is_dropped_and_more_so_later() -> None:
    space = darts(SMALL, layers=3, channels=4, drop_path=0.3)
    module = build(space.network(space.parse(DARTS_V2)), space.input)
    drops = [m for m in module.modules() if isinstance(m, PathDrop)]
    assert len(drops) == 6 + 5 + 5  # of 8 edges, 2 are identities in a normal cell, and 3 in each that reduces
    assert all(m.scheduled and m.rate == 0.3 and m.progress == 0 for m in drops)


def test_the_network_of_the_search_holds_every_discrete_one() -> None:
    relaxes(darts(SMALL, 3, layers=3, channels=2, operations=("none", "skip_connect", "max_pool_3x3")))


def test_half_the_channels_read_the_odd_pixels() -> None:
    x = torch.rand(2, 4, 6, 8)
    module = build(FactorizedReduce(6), (4, 6, 8)).eval()
    even, odd = module.get_submodule("halves.even"), module.get_submodule("halves.odd.conv")
    want = module.get_submodule("norm")(torch.cat([even(x), odd(x[:, :, 1:, 1:])], 1))
    torch.testing.assert_close(module(x), want)
    assert build(FactorizedReduce(6), (4, 5, 1))(torch.rand(2, 4, 5, 1)).shape == (2, 6, 3, 1)


@pytest.mark.parametrize(
    ("side", "stem"), [(32, "cifar"), (28, "cifar"), (9, "cifar"), (96, "imagenet"), (33, "imagenet")]
)
def test_the_auxiliary_head_fits_every_image(side: int, stem: str) -> None:
    space = darts((3, side, side), 5, layers=3, channels=4, stem=stem, auxiliary=True)
    with torch.device("meta"):
        module = build(space.network(space.parse(DARTS_V2)), space.input).train()
        scores, head = module(torch.empty(2, 3, side, side))
    assert scores.shape == head.shape == (2, 5)
    assert isinstance(module.get_submodule("auxiliary.conv"), nn.Conv2d)


def test_a_cell_without_edges_makes_zeros() -> None:
    space = ddarts(SMALL, 3, cells=3, layers=3, channels=2, operations=("skip_connect", "max_pool_3x3"))
    one = [("skip_connect", 2, 0)]
    whole, none = (space.parse(NESTED.format([one, one, last])) for last in (one, []))
    assert signature(graph(space.network(whole), space.input))[1]
    assert not signature(graph(space.network(none), space.input))[1]
    assert build(space.network(none), space.input)(torch.rand(2, *SMALL)).shape == (2, 3)


@pytest.mark.parametrize("baseline", list(BASELINES))
def test_a_search_may_start_from_its_baseline(baseline: str) -> None:
    space = dartopti(SMALL, 3, baseline, channels=2)
    arch = space.parse(start(baseline))
    assert space.spell(arch).startswith("Genotype_opt(genes=[[(")
    assert sum(map(int, arch.labels.values())) == sum(len(gene) for gene in BASELINES[baseline].genes)
    assert signature(graph(space.network(arch), space.input))[1]


@pytest.mark.parametrize(
    ("make", "settings", "says"),
    [
        (darts, {"layers": 2}, "at least 3 layers"),
        (darts, {"stem": "svhn"}, "no stem 'svhn'"),
        (darts, {"operations": ("conv",)}, "no operation 'conv'"),
        (ddarts, {"cells": 4, "layers": 9}, "4 cells and 9 layers"),
        (ddarts, {"cells": 8, "layers": 6}, "8 cells and 6 layers"),
        (ddarts, {"operations": ("none", "sep_conv_3x3")}, "none of them is already one way"),
        (dartopti, {"baseline": "vgg"}, "no baseline 'vgg'"),
    ],
)
def test_settings_that_make_no_space_are_refused(make: object, settings: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        make(**settings)
