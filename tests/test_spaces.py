"""The laws on every space, the published counts, and a user's own space."""

import json
from itertools import product
from math import prod
from pathlib import Path

import numpy as np
import pytest

import nas
from nas import plugins
from nas.graph import graph, signature
from nas.problem import Problem, at_most
from nas.profile import profile
from nas.testing import space_laws
from search_spaces import SPACES, mobile, nasbench201
from search_spaces.nasbench201 import unique

REFERENCES = Path(__file__).parent / "references"
MADE = [
    nasbench201(cells=1),
    nasbench201((1, 8, 8), 10, cells=2, channels=8),
    nasbench201((3, 9, 7), 3, cells=1, channels=4),
    mobile((1, 28, 28), 10),
    mobile((3, 8, 5), 2, widths=(8, 16)),
    mobile((3, 64, 64), 5),
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


def test_nasbench201_has_the_published_counts():
    known, space = json.loads((REFERENCES / "nasbench201.json").read_text()), nasbench201()
    assert space.size == known["cells"]
    for spelled, params, macs in known["networks"]:
        arch = space.parse(spelled)
        total = profile(space.network(arch), space.input).total
        assert (total.params, total.macs) == (params, macs), spelled
        assert space.spell(arch) == spelled


def test_nasbench201_counts_are_a_sum_over_edges():
    known, space, rng = (
        json.loads((REFERENCES / "nasbench201.json").read_text()),
        nasbench201(),
        np.random.default_rng(0),
    )
    for _ in range(50):
        arch = space.sample(rng)
        ops = list(arch.labels.values())
        expected = (
            73306
            + ops.count("nor_conv_3x3") * known["conv3x3_edge"]
            + ops.count("nor_conv_1x1") * known["conv1x1_edge"]
        )
        assert profile(space.network(arch), space.input).total.params == expected


def test_nasbench201_has_6466_different_cells():
    names = {unique(arch) for arch in nasbench201(cells=1)}
    assert len(names) == json.loads((REFERENCES / "nasbench201.json").read_text())["unique"]


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
    assert least <= min(profile(space.network(space.sample(rng)), space.input).total.params for _ in range(200))
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
