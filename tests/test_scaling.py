"""Networks scaled tree to tree, the RegNet parametrisation, and `nas scale`."""

import json
import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import nas
from nas import plugins
from nas.build import build
from nas.export import prove
from nas.graph import graph
from nas.profile import profile
from search_spaces.ops import Act, Classifier, Conv, ConvNormAct, Linear, MBConv, Norm
from search_spaces.regnet import regnet, stages
from search_spaces.scaling import COMPOUND, RULES, Factors, compound, factors, grouped, scaled
from tests.commands import said, typed
from tests.exports import load_file, tidy, written

IMAGE = (3, 32, 32)
NASBENCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def published(name, **settings):
    found = plugins.published(name)
    space = found.space(**settings)
    return space.network(found.arch), space.input


def counted(tree, shape):
    """Parameters, MACs and output as torch sees them, and the keys."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as flops:
        module = build(tree, shape).eval()
        out = module(torch.empty(2, *shape))
    keys = {k: tuple(p.shape) for k, p in module.named_parameters()}
    return sum(math.prod(s) for s in keys.values()), flops.get_total_flops() // 4, tuple(out.shape[1:]), keys


def vgg(classes=7):
    """Plain blocks, a stage of one, and a linear layer at the end that nothing tells from others but its place."""
    stage1 = nas.Chain.of(block1=ConvNormAct(16, 3, 2), block2=ConvNormAct(16), block3=ConvNormAct(16))
    stage2 = nas.Chain.of(block1=ConvNormAct(24, 3, 2))
    top = nas.Chain.of(conv=Conv(32, 1, groups=4), norm=Norm(), act=Act(), pool=nas.Identity())
    return nas.Chain.of(stem=ConvNormAct(8), stage1=stage1, stage2=stage2, top=top, head=Classifier(classes))


def test_the_parametrisation_makes_the_stages_of_regnety_4gf():
    assert stages(96, 31.41, 2.24, 22, 64) == ((128, 192, 512, 1088), (2, 6, 12, 2))
    for off in ((97, 31.4, 2.24, 22, 64), (96, -1, 2.24, 22, 64), (96, 31.4, 1.0, 22, 64), (96, 31.4, 2.24, 0, 64)):
        with pytest.raises(ValueError, match="no RegNet has"):
            stages(*off)
    with pytest.raises(nas.UserError, match="a regnet of 2 stages got depths of 1"):
        regnet(widths=((8,), (16,)), depths=((1,),))


def test_factors_share_the_macs_out():
    for rule in (*RULES, "compound"):
        by = factors(rule, 4)
        assert by.nominal()["macs"] == pytest.approx(4)
    powers = {"fast": (0.9, 0.6), "w": (1, 0.5), "d": (1, 1), "r": (0, 1), "dw": (1, 0.75), "dwr": (2 / 3, 5 / 6)}
    for rule, (params, activations) in powers.items():
        nominal = factors(rule, 4).nominal()
        assert math.log(nominal["params"], 4) == pytest.approx(params, abs=1e-9)
        assert math.log(nominal["activations"], 4) == pytest.approx(activations, abs=1e-9)
    alpha, beta, gamma = COMPOUND
    assert compound(1) == Factors(alpha, beta, gamma)
    assert factors("dWr", 3) == factors("fast", 3)
    assert [grouped(n) for n in (0.4, 2.2, 3, 5.4, 6, 20, 111)] == [1, 2, 4, 4, 8, 16, 112]
    for off in ("dwwr", 0), ("x", 2), ("w", math.inf), ("w", -1):
        with pytest.raises(ValueError, match=r"no rule|above 0"):
            factors(*off)


@pytest.mark.parametrize("name", ["regnetx-200mf", "efficientnet-b0", "spos-block", "nasbench201-resnet-like"])
@pytest.mark.parametrize(("rule", "macs"), [("fast", 3), ("dwr", 2), ("w", 0.3), ("d", 0.5)])
def test_scaled_networks_are_what_torch_counts(name, rule, macs):
    tree, shape = published(name)
    made, new = scaled(tree, shape, factors(rule, macs))
    total = profile(made, new).total
    params, flops, out, keys = counted(made, new)
    assert (total.params, total.macs) == (params, flops)
    assert out == graph(tree, shape).out
    before = counted(tree, shape)
    assert (set(before[3]) <= set(keys)) if macs > 1 else (set(keys) <= set(before[3]))
    assert 0.5 < math.log(flops / before[1]) / math.log(macs) < 1.5


@pytest.mark.parametrize("name", ["darts-v1-cifar", "vit-resnas-tiny", "resnet-50", "nasnet-a-cifar"])
def test_widths_reach_every_part(name):
    tree, shape = published(name)
    made, new = scaled(tree, shape, factors("w", 4))
    assert new == shape
    before, after = profile(tree, shape), profile(made, shape)
    assert after.out == before.out
    assert after.total.macs / before.total.macs == pytest.approx(4, rel=0.1)
    assert [op.shape for op in graph(made, shape).ops][-1] == before.out
    heads = [[g.ops[k].shape for k in g.heads] for g in (graph(tree, shape), graph(made, shape))]
    assert heads[0] == heads[1]


def test_a_factor_of_one_changes_nothing():
    for name in ("regnety-400mf", "darts-v1-cifar", "spos-channel"):
        tree, shape = published(name)
        assert scaled(tree, shape, Factors()) == (tree, shape)
    tree, shape = published("resnet-18")
    assert scaled(tree, shape, factors("r", 4)) == (tree, (3, 448, 448))


def test_a_users_tree_is_scaled_by_the_same_rules():
    tree = vgg()
    made, shape = scaled(tree, IMAGE, Factors(2, 2, 1.5))
    assert shape == (3, 48, 48)
    assert [len(made.items[k].items) for k in (1, 2)] == [6, 2]
    assert made.items[1].names[3:] == ("block4", "block5", "block6")
    assert made.items[2].items[1] == ConvNormAct(48, 3, 1), "a copy of a first block keeps the size"
    assert (made.items[0].channels, made.items[3].items[0].channels) == (16, 64)
    assert counted(made, shape)[2] == (7,)
    few, _ = scaled(tree, IMAGE, Factors(0.5, 0.5))
    assert [len(few.items[k].items) for k in (1, 2)] == [2, 1]
    kept, _ = scaled(tree, IMAGE, Factors(1, 2), keep=("stage1", "top"))
    assert (kept.items[1], kept.items[3]) == (tree.items[1], tree.items[3])
    assert kept.items[2].items[0].channels == 48


def test_a_users_module_and_last_layer():
    part = nas.Module.of(torch.nn.Linear, in_features=nas.CHANNELS, out_features=12)
    tree = nas.Chain.of(a=part, act=Act("relu"), b=part, c=part, last=Linear(5), drop=Act("tanh"))
    made, shape = scaled(tree, (6,), Factors(2, 2))
    assert dict(made.items[0].args)["out_features"] == 24
    assert made.names == ("a", "act", "b", "c", "c_2", "c_3", "last", "drop")
    assert graph(made, shape).out == (5,), "what is put out stays, wherever its layer stands"
    depthwise = nas.Chain.of(a=Conv(8), b=Conv(8, groups=8), c=Conv(12, groups=3, bias=True), head=Classifier(2))
    with pytest.raises(nas.UserError, match="3 groups do not divide"):
        scaled(depthwise, IMAGE, Factors(1, 2))
    fits = nas.Chain.of(a=Conv(8), b=Conv(8, groups=8), head=Classifier(2))
    assert scaled(fits, IMAGE, Factors(1, 2))[0].items[1] == Conv(16, groups=16)


def test_the_rounding_can_be_chosen():
    tree = nas.Chain.of(stage=nas.Chain.seq(MBConv(24), MBConv(24), MBConv(24)), head=Classifier(2))
    assert [
        len(scaled(tree, IMAGE, Factors(1.1, 1), rounding=r)[0].items[0].items) for r in ("nearest", "efficientnet")
    ] == [3, 4]


def test_what_cannot_be_scaled_is_refused_in_a_line():
    cells, shape = published("nasnet-a-cifar")
    with pytest.raises(nas.UserError, match="no chain of like blocks") as told:
        scaled(cells, shape, factors("fast", 4))
    assert "\n" not in str(told.value)
    with pytest.raises(nas.UserError, match="only images"):
        scaled(nas.Chain.of(a=Linear(8), b=Linear(2)), (6,), factors("r", 2))
    with pytest.raises(nas.UserError, match="no part named 'stm'"):
        scaled(vgg(), IMAGE, factors("w", 2), keep=("stm",))


def test_scaled_networks_are_exported(tmp_path):
    arch = regnet((3, 12, 10), 3, ((8, 16), (16,)), ((1, 2), (2,)), (4, 8), stem=8, strides=(1, 2, 2))
    rng, made = np.random.default_rng(0), []
    for k, rule in enumerate(("fast", "dwr", "w")):
        tree, shape = scaled(arch.network(arch.sample(rng)), arch.input, factors(rule, 3))
        made.append((written(tree, shape, tmp_path / f"net{k}", "net", k), tree, shape))
    for k in range(5):
        tree = arch.network(arch.sample(rng))
        made.append((written(tree, arch.input, tmp_path / f"own{k}", "own", k), tree, arch.input))
    for (_, tree, shape), found in zip(made, prove([folder for folder, _, _ in made]), strict=True):
        assert found["model.py"] <= 1e-5
        assert found["params"] == profile(tree, shape).total.params
    tidy(tmp_path)


def test_nas_scale_says_what_it_comes_to_and_writes_it(tmp_path, capsys):
    made = said(capsys, "scale", "regnetx-200mf", "--macs", "4x", "--keep", "stem", "--to", tmp_path / "big.json")
    tree, shape = published("regnetx-200mf")
    own = profile(*scaled(tree, shape, factors("fast", 4), keep=("stem",))).total
    assert (made["params"], made["macs"], made["activations"]) == (own.params, own.macs, own.activations)
    assert made["input"] == [3, 240, 240]
    assert made["achieved"]["macs"] == pytest.approx(own.macs / profile(tree, shape).total.macs)
    assert made["nominal"]["macs"] == pytest.approx(4)
    again = said(capsys, "profile", tmp_path / "big.json")
    assert (again["params"], again["macs"], again["space"]) == (own.params, own.macs, "scaled")
    twice = said(capsys, "scale", tmp_path / "big.json", "--macs", f"{made['macs']}", "--rule", "d")
    assert twice["factors"]["depth"] == pytest.approx(1, rel=1e-3)
    code, out, _ = typed(capsys, "scale", "regnetx-200mf", "--macs", "0.5x", "--rule", "compound")
    assert code == 0
    assert "achieved" in out
    assert "nas search --space scaled" in out


def test_nas_scale_writes_plain_pytorch(tmp_path, capsys):
    made = said(capsys, "scale", NASBENCH, "--macs", "2x", "--rule", "w", "--module", tmp_path / "net.py")
    module = getattr(load_file(tmp_path / "net.py"), made["files"]["class"])()
    assert sum(p.numel() for p in module.parameters()) == made["params"]
    assert module.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_nas_scale_of_a_users_own_space(tmp_path, capsys):
    (tmp_path / "my.py").write_text(
        "import nas\nfrom search_spaces.ops import Classifier, ConvNormAct\n\n"
        "def space(input=(3, 16, 16), classes=4):\n"
        "    body = nas.Chain.seq(*[ConvNormAct(nas.Choice('width', (8, 16)))] * 2)\n"
        "    return nas.Space('mine', nas.Chain.of(body=body, head=Classifier(classes)), input)\n"
    )
    spec, file = f"{tmp_path / 'my.py'}:space", tmp_path / "mine.json"
    made = said(capsys, "scale", spec, "--macs", "8x", "--rule", "dwr", "--to", file)
    again = said(capsys, "profile", file)
    assert (again["params"], again["input"]) == (made["params"], made["input"])
    architecture = json.loads(file.read_text())
    assert architecture["settings"]["network"]["file"] == spec


def test_nas_scale_refuses_in_a_line(capsys):
    for args, what in (
        (("resnet-18", "--macs", "4y"), "needs a number"),
        (("resnet-18", "--macs", "1e9x"), "needs a number"),
        (("resnet-18", "--macs", "99999x"), "0.001x to 1000x"),
        (("resnet-18", "--macs", "2x", "--rule", "fst"), "did you mean fast"),
        (("resnet-18", "--macs", "2x", "--keep", "stm"), "its parts are"),
        (("resnet-19", "--macs", "2x"), "did you mean"),
        (("nasnet-a-cifar", "--macs", "2x"), "no chain of like blocks"),
        (("resnet-18",), "macs"),
    ):
        code, _, err = typed(capsys, "scale", *args)
        assert code == 2, args
        assert what in err, err
        assert len(err.strip().splitlines()) == 1
