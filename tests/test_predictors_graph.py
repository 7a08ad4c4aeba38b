"""Graph networks as predictors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from nas.bench.named import named
from nas.decision import decisions
from nas.errors import UserError
from nas.space import Space
from nas.testing import predictor_laws
from nas.testing.predictors import drawn
from nas.testing.strategies import table
from predictors.graphs import Graphs
from predictors.network import SIZES, GraphNetwork, Inputs, Net, Size, sized
from predictors.paths import Paths
from search_spaces import nasbench201
from tests.test_space_nasbench import TABLES, tables

TABLE = Graphs(table()[0])
SMALL = Size(members=2, layers=2, width=16, steps=100)
QUICK = replace(SMALL, steps=40)
SPACE = nasbench201()
GRAPHS = Graphs(SPACE)


def make(size=SMALL, **rest):
    return GraphNetwork(table()[0], size, graphs=TABLE, **rest)


@pytest.mark.parametrize("law", list(predictor_laws()))
def test_a_graph_network_keeps_every_law(law):
    predictor_laws()[law](lambda: make(QUICK))


def test_it_may_learn_the_values_themselves():
    predictor_laws()["nearer to the truth than the mean"](lambda: make(ranks=False))


def test_the_order_of_the_vertices_does_not_matter():
    generator = torch.Generator().manual_seed(0)
    net = Net(5, 0, SMALL, generator)
    vertices, edges = torch.rand(3, 7, 5, generator=generator), torch.rand(3, 7, 7, generator=generator)
    one = net(Inputs(vertices, edges, edges.mT, torch.zeros(3, 0)))
    turn = torch.tensor([4, 2, 0, 5, 1, 3, 6])  # the last is where the network reads
    turned = edges[:, turn][:, :, turn]
    other = net(Inputs(vertices[:, turn], turned, turned.mT, torch.zeros(3, 0)))
    assert one.shape == (2, 3)
    assert torch.allclose(one, other, atol=1e-5)
    assert not torch.allclose(one, net(Inputs(vertices, edges.mT, edges, torch.zeros(3, 0))), atol=1e-3)


def test_what_hangs_on_the_way_through_a_network_is_learnt():
    paths, rng = Paths(SPACE, zeros=False), np.random.default_rng(0)
    archs = list(dict.fromkeys(SPACE.sample(rng) for _ in range(300)))
    truth = np.array([float(sum("nor_conv_3x3" in way for _, way in paths.of(a))) for a in archs])
    model = GraphNetwork(SPACE, Size(members=2, layers=3, width=32, steps=120), graphs=GRAPHS)
    said = model.fit(archs[:100], truth[:100]).predict(archs[100:]).mean
    assert kendalltau(said, truth[100:])[0] > 0.75


def test_features_join_and_may_be_huge_or_missing():
    archs, _ = drawn(150, 3)
    truth = np.random.default_rng(0).random(150)
    features = np.stack([10 ** (60 * truth)], 1)
    features[::9] = np.nan
    said = make().fit(archs[:110], truth[:110], features[:110]).predict(archs[110:], features[110:]).mean
    there = np.isfinite(features[110:, 0])
    assert np.isfinite(said).all()
    assert np.corrcoef(said[there], truth[110:][there])[0, 1] > 0.8


def test_equal_seeds_say_the_same_and_others_do_not():
    archs, y = drawn(60, 1)
    said = [make(seed=seed).fit(archs[:30], y[:30]).predict(archs[30:]).mean for seed in (0, 0, 1)]
    assert np.array_equal(said[0], said[1])
    assert not np.allclose(said[0], said[2])


def test_it_is_surer_of_what_it_learnt_from():
    archs, y = drawn(100, 2)
    model = make(replace(SMALL, members=4, steps=200)).fit(archs[:40], y[:40])
    assert model.predict(archs[:40]).std.mean() < model.predict(archs[40:]).std.mean()


def test_larger_graphs_have_smaller_networks():
    weights = [size.members * size.layers * size.width * size.batch * size.steps for _, size in SIZES]
    assert weights == sorted(weights, reverse=True)
    assert sized(8) == Size()
    assert sized(250) == SIZES[-1][1]


def test_what_cannot_be_learnt_from_is_said():
    archs, y = drawn(5, 0)
    with pytest.raises(ValueError, match="a graph network needs at least 3"):
        make().fit(archs[:2], y[:2])
    with pytest.raises(ValueError, match="finite"):
        make().fit(archs, np.array([0.1, np.nan, 0.2, 0.3, 0.4]))
    space = Space("wide", decisions({f"choice{k}": (0, 1) for k in range(300)}), (1,))
    some = [space.sample(np.random.default_rng(k)) for k in range(3)]
    with pytest.raises(
        UserError, match="graphs of 303 vertices are too large for a graph network; take another predictor"
    ):
        GraphNetwork(space).fit(some, np.array([0.1, 0.2, 0.3]))


@tables
def test_fifty_cells_of_nasbench201_are_enough_for_their_order():
    read = named("nb201-cifar10", TABLES)
    y, turn = read.columns["c10_test_200ep"], np.random.default_rng(0).permutation(len(read.archs))
    known, asked = turn[:50], turn[50:1050]
    model = GraphNetwork(read.space, replace(Size(), members=2, width=32, steps=200), graphs=GRAPHS)
    said = model.fit([read.archs[k] for k in known], y[known]).predict([read.archs[k] for k in asked])
    assert kendalltau(said.mean, y[asked])[0] > 0.7  # a forest on the choices: 0.31
