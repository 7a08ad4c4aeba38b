"""The path code, the ensemble of networks and the Gaussian process."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import check_grad

from nas.testing import predictor_laws
from nas.testing.predictors import drawn
from predictors.encode import Ordinal
from predictors.gp import GP, _cost
from predictors.neural import Networks
from predictors.paths import Paths
from search_spaces import fbnet, mobile, nasbench101, nasbench201
from search_spaces.nasbench201 import OPERATIONS

SPACE = nasbench201(cells=1, channels=4)
MAKERS = {"networks": lambda: Networks(epochs=50, layers=4), "gp": GP, "gp on ranks": lambda: GP(ranks=True)}


def covering():
    """125 cells in which every sequence of operations stands on some way from the input to the output."""
    for first, second, third in product(OPERATIONS, repeat=3):
        labels = {"node1.from0": first, "node2.from1": second, "node3.from2": third}
        yield SPACE.read({**labels, "node3.from0": first, "node2.from0": second, "node3.from1": third})


@pytest.mark.parametrize("law", list(predictor_laws()))
@pytest.mark.parametrize("name", list(MAKERS))
def test_every_predictor_keeps_every_law(name, law):
    predictor_laws()[law](MAKERS[name])


@pytest.mark.parametrize(
    ("longest", "zeros", "count"),
    [(None, True, 155), (3, True, 155), (2, True, 30), (1, True, 5), (None, False, 84), (2, False, 20)],
)
def test_the_paths_of_nasbench201(longest, zeros, count):
    # 5 + 25 + 125 sequences of up to three operations; without `none` 4 + 16 + 64.
    paths = Paths(SPACE, longest=longest, zeros=zeros)
    columns = paths.columns(list(covering()))
    assert len(columns) == len(set(columns)) == count
    lengths = [len(labels) for _, labels in columns]
    assert lengths == sorted(lengths)


def test_the_paths_of_one_cell_by_hand():
    cell = SPACE.parse("|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|")
    ways = {
        ("avg_pool_3x3",),
        ("nor_conv_3x3", "nor_conv_1x1"),
        ("skip_connect", "skip_connect"),
        ("nor_conv_3x3", "none", "skip_connect"),
    }
    assert {labels for _, labels in Paths(SPACE).of(cell)} == ways
    assert {labels for _, labels in Paths(SPACE, zeros=False).of(cell)} == {w for w in ways if "none" not in w}


def test_the_number_of_cells_changes_no_path():
    one, many = Paths(nasbench201(cells=1)), Paths(nasbench201(cells=3))
    for arch in list(covering())[::4]:
        assert one.of(arch) == many.of(arch)


@pytest.mark.parametrize("space", [fbnet(), mobile((3, 32, 32), 10), nasbench101()], ids=lambda s: s.name)
def test_different_networks_of_chains_have_different_paths(space):
    rng, paths = np.random.default_rng(0), Paths(space)
    archs = list({space.sample(rng) for _ in range(60)})
    assert len({paths.of(a) for a in archs}) == len(archs)
    rows = paths(archs, paths.columns(archs))
    assert set(np.unique(rows)) == {0.0, 1.0}
    assert (rows.sum(1) == [len(paths.of(a)) for a in archs]).all()


def test_ordinal_rows_are_places_of_labels():
    space = mobile((3, 32, 32), 10)
    arch = space.sample(np.random.default_rng(1))
    row = Ordinal(space)([arch])[0]
    for k, (name, choice) in enumerate(space.choices.items()):
        assert row[k] == (choice.labels.index(arch[name]) if name in arch.labels else -1)


@pytest.mark.parametrize("make", [lambda paths: GP(paths, ranks=True), lambda paths: Networks(paths, epochs=50)])
def test_what_hangs_on_paths_is_learnt(make):
    archs, paths = list(covering()), Paths(SPACE, zeros=False)
    turn = np.random.default_rng(0).permutation(len(archs))
    truth = np.array([float(sum("nor_conv_3x3" in way for _, way in paths.of(a))) for a in archs])
    known, asked = turn[:70], turn[70:]
    said = make(paths).fit([archs[k] for k in known], truth[known]).predict([archs[k] for k in asked]).mean
    assert np.corrcoef(said, truth[asked])[0, 1] > 0.8


@pytest.mark.parametrize("name", list(MAKERS))
def test_features_are_learnt_from(name):
    archs, _ = drawn(120, 3)
    features = np.random.default_rng(0).random((120, 2))
    y = features[:, 0] ** 2
    model = MAKERS[name]().fit(archs[:90], y[:90], features[:90])
    said = model.predict(archs[90:], features[90:]).mean
    assert np.corrcoef(said, y[90:])[0, 1] > 0.8


def test_the_slope_of_the_process_is_that_of_its_density():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (12, 4))
    apart = (codes.T[:, :, None] != codes.T[:, None, :]).astype(float)
    y, first, spreads = rng.normal(size=12), rng.normal(size=6) / 3, np.ones(6)
    args = (apart, y, first, spreads)
    error = check_grad(lambda x: _cost(x, *args)[0], lambda x: _cost(x, *args)[1], first + 0.2)
    assert error < 1e-4


def test_the_process_is_sure_of_what_it_saw_and_unsure_elsewhere():
    archs, y = drawn(60, 1)
    y = y - y.min()
    model = GP().fit(archs[:40], y[:40])
    assert model.predict(archs[:40]).std.mean() < 0.8 * model.predict(archs[40:]).std.mean()


def test_what_a_process_on_ranks_says_lies_among_the_values_of_a_long_tail():
    archs, y = drawn(80, 2)
    tailed = 90 - np.exp(8 * (1 - y))
    model = GP(ranks=True).fit(archs[:60], tailed[:60])
    said = model.predict(archs[60:])
    assert np.corrcoef(np.argsort(np.argsort(said.mean)), np.argsort(np.argsort(tailed[60:])))[0, 1] > 0.5
    spread = np.ptp(tailed[:60])
    assert (np.abs(said.mean - tailed[:60].mean()) < 2 * spread).all()


@pytest.mark.parametrize("make", list(MAKERS.values()), ids=list(MAKERS))
def test_too_little_to_learn_from_is_said(make):
    archs, y = drawn(5, 0)
    with pytest.raises(ValueError, match="at least 3"):
        make().fit(archs[:2], y[:2])
    with pytest.raises(ValueError, match="finite"):
        make().fit(archs, np.array([0.1, np.nan, 0.2, 0.3, 0.4]))
