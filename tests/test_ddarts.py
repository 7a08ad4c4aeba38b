"""D-DARTS and DARTOpti: losses of single cells, thresholds, deeper networks, and how far architectures lie apart."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas import plugins
from nas.data import Data
from nas.derive import thresholded, uses
from nas.errors import UserError
from nas.problem import Problem
from nas.training import Recipe
from nas.training.carry import carry
from nas.training.relax import FOUND, Descent, Distributed, Settled
from nas.training.relax import distributed as module
from nas.training.relax.distance import OPERATIONS, distance, hausdorff
from nas.training.relax.distributed import slope, switched
from nas.training.relax.mixing import Mixing, plain
from nas.training.relax.stop import Seen
from search_spaces.dartopti import dartopti, start
from search_spaces.darts import thirds
from search_spaces.ddarts import ddarts, origin
from search_spaces.nasbench201 import nasbench201
from tests.trainings import CPU, INFO, TRAIN, VALIDATION, Stop, silent, stop_after

FEW = ("max_pool_3x3", "skip_connect", "dil_conv_3x3")
SMALL = ddarts(input=(1, 8, 8), classes=3, cells=3, layers=3, channels=2, operations=FEW)
TINY = ddarts(input=(1, 8, 8), classes=3, cells=3, layers=3, channels=2, operations=FEW[:2])
QUICK = Descent(alpha_rate=0.1, alpha_least=0.1)
R18_C100 = (
    "simple_conv_3x3 2 0, bottleneck_1x3x1 2 0, conv_7x1_1x7 2 1, bottleneck_1x3x1 2 1, skip_connect 3 0, "
    "bottleneck_1x3x1 3 0, max_pool_3x3 3 1, bottleneck_1x3x1 3 1, conv_7x1_1x7 3 2, bottleneck_1x3x1 3 2, "
    "max_pool_3x3 4 0, bottleneck_1x3x1 4 0, conv_7x1_1x7 4 1, bottleneck_1x3x1 4 1, conv_7x1_1x7 4 2, "
    "bottleneck_1x3x1 4 2, max_pool_3x3 4 3, bottleneck_1x3x1 4 3, conv_7x1_1x7 5 0, bottleneck_1x3x1 5 0, "
    "simple_conv_3x3 5 1, bottleneck_1x3x1 5 1, max_pool_3x3 5 2, bottleneck_1x3x1 5 2, max_pool_3x3 5 3, "
    "bottleneck_1x3x1 5 3, max_pool_3x3 5 4, bottleneck_1x3x1 5 4"
)
"""The cell of ResNet18_cifar100_threshold_edge_0.85.txt of the released code, four times the same."""


def baseline(name):
    return dartopti(baseline=name).parse(start(name))


def r18_c100():
    gene = [(op, int(n), int(k)) for op, n, k in (edge.split() for edge in R18_C100.split(", "))]
    return dartopti().parse(f"Genotype_nested(genes={[gene] * 4}, concat=range(2, 6), reductions=[1, 2, 3])")


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (lambda: baseline("resnet18"), lambda: baseline("resnet50"), 0.0836300),
        (lambda: baseline("resnet18"), lambda: baseline("xception"), 0.0841555),
        (lambda: baseline("resnet50"), lambda: plugins.published("dartopti-resnet50-edge").arch, 0.168523),
        (lambda: baseline("resnet18"), lambda: plugins.published("dartopti-resnet18-edge").arch, 0.167564),
        (lambda: baseline("resnet18"), r18_c100, 0.167547),
    ],
)
def test_distances_are_those_of_the_released_code(one, other, apart):
    assert distance(one(), other()) == pytest.approx(apart, abs=5e-7)
    assert distance(other(), one()) == distance(one(), other())
    assert distance(one(), one()) == 0


def test_the_distance_of_cells_is_a_metric_on_random_tables():
    rng, weights = np.random.default_rng(0), np.array(list(OPERATIONS.values()))
    cells = [rng.random((14, 12)) < 0.2 for _ in range(8)]
    for a in cells:
        for b in cells:
            assert hausdorff(a, b, weights) == hausdorff(b, a, weights)
            for c in cells:
                assert hausdorff(a, c, weights) <= hausdorff(a, b, weights) + hausdorff(b, c, weights) + 1e-12
    assert hausdorff(cells[0], cells[0][::-1], weights) == 0


def test_a_distance_of_other_spaces_is_refused():
    cell = nasbench201().sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"nasbench201 has the choice 'node1.from0'"):
        distance(cell, cell)
    with pytest.raises(ValueError, match="other operations"):
        distance(baseline("resnet18"), ddarts().sample(np.random.default_rng(0)))


CELLS = torch.tensor([0, 0, 1, 1, 1])


def toy_loss(alphas, off):
    """A cross-entropy of five alphas in two cells; that of a cell that is off does not depend on its own."""
    weights = alphas.sigmoid() if off is None else torch.where(off == CELLS, 0.3, alphas.sigmoid())
    return (weights - torch.tensor([0.9, 0.2, 0.8, 0.1, 0.5])).square().sum() + weights.prod()


def own_loss(alphas, cell, w01, wab):
    """The loss of a cell, by the paper's formula."""
    whole, off = toy_loss(alphas, None), torch.stack([toy_loss(alphas, k) for k in (0, 1)])
    contributions, sigma = whole - off, alphas.sigmoid()[cell == CELLS]
    l01 = -(sigma - 0.5).square().mean()
    lab = -(contributions[cell] - contributions.mean()) / contributions.mean()
    return whole + w01 * l01 + wab * lab, contributions.mean()


@pytest.mark.parametrize(("w01", "wab"), [(0.0, 0.0), (9.0, 0.0), (9.0, 0.7), (0.0, 5.0)])
def test_the_slope_of_each_cell_is_that_of_its_own_loss(w01, wab):
    alphas = torch.tensor([1.5, -1.0, 1.2, -0.7, 0.2], dtype=torch.float64, requires_grad=True)
    found, whole = slope(alphas, CELLS, toy_loss, w01=w01, wab=wab)
    for cell in (0, 1):
        loss, mean = own_loss(alphas, cell, w01, wab)
        assert mean.item() < -module.LEAST  # both cells are of use, so the paper's formula and ours are one
        (exact,) = torch.autograd.grad(loss, [alphas])
        assert torch.allclose(found[cell == CELLS], exact[cell == CELLS], atol=1e-6)
    assert whole.item() == pytest.approx(toy_loss(alphas.detach(), None).item())


def test_the_ablation_loss_moves_the_alphas_and_cells_differently():
    alphas = torch.tensor([1.5, -1.0, 1.2, -0.7, 0.2], requires_grad=True)
    none, some, more = (slope(alphas, CELLS, toy_loss, w01=9.0, wab=w)[0] for w in (0.0, 0.7, 1.4))
    assert torch.all((some - none).abs() > 1e-3)
    assert torch.allclose(more - none, 2 * (some - none), atol=1e-5)
    share = (some - none) / slope(alphas, CELLS, toy_loss, w01=0.0, wab=0.0)[0]
    assert abs(float(share[0] - share[2])) > 1e-2


def test_the_ablation_loss_neither_explodes_nor_turns_round_where_cells_do_harm():
    def useless(alphas, off):
        return (alphas * 0.01).sum() * (1 if off is None else 0.999)

    def harmful(alphas, off):
        return alphas.sigmoid().sum() - (0 if off is None else 1.0)

    alphas = torch.full((5,), 2.0, requires_grad=True)
    assert float(slope(alphas, CELLS, useless, w01=0.0, wab=0.7)[0].abs().max()) < 1
    assert bool((slope(alphas, CELLS, harmful, w01=0.0, wab=0.7)[0] > 0).all())


def test_a_cell_that_is_off_weighs_its_operations_at_random_and_no_others():
    space, mixing = SMALL, Mixing(SMALL, "sigmoid")
    assert [len(names) for names in mixing.cells()] == [14 * len(FEW)] * 3
    mix = mixing(torch.full((mixing.size,), 10.0))
    name = "cell1.node2.from0.skip_connect"
    assert switched(mix[name], torch.tensor([0.25])).tolist() == [0.75, 0.25]
    assert mix[name][1] == pytest.approx(1, abs=1e-4)
    assert space.choices[name].labels == (0, 1)


def weighed(space, weights):
    return {name: [1 - weights.get(name, 0.0), weights.get(name, 0.0)] for name in space.choices}


def test_thresholds_keep_what_the_paper_keeps():
    node = "cell0.node3"
    weights = {
        f"{node}.from0.skip_connect": 0.95,
        f"{node}.from0.max_pool_3x3": 0.90,
        f"{node}.from0.dil_conv_3x3": 0.86,
        f"{node}.from1.skip_connect": 0.80,
        f"{node}.from2.dil_conv_3x3": 0.85,
        f"{node}.from2.max_pool_3x3": 0.84,
    }
    mix = weighed(SMALL, weights)

    def kept(**settings):
        labels = thresholded(SMALL, mix, **settings).labels
        return [name.removeprefix(f"{node}.") for name, label in labels.items() if label]

    assert kept() == ["from0.skip_connect", "from2.dil_conv_3x3"]
    assert kept(way="edge") == ["from0.max_pool_3x3", "from0.skip_connect", "from2.dil_conv_3x3"]
    assert kept(way="edge", threshold=0.8)[2:] == ["from1.skip_connect", "from2.dil_conv_3x3", "from2.max_pool_3x3"]
    assert kept(threshold=0.99) == []


def test_released_cells_come_out_of_their_own_weights():
    for name in ("d-darts-sparse-cifar-8", "d-darts-edge-cifar-8"):
        arch, space = plugins.published(name).arch, ddarts(channels=36, reductions=(2, 6))
        mix = weighed(space, {choice: 0.9 * label for choice, label in arch.choices})
        assert thresholded(space, mix, way="sparse" if "sparse" in name else "edge") == arch


def test_thresholds_of_other_spaces_are_refused():
    with pytest.raises(UserError, match=r"nasbench201 has the choice node1\.from0"):
        thresholded(nasbench201(), {})
    with pytest.raises(UserError, match="no way 'dense'"):
        thresholded(SMALL, {}, way="dense")


@pytest.mark.parametrize("layers", [14, 20])
def test_deeper_networks_take_each_cell_from_the_same_third(layers):
    (a, b), (first, second) = thirds(8), thirds(layers)
    sources = [origin(i, layers, 8) for i in range(layers)]
    assert (sources[first], sources[second]) == (a, b)
    assert set(sources[:first]) <= set(range(a + 1))
    assert set(sources[first + 1 : second]) == set(range(a + 1, b))
    assert set(sources[second + 1 :]) == set(range(b + 1, 8))
    arch = ddarts(cells=8, layers=8).sample(np.random.default_rng(0))
    assert ddarts(cells=8, layers=layers).member(arch)


def begun(method, epochs=2):
    data = Data(INFO, TRAIN, VALIDATION)
    recipe = Recipe(epochs=epochs, batch_size=35)
    return method.begin(Problem(TINY), data, TRAIN, recipe, seed=3, device=CPU)


def test_a_distributed_search_goes_on_with_the_same_numbers(tmp_path):
    method = Distributed(descent=QUICK)
    straight = begun(method)
    carry(straight, seed=3, device=CPU, folder=tmp_path / "a", report=silent)
    with pytest.raises(Stop):
        carry(begun(method), seed=3, device=CPU, folder=tmp_path / "b", report=stop_after(1))
    again = begun(method)
    carry(again, seed=3, device=CPU, folder=tmp_path / "b", report=silent)
    assert torch.equal(straight.alphas, again.alphas)
    assert (tmp_path / "a" / FOUND).read_text() == (tmp_path / "b" / FOUND).read_text()
    mix = json.loads((tmp_path / "a" / FOUND).read_text())["mix"]
    assert {len(mix[name]) for name in TINY.choices} == {2}


def test_the_first_weights_of_dartopti_are_those_of_its_baseline():
    space, arch = dartopti(), baseline("resnet18")
    mixing = Mixing(space, "sigmoid")
    alphas = mixing.alphas_of(arch)
    assert sorted(set(alphas.tolist())) == [0.0, 10.0]
    assert int((alphas == 10).sum()) == 6
    assert thresholded(space, plain(mixing(alphas)), way="edge") == arch
    assert uses(arch, "skip_connect") == 2


def test_dartopti_stops_where_the_distance_no_longer_changes():
    space, arch = dartopti(), baseline("resnet18")
    other = space.read({**arch.labels, "gene0.node2.from1.max_pool_3x3": 1})
    here, there = (Seen(weighed(space, {n: 1.0 for n, label in a.choices if label})) for a in (arch, other))
    stop = Settled(arch, start=1, patience=2)
    assert distance(arch, other) > 1e-3
    assert stop(space, [here] * 3) is None
    assert stop(space, [here] * 4) == 3
    assert stop(space, [here, here, there, there]) is None
    assert stop(space, [here, there, there, there]) == 3
    assert replace(stop, start=2)(space, [here] * 4) is None
