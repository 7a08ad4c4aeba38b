"""The laws on every space, the published counts, and a user's own space."""

import inspect
import json
from itertools import product
from math import prod

import numpy as np
import pytest

import nas
from nas import plugins
from nas.graph import graph, signature
from nas.problem import Problem, at_most
from nas.profile import profile
from nas.testing import space_laws
from search_spaces import (
    SPACES,
    accel_nasbench,
    conv_chain,
    dartopti,
    darts,
    ddarts,
    deepmad_mobile,
    deepmad_resnet,
    dna,
    efficientnet,
    enas,
    fbnet,
    hytra,
    mnasnet,
    mobile,
    mobilenet,
    nasbench101,
    nasbench201,
    nasbench_graph,
    nasbench_macro,
    nasnet,
    nats_size,
    ofa,
    pnasnet,
    pooling,
    recurrent,
    regnet,
    resnet,
    resnet50d,
    scaled,
    shufflenet,
    tabular,
    vit_resnas,
)

VIT = {
    "embeds": ((12, 8), (24, 16)),
    "heads": ((2, 1), (3, 2)),
    "head_dims": (4, 4),
    "mlps": ((16, 8), (24, 16)),
    "blocks": (2, 3),
}
SMALL = {
    "space": "regnet",
    "settings": {"widths": [[8], [16]], "depths": [[2], [1]], "group_widths": [4], "strides": [2, 1, 2], "stem": 8},
    "choices": {
        "group_width": "g4",
        "stage1.depth": 2,
        "stage1.width": 8,
        "stage2.depth": 1,
        "stage2.width": 16,
    },
}
MADE = [
    nasbench201(cells=1),
    nasbench201((1, 8, 8), 10, cells=2, channels=8),
    nasbench201((3, 9, 7), 3, cells=1, channels=4),
    conv_chain((1, 9, 7), 3, layers=3, sides=(1, 3), filters=(2, 3)),
    conv_chain((3, 16, 11), 3, layers=4, sides=(1, 3), strides=(1, 2, 3), filters=(2, 3), pools=(2,)),
    recurrent((1, 6, 5), 3, base=2, width=4),
    tabular((1, 8, 8), 3, parts=3, mirrored=(0, 2), nodes=2, widths=(6, 8)),
    tabular(((5,), (7,), (7,)), 3, mirrored=(1, 2), nodes=1, widths=(6,)),
    mobile((1, 28, 28), 10),
    mobile((3, 8, 5), 2, widths=(8, 16)),
    mobile((3, 64, 64), 5),
    mobilenet((3, 21, 16), 3, stages=((8, 1, 1), (8, 2, 2), (16, 1, 1)), stem=8, last=24, head=32),
    mobilenet((1, 9, 12), 2, stages=((8, 1, 2), (16, 2, 1)), squeezes=(0,), acts=("relu6",), stem=8, last=16, head=0),
    mnasnet((3, 18, 11), 3, filters=(8, 16), layers=(1, 2), strides=(1, 2), stem=8, head=16),
    efficientnet((1, 16, 16), 4, 1.1, 1.8, channels=(8, 16), layers=(2, 1), strides=(1, 2), stem=8, head=16),
    fbnet((1, 13, 16), 3, stages=((8, 2, 1), (16, 2, 2)), stem=8, head=16),
    ofa((1, 20, 20), 3, width=0.25, depths=(1, 2), resolutions=(16, 20)),
    ofa((3, 16, 13), 3, "proxyless", width=0.25, depths=(1, 2)),
    darts((1, 9, 7), 3, layers=3, channels=4, drop_path=0.2),
    darts(
        (3, 32, 32), 4, layers=3, channels=2, stem="imagenet", tied=False, operations=("skip_connect", "sep_conv_3x3")
    ),
    ddarts((3, 12, 12), 3, cells=3, layers=3, channels=2, operations=("avg_pool_3x3", "dil_conv_3x3")),
    dartopti((1, 8, 8), 3, channels=2, operations=("conv_7x1_1x7", "simple_conv_1x1"), drop_path=0.2),
    vit_resnas((3, 12, 10), 3, drop_path=0.1, patch_head=True, stem=4, **VIT),
    vit_resnas((1, 9, 7), 2, patch=2, stem=0, **VIT),
    dna((1, 17, 12), 3, (8, 16), (1, 2), (2, 1), shortcuts=True, stem=4, first=8, last=8, head=16),
    hytra((1, 20, 24), 3, (8, 16, 32, 64), (4, 3), layers=2, head_dim=4, stem=4),
    hytra((3, 9, 7), 2, (8, 16, 32), (3, 2), 2, restricted=False, squeeze=0.25, form="retrained", last_stride=1),
    regnet((3, 21, 16), 3, ((8, 12), (12, 16)), ((1, 2), (1, 2)), (4, 16), stem=8, strides=(2, 1, 2)),
    regnet((1, 9, 8), 2, ((4, 8), (8,)), ((1, 2), (2,)), (4,), 0, 4, (1, 2, 2)),
    scaled((1, 12, 12), 3, SMALL, ("w", "dw"), (0.5, 1, 2), ("stem",), original=(1, 16, 16)),
    resnet((3, 8, 8), 3, stem="cifar", widths=((4, 6), (6, 8)), depths=((1, 2), (1, 2))),
    resnet((1, 20, 18), 3, "bottleneck", "imagenet", "bare", ((2, 4), (4, 6)), ((1, 2), (1, 2)), ((2, 3), (3, 4))),
    resnet((3, 9, 7), 2, "bottleneck", "cifar", "padded", ((4, 2), (2, 3)), ((1, 2), (2,))),
    resnet50d((3, 33, 32), 3, widths=(16, 32), blocks=(1, 1), depths=(0, 1), stem=16),
    deepmad_resnet((3, 15, 16), 3, (2, 1), (4, 8), ((8, 16), (8, 16)), ((8,), (8, 16)), (3, 5), ((1, 2), (1, 2))),
    deepmad_mobile((3, 15, 16), 3, (2, 1), (8,), ((8, 16), (8, 12)), ((24,), (48, 96)), (3, 5), ((1, 2), (2,)), 8),
    pooling((3, 8, 9), 3, widths=(4, 6), depths=(2, 2)),
    pooling((1, 16, 16), 3, "bottleneck", (2, 4), (2, 2), 3, "stride", "plain"),
    nasnet((3, 9, 8), 3, cells=1, filters=4, blocks=2),
    nasnet((1, 35, 37), 2, 1, 4, 2, ("sep_3x3", "max_3x3", "identity"), "all", "imagenet", drop_path=0.4),
    nasnet((3, 8, 5), 2, 1, 2, 2, ("identity", "avg_3x3", "dilated_3x3"), "listed"),
    pnasnet((3, 16, 13), 3, cells=1, filters=4, blocks=1),
    enas((1, 12, 9), 3, cells=1, filters=4, blocks=2),
    nasbench101((3, 8, 7), 3, vertices=5, edges=5, channels=4, modules=1),
    nasbench101((1, 9, 9), 2, vertices=6, edges=7, channels=5, stacks=2, modules=2),
    nats_size((1, 8, 5), 3, channels=(2, 4)),
    nasbench_graph((5,), 3, ("gcn", "fc", "skip")),
    accel_nasbench((3, 16, 16), 3, (2, 1), (1, 6)),
    nasbench_macro((3, 17, 16), 3, channels=4, head=8),
    shufflenet((3, 33, 20), 3, (0.2, 0.5, 1.6), stem=4, widths=(12, 20), depths=(2, 2), head=8),
    shufflenet((1, 8, 8), 3, stem=4, widths=(8, 12), depths=(2, 2), head=8),
]
MINE = """
import nas
from search_spaces.ops import Classifier, ConvNormAct
from torch import nn

class Gated(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.a, self.b = nn.Conv2d(inputs, width, 1), nn.Conv2d(inputs, width, 3, padding=1)
    def forward(self, x):
        return self.a(x).sigmoid() * self.b(x)

def space(input=(3, 32, 32), classes=10):
    gated = nas.Module.of(Gated, inputs=nas.CHANNELS, width=nas.Choice("width", (8, 12)))
    block = nas.Choice.over("block", plain=ConvNormAct(12), gated=gated, none=nas.Identity())
    return nas.Space("mine", nas.Chain.of(stem=ConvNormAct(8), block=block, head=Classifier(classes)), input)
"""


def own(tmp_path, text=MINE, name="my.py"):
    (tmp_path / name).write_text(text)
    return f"{tmp_path / name}:space"


@pytest.mark.parametrize("law", list(space_laws()))
@pytest.mark.parametrize("space", MADE, ids=lambda s: f"{s.name}-{'x'.join(map(str, s.input))}")
def test_every_space_keeps_every_law(space, law):
    space_laws()[law](space)


def test_no_space_is_left_out_of_the_laws():
    assert {s.name for s in MADE} == set(SPACES)


@pytest.mark.parametrize("space", MADE, ids=lambda s: f"{s.name}-{'x'.join(map(str, s.input))}")
def test_every_space_is_made_again_from_the_arguments_that_it_records(space):
    again = plugins.space(space.name, **json.loads(json.dumps(space.settings)))
    assert list(space.settings) == list(inspect.signature(SPACES[space.name]).parameters)
    assert (again.root, again.input, again.settings) == (space.root, space.input, space.settings)


def test_a_users_space_is_recorded_as_json_holds_it():
    @nas.recorded
    def wide(input=(3, 8, 8), classes=10, *, widths=range(8, 25, 8), more=None):
        return mobile(input, classes, widths=tuple(widths))

    settings = wide((1, 8, 8), more={"a": ((1, 2.5), True)}).settings
    said = '{"input": [1, 8, 8], "classes": 10, "widths": [8, 16, 24], "more": {"a": [[1, 2.5], true]}}'
    assert json.dumps(settings) == said
    for bad in ({8}, {8: 1}, [b"8"]):
        with pytest.raises(ValueError, match="the setting 'more' of the space 'mobile'"):
            wide(more=bad)


def test_an_enumeration_of_mobile_has_the_size():
    space = mobile(
        (1, 16, 16), 2, widths=(8, 16), multipliers=(1.0,), depths=(1, 2), kernels=(3, 5), expands=(2, 3), squeezes=(0,)
    )
    assert space.size == (4 + 16) ** 2 == len(set(space))


def test_the_default_mobile_counts_its_architectures():
    block, widths = (
        3 * 4 * 2,
        (2, 2, 3, 3),
    )  # 0.5 and 0.75 of 16 and of 24 round to the same multiples of 8, or to all of it
    assert mobile().size == (block + block**2 + block**3) ** 4 * prod(widths)
    assert [len(mobile().choices[f"stage{s}.width"].options) for s in (1, 2, 3, 4)] == list(widths)


@pytest.mark.parametrize("law", list(space_laws()))
def test_a_users_own_space_keeps_every_law(law, tmp_path):
    space_laws()[law](plugins.space(own(tmp_path), input=(3, 8, 8), classes=4))


def test_a_users_space_is_15_lines_of_his_own():
    lines = [line for line in MINE.splitlines() if line.strip()]
    assert len(lines) <= 15


def test_a_users_file_that_is_off_is_named(tmp_path):
    with pytest.raises(nas.UserError, match="there is no file"):
        plugins.space(str(tmp_path / "none.py") + ":space")
    with pytest.raises(nas.UserError, match=r"line 3 raises ZeroDivisionError"):
        plugins.space(own(tmp_path, "import nas\n\nx = 1 / 0\n"))
    with pytest.raises(nas.UserError, match="did you mean space"):
        plugins.space(own(tmp_path, MINE, "other.py").replace(":space", ":spce"))
    with pytest.raises(nas.UserError, match="made int, not a nas.Space"):
        plugins.space(
            own(tmp_path, "def space(input, classes):\n    return 3\n", "three.py"), input=(1, 8, 8), classes=2
        )


def test_an_unknown_space_offers_the_nearest():
    with pytest.raises(nas.UserError, match="did you mean nasbench201"):
        plugins.space("nasbench2")
    with pytest.raises(nas.UserError, match="cannot be made"):
        plugins.space("mobile", cells=3)


def test_an_architecture_moves_between_settings_of_one_space():
    small, large = nasbench201(cells=1, channels=4), nasbench201()
    arch = small.sample(np.random.default_rng(0))
    assert (
        profile(large.network(arch), large.input).total.params > profile(small.network(arch), small.input).total.params
    )


def test_a_text_that_is_no_architecture_is_refused():
    space = nasbench201()
    for text, what in (
        ("|none~0|", "is no cell"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|conv~2|", "is no cell"),
        ('{"space": "mobile", "choices": {}}', "does not belong"),
        ('{"space": "nasbench201", "choices": {"x": 1}}', "no choice named"),
        ('{"space": "nasbench201", "choices": {}}', "does not say"),
        ('{"choices": 3}', "JSON object"),
    ):
        with pytest.raises((ValueError, KeyError), match=what):
            space.parse(text)
    arch = mobile().sample(np.random.default_rng(1))
    shallow = {**arch.labels, "stage1.depth": 1, "stage1.block3.kernel": 3}
    with pytest.raises(ValueError, match="is not open"):
        mobile().parse(json.dumps({"space": "mobile", "choices": shallow}))


def test_the_smallest_is_found_and_samples_keep_the_limits():
    space, rng = mobile((1, 28, 28), 10), np.random.default_rng(0)
    _, least = Problem(space).smallest("params")
    assert least <= min(profile(space.network(space.sample(rng)), space.input).total.params for _ in range(60))
    tight = Problem(space, constraints=(at_most("params", 1.02 * least),))
    drawn = {tight.sample(rng) for _ in range(5)}
    assert all(not tight.screen(a).broken for a in drawn)


def test_a_network_without_a_path_is_infeasible():
    space = nasbench201()
    arch = space.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|")
    assert Problem(space).screen(arch).broken == "no path from input to output"


def brute_force_names():
    """The cells of NAS-Bench-201 as sums of terms, zero terms dropped, sums in sums opened, sorted."""
    ops = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    for cell in product(ops, repeat=6):
        nodes, edges = [("input",)], iter(cell)
        for n in (1, 2, 3):
            terms = []
            for i in range(n):
                op = next(edges)
                if op == "skip_connect":
                    terms += nodes[i]
                elif op != "none" and nodes[i]:
                    terms.append((op, nodes[i]))
            nodes.append(tuple(sorted(terms, key=repr)))
        yield nodes[3]


@pytest.mark.slow
def test_the_signature_finds_the_equal_cells_that_brute_force_finds():
    space = nasbench201(cells=1, channels=2)
    names = {}
    for arch in space:
        name, reaches = signature(graph(space.network(arch), space.input))
        names[arch.key] = name if reaches else ""
    assert len(set(names.values())) == len(set(brute_force_names())) == 4930
