"""Pairwise ranking."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from nas.testing import predictor_laws
from nas.testing.predictors import drawn
from nas.testing.strategies import table
from predictors.graphs import Graphs
from predictors.network import Size
from predictors.pairwise import LEAST_TRUST, Pairwise, compared

TABLE = Graphs(table()[0])
SMALL = Size(members=2, layers=2, width=16, steps=100)


def make(size=SMALL, **rest):
    return Pairwise(table()[0], size, graphs=TABLE, **rest)


@pytest.mark.parametrize("law", list(predictor_laws()))
def test_pairwise_ranking_keeps_every_law(law):
    predictor_laws()[law](lambda: make(replace(SMALL, steps=50)))


def test_pairs_are_compared_by_their_cross_entropy():
    said, truth = torch.tensor([[0.3, -1.0, 2.0]]), torch.tensor([[5.0, 5.0, 1.0]])
    better = {(0, 2), (1, 2)}
    terms = []
    for a in range(3):
        for b in range(3):
            p = 1 / (1 + np.exp(-float(said[0, a] - said[0, b])))
            wish = 1.0 if (a, b) in better else 0.0 if (b, a) in better else 0.5
            terms.append(-wish * np.log(p) - (1 - wish) * np.log(1 - p))
    assert float(compared(said, truth)) == pytest.approx(np.mean(terms), rel=1e-5)


def test_only_the_order_of_the_values_is_learnt():
    archs, y = drawn(100, 4)
    one, other = (make().fit(archs[:60], v[:60]).predict(archs[60:]).mean for v in (y, np.exp(9 * y)))
    assert kendalltau(one, other)[0] == pytest.approx(1.0)


def test_what_it_says_is_in_the_unit_of_the_values():
    archs, y = drawn(160, 5)
    said = make().fit(archs[:100], 100 * y[:100] - 7).predict(archs[100:])
    known = 100 * y[:100] - 7
    assert known.min() - 1 <= said.mean.min() < said.mean.max() <= known.max() + 1
    assert np.abs(said.mean - (100 * y[100:] - 7)).mean() < known.std()
    assert (np.diff(np.sort(said.mean)) > 0).all(), "two scores have one value"


def test_values_that_follow_no_rule_are_told_near_their_mean():
    archs, y = drawn(120, 6)
    noise = np.random.default_rng(0).normal(size=120)
    ruled, random = make().fit(archs[:80], y[:80]), make().fit(archs[:80], noise[:80])
    assert LEAST_TRUST <= random._trust < 0.5 < ruled._trust <= 1.0
    assert random.predict(archs[80:]).mean.std() < 0.6 * noise[:80].std()


def test_features_are_learnt_from():
    archs, _ = drawn(150, 3)
    truth = np.random.default_rng(0).random(150)
    features = np.stack([10 ** (60 * truth)], 1)
    said = make().fit(archs[:110], truth[:110], features[:110]).predict(archs[110:], features[110:]).mean
    assert kendalltau(said, truth[110:])[0] > 0.7


def test_too_little_to_learn_from_is_said():
    archs, y = drawn(5, 0)
    with pytest.raises(ValueError, match="pairwise ranking needs at least 3"):
        make().fit(archs[:2], y[:2])
    said = make().fit(archs[:3], y[:3]).predict(archs)
    assert np.isfinite(said.mean).all()
