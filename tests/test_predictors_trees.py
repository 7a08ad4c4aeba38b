"""Forests, trees with drawn thresholds, boosting; and the scales on which features are learnt."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from nas.testing import predictor_laws
from nas.testing.predictors import drawn
from predictors.ensemble import Boosted, ExtraTrees, Forest
from predictors.layers import Layers
from predictors.scales import Places, Scores
from search_spaces import nasbench201
from tests.test_space_nasbench import TABLES, tables

MAKERS = {"extra": lambda: ExtraTrees(60), "boosted": lambda: Boosted(members=2, trees=60)}
SPACE = nasbench201()


@pytest.mark.parametrize("law", list(predictor_laws()))
@pytest.mark.parametrize("name", list(MAKERS))
def test_every_predictor_keeps_every_law(name, law):
    predictor_laws()[law](MAKERS[name])


@pytest.mark.parametrize("make", [Forest, ExtraTrees, Boosted])
def test_features_may_be_huge_or_missing(make):
    archs, _ = drawn(120, 3)
    rng = np.random.default_rng(0)
    truth = rng.random(120)
    features = np.stack([10 ** (60 * truth), rng.random(120)], 1)
    features[::9] = np.nan
    said = make().fit(archs[:90], truth[:90], features[:90]).predict(archs[90:], features[90:]).mean
    there = np.isfinite(features[90:, 0])
    assert np.isfinite(said).all()
    assert np.corrcoef(said[there], truth[90:][there])[0, 1] > 0.9


@pytest.mark.parametrize("make", [Forest, ExtraTrees, Boosted])
def test_further_columns_are_read(make):
    layers = Layers(SPACE)
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(SPACE.sample(rng) for _ in range(200)))
    truth = layers(archs)[:, 0] + layers(archs)[:, 4]
    plain, more = (
        np.corrcoef(make(**given).fit(archs[:60], truth[:60]).predict(archs[60:]).mean, truth[60:])[0, 1]
        for given in ({}, {"code": layers})
    )
    assert more > max(plain, 0.95)


@tables
@pytest.mark.parametrize(("count", "published"), [(50, 0.418), (200, 0.573)])
def test_a_forest_on_choices_ranks_the_early_table_as_a_forest_does(count, published):
    rows = pd.read_parquet(TABLES / "zero_cost_suite" / "nb201.parquet")
    rows = rows[rows.task == "cifar10"]
    archs, y = [SPACE.parse(text) for text in rows.arch], rows.val_metric.to_numpy()
    taus = []
    for seed in range(3):
        turn = np.random.default_rng(seed).permutation(len(archs))
        known, asked = turn[:count], turn[count:]
        model = Forest(seed=seed).fit([archs[k] for k in known], y[known])
        taus.append(kendalltau(model.predict([archs[k] for k in asked]).mean, y[asked])[0])
    assert np.mean(taus) == pytest.approx(published, abs=0.07)


def test_places_are_shares_of_what_was_learnt_from():
    places = Places(np.array([[1.0, 5.0], [2.0, np.nan], [2.0, 5.0], [9.0, 5.0]]))
    made = places(np.array([[0.0, 5.0], [1.0, 6.0], [2.0, np.nan], [1e300, 4.0]]))
    assert made[:, 0].tolist() == [0, 1 / 8, 1 / 2, 1]
    assert made[[0, 1, 3], 1].tolist() == [0.5, 1, 0]
    assert np.isnan(made[2, 1])
    with pytest.raises(ValueError, match="2 features were learnt from, got 1"):
        places(np.zeros((3, 1)))


@pytest.mark.parametrize("ranks", [False, True])
def test_scores_turn_back_into_values_in_their_order(ranks):
    y = np.array([10.0, 90.0, 91.0, 91.0, 93.0, 94.0, 94.2, 60.0])
    scores = Scores(y, ranks=ranks)
    assert scores.back(scores.of) == pytest.approx(y, abs=0.01)
    many = scores.back(np.linspace(-4, 4, 200))
    assert (np.diff(many) > 0).all()
