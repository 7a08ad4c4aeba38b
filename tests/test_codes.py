"""Populations as integer arrays: the same architectures, in the same distribution, and predicted the same."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2

from nas.codes import Codes
from nas.programs.tables import costs
from nas.roles import Prediction, Quick
from nas.shortlist import mean, top
from nas.space import Architecture, Space
from nas.tree import Chain, Choice, Identity, Sum
from predictors.ensemble import Boosted, ExtraTrees, Forest
from predictors.gp import GP
from predictors.paths import Paths
from predictors.ridge import Ridge
from search_spaces import SPACES, mobile, nasbench201, pooling

MADE = {name: make() for name, make in SPACES.items()}


def nested():
    """Holes within options, a depth, a set that is kept, and one name that two options open."""
    tied = Choice.over("tied", a=Identity(), b=Chain.seq(Choice.over("deep", x=Identity(), y=Identity())))
    layer = Choice.over("kind", plain=Identity(), left=Chain.seq(tied), right=Chain.seq(tied, Identity()))
    kept = Sum(("p", "q", "r"), (tied, Identity(), Identity()), Choice.sets("kept", ("p", "q", "r"), 2))
    some = Chain.of(Choice("depth", (1, 2, 3)), first=Identity(), second=layer, third=kept)
    return Space("nested", Chain.of(some=some), (3, 8, 8))


class Hiding:
    """A predictor that reads architectures alone."""

    def __init__(self, inside):
        self.inside = inside

    def predict(self, archs, features=None):
        return self.inside.predict(archs, features)


def learnt(space, predictor, count=60, features=None, seed=0):
    rng = np.random.default_rng(seed)
    codes = Codes(space)
    rows = codes.sample(rng, count)
    y = np.sin(rows @ rng.normal(size=len(codes.names))) + 0.1 * rng.normal(size=count)
    return codes, predictor.fit(codes.archs(rows), y, features)


@pytest.mark.parametrize("name", SPACES)
def test_rows_and_architectures_turn_into_each_other_and_all_are_members(name):
    space, rng = MADE[name], np.random.default_rng(0)
    codes = Codes(space)
    archs = [space.sample(rng) for _ in range(20)]
    rows = codes.of(archs)
    assert codes.archs(rows) == archs
    drawn = codes.sample(rng, 20)
    again = codes.archs(drawn)
    assert (codes.of(again) == drawn).all()
    assert all(space.member(arch) for arch in again)


@pytest.mark.parametrize("space", [s for s in (*MADE.values(), nested()) if Codes(s).columnwise], ids=lambda s: s.name)
def test_what_is_not_met_is_shut_as_deciding_the_same_picks_does(space):
    """With every pick drawn alike, that makes the distributions equal too."""
    codes = Codes(space)
    rng = np.random.default_rng(1)
    free = np.stack([rng.integers(len(labels), size=40) for labels in codes.labels], 1)
    where = {name: c for c, name in enumerate(codes.names)}
    archs = [space.decide(lambda c, row=row: row[where[c.name]]) for row in free]
    assert codes.archs(codes.closed(free)) == archs
    assert (codes.closed(codes.closed(free)) == codes.of(archs)).all()


@pytest.mark.parametrize("space", [nested(), MADE["resnet"], MADE["nasbench_macro"]], ids=lambda s: s.name)
def test_architectures_come_as_often_as_a_space_draws_them(space):
    codes, n = Codes(space), 60_000
    came = Counter(codes.archs(codes.sample(np.random.default_rng(2), n)))
    sizes = {name: len(choice.options) for name, choice in space.choices.items()}
    odds = {arch: 1 / math.prod(sizes[name] for name, _ in arch.choices) for arch in space}
    assert sum(odds.values()) == pytest.approx(1)
    assert came.keys() <= odds.keys()
    off = sum((came[arch] - n * p) ** 2 / (n * p) for arch, p in odds.items())
    assert chi2.ppf(0.001, len(odds) - 1) < off < chi2.ppf(0.999, len(odds) - 1)


def test_a_space_that_refuses_trees_draws_each_itself_and_says_so():
    codes = Codes(pooling())
    assert not codes.columnwise
    assert Codes(mobile()).columnwise
    rows = codes.sample(np.random.default_rng(0), 10)
    assert all(pooling().member(arch) for arch in codes.archs(rows))


def test_equal_rows_are_found_whatever_their_length():
    for space in (nasbench201(), mobile(), MADE["dartopti"]):
        codes = Codes(space)
        rows = codes.sample(np.random.default_rng(0), 300)
        rows = rows[np.random.default_rng(1).integers(300, size=1000)]
        for by in ((), codes.names[2:4]):
            firsts, place = codes.unique(rows, by)
            assert (rows[firsts][place] == rows).all()
            assert len(firsts) == len(np.unique(rows, axis=0))
            assert all((rows[:k] != rows[k]).any(1).all() for k in firsts)
        front = [tuple(row) for row in rows[firsts][:, 2:4].tolist()]
        assert front == sorted(front)
    assert [len(part) for part in codes.unique(rows[:0])] == [0, 0]


def test_what_has_no_row_is_named():
    codes = Codes(nasbench201())
    with pytest.raises(ValueError, match="'mobile' has no row"):
        codes.of([mobile().sample(np.random.default_rng(0))])
    with pytest.raises(KeyError, match=r"no choice 'node1.from0' with the label conv"):
        codes.of([Architecture("nasbench201", (("node1.from0", "conv"),))])


@pytest.mark.parametrize("space", [nasbench201(), mobile(), nested(), MADE["nasbench101"]], ids=lambda s: s.name)
@pytest.mark.parametrize(
    "make",
    [Ridge, GP, lambda: GP(ranks=True), lambda: Forest(20), lambda: ExtraTrees(20), lambda: Boosted(2, 20)],
    ids=["ridge", "gp", "gp-ranks", "forest", "extra", "boosted"],
)
def test_rows_are_predicted_as_their_architectures_are(space, make):
    for count in (5, 60):  # of five, many labels are unknown
        codes, model = learnt(space, make(), count)
        assert isinstance(model, Quick)
        rows = codes.sample(np.random.default_rng(3), 150)
        plain, quick = model.predict(codes.archs(rows)), model.coded(codes, rows)
        np.testing.assert_allclose(quick.mean, plain.mean, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(quick.std, plain.std, rtol=1e-6, atol=1e-9)
        off = model.coded(codes, rows, std=False).mean - plain.mean
        assert np.abs(off).max() <= 1e-4 * plain.mean.std() + 1e-12


@pytest.mark.parametrize("make", [Ridge, GP, Forest, lambda: Boosted(2, 20)], ids=["ridge", "gp", "forest", "boosted"])
def test_features_count_for_rows_too_in_every_block(make, monkeypatch):
    monkeypatch.setattr("predictors.ensemble.BLOCK", 64)
    rng = np.random.default_rng(4)
    codes, model = learnt(mobile(), make(), features=rng.normal(size=(60, 2)))
    rows, features = codes.sample(rng, 2100), rng.normal(size=(2100, 2))
    some = np.r_[0:70, 2040:2100]
    plain, quick = model.predict(codes.archs(rows[some]), features[some]), model.coded(codes, rows, features)
    np.testing.assert_allclose(quick.mean[some], plain.mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(quick.std[some], plain.std, rtol=1e-6, atol=1e-9)


def test_a_predictor_that_reads_paths_is_told_the_architectures():
    space = nasbench201()
    codes, model = learnt(space, GP(Paths(space)))
    rows = codes.sample(np.random.default_rng(3), 30)
    assert (model.coded(codes, rows).mean == model.predict(codes.archs(rows)).mean).all()


def test_std_is_left_out_where_it_is_not_asked():
    for make in (Ridge, GP, lambda: GP(ranks=True)):
        codes, model = learnt(nasbench201(), make())
        said = model.coded(codes, codes.sample(np.random.default_rng(0), 10), std=False)
        assert np.isnan(said.std).all()
        assert np.isfinite(said.mean).all()


def test_costs_of_rows_are_those_of_their_architectures():
    space = mobile((3, 32, 32), 10)
    codes, tables = Codes(space), costs(space)
    rows = codes.sample(np.random.default_rng(0), 50)
    for metric in ("params", "macs"):
        assert tables[metric].coded(codes, rows).tolist() == [tables[metric](a) for a in codes.archs(rows)]


def test_the_best_of_a_population_are_those_of_a_full_sort():
    codes, model = learnt(nasbench201(), GP())
    rows = codes.sample(np.random.default_rng(5), 3000)
    archs = list(dict.fromkeys(codes.archs(rows)))
    said = model.predict(archs).mean
    best = sorted(zip(said, range(len(archs)), archs, strict=True), key=lambda one: -one[0])[:25]
    for predictor in (model, Hiding(model)):
        found = top(predictor, codes, rows, 25)
        assert {a.key for a in found.archs} == {a.key for _, _, a in best}
        np.testing.assert_allclose(found.prediction.mean, [value for value, _, _ in best], rtol=1e-9)
        assert (found.prediction.std > 0).all()
        assert codes.archs(rows[found.of]) == found.archs


def test_the_best_keep_limits_that_are_asked_of_rows_or_of_each():
    space = mobile((3, 32, 32), 10)
    codes, model = learnt(space, Ridge())
    params = costs(space, ("params",))["params"]
    rows = codes.sample(np.random.default_rng(6), 2000)
    limit = float(np.quantile(params.coded(codes, rows), 0.1))
    by_rows = top(model, codes, rows, 30, keeps=lambda some: params.coded(codes, some) <= limit)
    by_arch = top(model, codes, rows, 30, accepts=lambda arch: params(arch) <= limit)
    assert by_rows.archs == by_arch.archs
    assert len(by_rows.archs) == 30
    assert all(params(arch) <= limit for arch in by_rows.archs)
    assert top(model, codes, rows, 30).archs != by_rows.archs
    assert top(model, codes, rows, 30, keeps=lambda some: np.zeros(len(some), dtype=bool)).archs == []
    assert len(top(model, codes, rows, 300, accepts=lambda arch: params(arch) <= limit).archs) == 200


def test_the_best_of_a_whole_space_in_any_order():
    space = MADE["nasbench_macro"]
    codes, model = learnt(space, Ridge())
    rows = codes.of(list(space))[np.random.default_rng(7).permutation(6561)]
    found = top(model, codes, rows, 5)
    assert codes.archs(rows[found.of]) == found.archs
    np.testing.assert_allclose(found.prediction.mean, np.sort(model.coded(codes, rows).mean)[::-1][:5], rtol=1e-9)


def test_of_equal_rows_the_one_of_the_best_features_stands():
    class Told:
        def predict(self, archs, features=None):
            return Prediction(features[:, 0], np.ones(len(archs)))

    codes = Codes(nasbench201())
    rows = codes.of(list(nasbench201())[:4])[[0, 1, 0, 2, 3]]
    found = top(Told(), codes, rows, 2, features=np.array([[1.0], [5.0], [9.0], [2.0], [3.0]]))
    assert found.of.tolist() == [2, 1]
    assert found.prediction.mean.tolist() == [9.0, 5.0]
    assert mean(Told(), codes, rows[:0]).shape == (0,)
