"""Graphs of architectures, and the rows that are read from them."""

import hashlib
import pickle
from itertools import product

import numpy as np
import pytest

from nas.profile import profile
from nas.testing.strategies import table
from predictors.adjacency import Adjacency
from predictors.graphs import Graphs
from predictors.layers import COLUMNS, Layers
from predictors.wiring import NUMBERS
from search_spaces import SPACES, nasbench101, nasbench201, nasbench_macro

SOURCES = {
    "nasbench201": "decisions",
    "nasbench_macro": "decisions",
    "mobile": "decisions",
    "darts": "decisions",
    "tabular": "decisions",
    "pooling": "decisions",
    "nats_size": "decisions",
    "nasbench101": "cells",
    "accel_nasbench": "choices",
    "nasbench_graph": "choices",
}
CELL = nasbench201()
CONV, POOL = "nor_conv_3x3 Act-relu Conv Norm", "avg_pool_3x3 AvgPool"


def sampled(space, count, seed=0):
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(space.sample(rng) for _ in range(count)))


def read(*ops):
    names = ("node1.from0", "node2.from0", "node2.from1", "node3.from0", "node3.from1", "node3.from2")
    return CELL.read(dict(zip(names, ops, strict=True)))


def fingerprint(one):
    """A name of a graph that does not depend on the order of its vertices (Weisfeiler and Leman 1968)."""
    names = [f"{kind} {row.round(9).tolist()}" for kind, row in zip(one.kinds, one.numbers, strict=True)]
    for _ in one.kinds:
        around = [
            [
                sorted(f"{int(n)} {names[i]}" for i, n in enumerate(side) if n)
                for side in (one.edges[:, k], one.edges[k])
            ]
            for k in range(len(names))
        ]
        names = [hashlib.md5(f"{a} {b}".encode()).hexdigest() for a, b in zip(names, around, strict=True)]
    return " ".join(sorted(names))


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_space_has_graphs_that_tell_architectures_apart(name):
    space = SPACES[name]()
    graphs, archs = Graphs(space), sampled(space, 6)
    assert graphs.source == SOURCES[name]
    made = [graphs.of(arch) for arch in archs]
    for one in made:
        n = len(one.kinds)
        assert (one.kinds[0], one.kinds[-1]) == ("input", "output")
        assert one.numbers.shape == (n, len(NUMBERS))
        assert np.isfinite(one.numbers).all()
        assert one.edges.shape == (n, n)
        assert not one.edges[:, 0].any()
        assert not one.edges[-1].any()
        assert (one.edges[:, 1:-1].sum(0) > 0).all(), "a vertex reads nothing"
        assert (one.edges[1:-1].sum(1) > 0).all(), "a vertex is not read"
    classes = {space.same(arch) for arch in archs} if space.same and name != "nasbench_graph" else archs
    assert len({fingerprint(one) for one in made}) >= 0.8 * len(classes)


def test_the_graph_of_a_cell_by_hand():
    graphs = Graphs(CELL)
    whole = graphs.of(read("nor_conv_3x3", "skip_connect", "none", "avg_pool_3x3", "none", "nor_conv_3x3"))
    # node 1 is read by nothing; node 2 is the input itself; node 3 adds pooling and a convolution of the input.
    assert whole.kinds == ("input", POOL, CONV, "output")
    assert whole.edges.tolist() == [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    conv = dict(zip(NUMBERS, whole.numbers[2], strict=True))
    assert conv["kernel"] == 3
    assert np.expm1(conv["macs"]) == pytest.approx(16 * 16 * 9 * 32 * 32)
    assert np.expm1(conv["params"]) == pytest.approx(16 * 16 * 9 + 2 * 16)
    assert np.expm1(conv["width"]) == pytest.approx(16)
    twice = graphs.of(read("skip_connect", "skip_connect", "skip_connect", "none", "none", "avg_pool_3x3"))
    assert twice.edges[0, 1] == 2
    assert graphs.of(read(*["none"] * 6)).kinds == ("input", "output")
    assert not graphs.of(read(*["none"] * 6)).edges.any()


@pytest.mark.parametrize("space", [CELL, nasbench101()], ids=lambda s: s.name)
def test_equal_networks_have_equal_graphs(space):
    graphs, rng = Graphs(space), np.random.default_rng(0)
    some = [space.sample(rng) for _ in range(25)]
    archs = list(dict.fromkeys([*some, *(space.mutate(a, rng) for a in some for _ in range(3))]))
    found = {}
    for arch in archs:
        found.setdefault(space.same(arch), set()).add(fingerprint(graphs.of(arch)))
    assert len(found) < len(archs)
    assert all(len(names) == 1 for names in found.values())


def test_all_cells_of_nasbench201_have_fewer_graphs_than_the_authors_tell_apart():
    graphs = Graphs(CELL)
    ops = ("none", "skip_connect", "nor_conv_3x3")
    archs = [read(*six) for six in product(ops, repeat=6)]
    assert len({fingerprint(graphs.of(a)) for a in archs}) < len({CELL.same(a) for a in archs}) < len(archs)


@pytest.mark.parametrize("space", [CELL, nasbench_macro()], ids=lambda s: s.name)
def test_a_graph_put_together_is_the_one_that_is_followed(space):
    graphs = Graphs(space)
    assert graphs._parts is not None
    for arch in sampled(space, 40, 1):
        one, other = graphs._parts(arch), graphs._followed(arch)
        assert (one.kinds, one.names) == (other.kinds, other.names)
        assert np.array_equal(one.numbers, other.numbers)
        assert np.array_equal(one.edges, other.edges)


@pytest.mark.parametrize("name", ["mobile", "darts", "nasbench101"])
def test_choices_that_act_on_others_are_followed(name):
    assert Graphs(SPACES[name]())._parts is None


def test_the_number_of_cells_changes_no_graph():
    one, many = Graphs(nasbench201(cells=1)), Graphs(nasbench201(cells=4))
    for arch in sampled(CELL, 20):
        assert one.of(arch).kinds == many.of(arch).kinds
        assert np.array_equal(one.of(arch).numbers, many.of(arch).numbers)


def test_layers_that_compute_nothing_are_told_apart_by_their_choices():
    space, _ = table()
    graphs = Graphs(space)
    assert graphs.source == "choices"
    assert len({graphs.of(arch).kinds for arch in space}) == 200


def test_a_copy_for_another_process_keeps_no_graphs():
    graphs, archs = Graphs(CELL), sampled(CELL, 200)
    small = len(pickle.dumps(graphs))
    rows = Layers(CELL, graphs=graphs)(archs)
    assert len(pickle.dumps(graphs)) == small
    assert np.array_equal(Layers(CELL, graphs=pickle.loads(pickle.dumps(graphs)))(archs), rows)


def test_a_batch_is_filled_up_with_nothing():
    graphs, archs = Graphs(CELL), sampled(CELL, 30)
    kinds = graphs.kinds(archs[:5])
    batch = graphs(archs, kinds)
    for k, arch in enumerate(archs):
        one = graphs.of(arch)
        n = len(one.kinds)
        assert batch.mask[k].tolist() == [1.0] * n + [0.0] * (batch.mask.shape[1] - n)
        assert [kinds[c - 1] if c else None for c in batch.kinds[k, :n]] == [
            kind if kind in kinds else None for kind in one.kinds
        ]
        assert np.array_equal(batch.edges[k, :n, :n], one.edges)
        assert not batch.edges[k, n:].any()
        assert not batch.numbers[k, n:].any()


def test_the_rows_of_the_adjacency_by_hand():
    graphs = Graphs(CELL)
    small = read("none", "none", "none", "nor_conv_3x3", "none", "none")
    large = read("nor_conv_3x3", "none", "avg_pool_3x3", "none", "none", "nor_conv_3x3")
    code = Adjacency.of(graphs, [small])
    assert code.kinds == ("input", CONV, "output")
    # input feeds the convolution, and that the output
    assert code([small])[0].tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 0, *np.eye(3).ravel()]
    cut = code([large])[0]
    assert cut.tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]
    archs = sampled(CELL, 100)
    rows = Adjacency.of(graphs, archs)(archs)
    same = {tuple(row) for row in rows}
    assert len(same) == len({(graphs.of(a).kinds, graphs.of(a).edges.tobytes()) for a in archs})


@pytest.mark.parametrize("name", ["nasbench201", "mobile", "fbnet"])
def test_the_costs_of_all_layers_are_those_of_the_profile(name):
    space = SPACES[name]()
    archs = sampled(space, 4)
    rows = Layers(space, whole=True)(archs)
    for row, arch in zip(rows, archs, strict=True):
        if name == "nasbench201" and "none" in arch.labels.values():
            continue  # what does not reach the output is not counted
        total, named = profile(space.network(arch), space.input).total, dict(zip(COLUMNS, row, strict=True))
        assert np.expm1(named["macs"]) == pytest.approx(total.macs)
        parts = [named[f"stage{k}.macs"] for k in range(1, 7)]
        assert np.expm1(parts).sum() == pytest.approx(total.macs)
        assert np.expm1(named["params"]) <= total.params * (1 + 1e-9)


def test_the_row_of_a_cell_by_hand():
    row = Layers(CELL)([read("nor_conv_3x3", "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "none", "nor_conv_3x3")])[
        0
    ]
    named = dict(zip(COLUMNS, row, strict=True))
    # conv -> pool -> conv, conv -> conv, and the input itself
    assert (named["layers"], named["computing"], named["longest"], named["deepest"]) == (4, 3, 3, 2)
    assert np.expm1(named["ways"]) == pytest.approx(3)
    assert named["kernel"] == 3
    assert named["stage1.layers"] == 4
    assert named["stage2.layers"] == 0
