"""NASNet, PNASNet and ENAS: texts of cells, tied cells, what is joined, dropped paths, auxiliary heads."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import numpy as np
import pytest
import torch

from nas import UserError, plugins
from nas.build import build
from nas.graph import graph
from nas.profile import profile
from nas.space import Space
from nas.tree import Cost
from search_spaces import enas, nasnet, pnasnet
from search_spaces.ops.cells import FactorizedReduction
from search_spaces.ops.norm import DropPath

SMALL = (3, 8, 8)
CELL = "sep_3x3@0+identity@1 avg_3x3@2+max_3x3@1"


def rates(space: Space) -> dict[str, float]:
    """The rates of the dropped paths of a network, by its cells."""
    ops = graph(space.network(space.sample(np.random.default_rng(0))), space.input).ops
    found = [(op.path.split(".")[1], op.node) for op in ops if isinstance(op.node, DropPath)]
    assert all(node.scheduled for _, node in found)
    by_cell = {name: {node.rate for n, node in found if n == name} for name, _ in found}
    assert all(len(some) == 1 for some in by_cell.values())
    return {name: some.pop() for name, some in by_cell.items()}


def test_rates_grow_from_cell_to_cell_as_the_formula_says() -> None:
    paths = ("sep_3x3", "conv_1x1")
    cifar = nasnet(SMALL, 3, 2, 4, operations=paths, drop_path=0.4)
    order = ["cell_0", "cell_1", "reduction_cell_0", "cell_2", "cell_3", "reduction_cell_1", "cell_4", "cell_5"]
    keeps = [1 - (c + 1) / 8 * (1 - 0.6) for c in range(8)]
    assert [1 - rates(cifar)[name] for name in order] == pytest.approx(keeps)
    imagenet = rates(nasnet((3, 64, 64), 3, 1, 4, operations=paths, drop_path=0.3))
    assert imagenet["cell_stem_0"] == pytest.approx(0.3 / 7)
    assert imagenet["cell_2"] == pytest.approx(0.3)
    assert rates(pnasnet(SMALL, 3, 1, 4, operations=paths, drop_path=0.4))["cell_2"] == pytest.approx(0.4)
    assert rates(enas(SMALL, 3, 1, 4, drop_path=0.4))["layer_0"] == pytest.approx(0.4 / 5)


def test_an_identity_is_never_dropped() -> None:
    assert rates(nasnet(SMALL, 3, 1, 4, operations=("identity",), drop_path=0.4)) == {}


def test_dropped_paths_change_no_key() -> None:
    plain, dropping = (nasnet(SMALL, 3, 1, 4, drop_path=rate) for rate in (0.0, 0.4))
    arch = plain.sample(np.random.default_rng(1))
    with torch.device("meta"):
        keys = [list(build(space.network(arch), SMALL).state_dict()) for space in (plain, dropping)]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("output", ["loose", "all", "listed"])
def test_texts_lead_there_and_back(output: str) -> None:
    ends = " =1,3" if output == "listed" else ""
    text = f"{CELL}{ends} / {CELL}{ends}"
    space = nasnet(SMALL, 3, 1, 4, blocks=2, output=output)
    arch = space.parse(f"  {CELL}   {ends}/{CELL} {ends}")
    assert space.spell(arch) == text
    assert arch["normal.3.left.input"] == "2"
    assert (arch.labels.get("reduction.output") == "1_3") == (output == "listed")


def test_states_that_nobody_reads_are_joined() -> None:
    widths = {}
    for output, ends in (("loose", ""), ("all", ""), ("listed", " =0,1,3"), ("listed", " =3")):
        space = nasnet(SMALL, 3, 1, 4, blocks=2, output=output)
        arch = space.parse(f"{CELL}{ends} / sep_3x3@1+identity@1 avg_3x3@1+max_3x3@2{ends}")
        layers = {layer.name: layer.out for layer in profile(space.network(arch), space.input).layers}
        into = {name: out[0] for name, out in layers.items() if name == "body.reduction_cell_0.0.act"}
        widths[output + ends] = (
            into["body.reduction_cell_0.0.act"],
            "body.reduction_cell_0.join.state0.norm" in layers,
        )
    # The normal cell joins state 3; the reduction leaves state 0 loose as well, which it must reduce.
    assert widths == {"loose": (4, True), "all": (8, False), "listed =0,1,3": (12, True), "listed =3": (4, False)}


def test_all_cells_of_a_kind_are_one_decision() -> None:
    space = nasnet(SMALL, 3, 2, 4)
    arch = space.parse(f"{'identity@0+identity@1 ' * 5} / {'max_3x3@0+max_3x3@1 ' * 5}")
    other = space.read({**arch.labels, "normal.4.right.op": "sep_3x3"})
    ops = [{(op.path, op.node) for op in graph(space.network(a), space.input).ops} for a in (arch, other)]
    changed = {path.split(".")[1] for path, node in ops[1] - ops[0] if node is not None and ".4.right." in path}
    assert changed == {f"cell_{k}" for k in range(6)}
    assert len(space.choices) == 2 * 5 * 2 * 2


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (CELL, "has 1 cells, expected 2 parted by /: normal, reduction"),
        (f"{CELL} / sep_3x3@0", "is no block of the reduction cell"),
        (f"{CELL} / {CELL.replace('@2', '@')}", "is no block of the reduction cell"),
        (f"{CELL} / {CELL.replace('avg_3x3', 'avg_9x9')}", "'reduction.3.left.op' has no option avg_9x9"),
        (f"{CELL} / {CELL.replace('@2', '@3')}", "'reduction.3.left.input' has no option 3"),
        (f"{CELL} / {CELL} {CELL}", "has no choice named 'reduction.4.left.input'"),
        (f"{CELL} / identity@0+identity@1", "does not say what 'reduction.3"),
        (f"{CELL} =2 / {CELL}", "has no choice named 'normal.output'"),
    ],
)
def test_a_bad_text_is_refused_in_one_line(text: str, what: str) -> None:
    with pytest.raises((ValueError, KeyError), match=what) as caught:
        nasnet(SMALL, 3, 1, 4, blocks=2).parse(text)
    assert "\n" not in str(caught.value)


def test_a_bad_arc_of_enas_is_refused_in_one_line() -> None:
    space = enas(SMALL, 3, 1, 4, blocks=1)
    assert space.spell(space.parse("0 2 1 4  1 0 0 3")) == "0 2 1 4 1 0 0 3"
    for text, what in (("0 2 1", "is no architecture of enas; one is 8 numbers"), ("0 2 1 5 1 0 0 3", "operation 5")):
        with pytest.raises(ValueError, match=what):
            space.parse(text)


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ({"output": "some"}, "there is no output 'some'"),
        ({"stem": "vit"}, "there is no stem 'vit'"),
        ({"blocks": 0}, "blocks must be at least 1"),
        ({"operations": ("x",)}, "there is no operation 'x'"),
    ],
)
def test_a_bad_setting_is_named(setting: dict[str, object], what: str) -> None:
    for make in (nasnet, pnasnet):
        with pytest.raises(UserError, match=what):
            make(SMALL, 3, **setting)
    with pytest.raises(UserError, match="there is no output 'listed'; take one of loose, all"):
        enas(SMALL, 3, output="listed")


@pytest.mark.parametrize("make", [nasnet, pnasnet, enas])
def test_an_auxiliary_head_is_put_out_in_training_and_not_counted(make: Callable[..., Space]) -> None:
    plain, space = (make((3, 32, 32), 7, 1, 4, auxiliary=on) for on in (False, True))
    arch = space.sample(np.random.default_rng(2))
    flat = graph(space.network(arch), space.input)
    heads = sum((op.node.cost(op.reads) for op in flat.ops if op.train and op.node is not None), Cost())
    with torch.device("meta"):
        module = build(space.network(arch), space.input)
        outs = module.train()(torch.empty(2, *space.input))
    counted = profile(space.network(arch), space.input).total
    assert [tuple(out.shape) for out in outs] == [(2, 7), (2, 7)]
    assert counted == profile(plain.network(arch), plain.input).total
    assert sum(p.numel() for p in module.parameters()) == counted.params + heads.params


def test_half_an_image_keeps_every_second_pixel_and_its_neighbour() -> None:
    module = build(FactorizedReduction(2), (1, 3, 4)).eval()
    with torch.no_grad():
        for name, p in module.named_parameters():
            if "conv" in name:
                p.fill_(1.0)
        x = torch.arange(12.0).reshape(1, 1, 3, 4)
        out = module(x) * (1 + 1e-5) ** 0.5
    assert torch.allclose(out[0, 0], x[0, 0, ::2, ::2])
    assert torch.allclose(out[0, 1], torch.tensor([[5.0, 7.0], [0.0, 0.0]]))


def test_nasnet_a_large_is_profiled_in_less_than_a_second() -> None:
    start = process_time()
    plugins.published("nasnet-a-large").profile()
    assert process_time() - start < 1
