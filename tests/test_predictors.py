"""The laws on every predictor, and the codes that they read."""

import numpy as np
import pytest

from nas.testing import predictor_laws
from predictors import PREDICTORS
from predictors.encode import OneHot
from predictors.ensemble import Forest
from predictors.gp import GP
from search_spaces import mobile, nasbench201

ELSEWHERE = ("auto", "gp-ways", "graph", "pairwise")
"""They are made for a space; their own files hold them to the laws."""


@pytest.mark.parametrize("law", list(predictor_laws()))
@pytest.mark.parametrize("name", [name for name in PREDICTORS if name not in ELSEWHERE])
def test_every_predictor_keeps_every_law(name, law):
    predictor_laws()[law](PREDICTORS[name])


@pytest.mark.parametrize("space", [nasbench201(), mobile()], ids=lambda s: s.name)
def test_different_architectures_have_different_codes(space):
    rng = np.random.default_rng(0)
    archs = list({space.sample(rng) for _ in range(500)})
    rows = OneHot.of(archs)(archs)
    assert len(np.unique(rows, axis=0)) == len(archs)
    assert set(np.unique(rows)) == {0.0, 1.0}
    assert (rows.sum(1) == [len(a.choices) for a in archs]).all()


def test_too_little_to_learn_from_is_said():
    archs = list(nasbench201())[:5]
    with pytest.raises(ValueError, match="at least 3"):
        Forest().fit(archs[:2], np.array([0.1, 0.2]))
    with pytest.raises(ValueError, match="finite"):
        Forest().fit(archs, np.array([0.1, np.nan, 0.2, 0.3, 0.4]))


@pytest.fixture
def noisy():
    """300 architectures, values that their choices make, and values that have nothing to do with these."""
    rng = np.random.default_rng(1)
    archs = list(dict.fromkeys(nasbench201().sample(rng) for _ in range(300)))
    return archs, OneHot.of(archs)(archs) @ rng.normal(size=30), rng.normal(size=len(archs))


def test_what_choices_explain_is_not_moved_by_noise(noisy):
    archs, smooth, own = noisy
    learnt = GP(noise=0.25).fit(archs, smooth + 0.4 * smooth.std() * own)
    said = learnt.predict(archs).mean
    assert np.corrcoef(said, smooth)[0, 1] > 0.97  # what was told has 0.93


def test_what_choices_do_not_explain_is_an_architectures_own_beyond_the_noise(noisy):
    archs, _, own = noisy
    rest, all_noise = GP(noise=0.25).fit(archs, own), GP().fit(archs, own)
    assert np.argmax(rest.predict(archs).mean) == np.argmax(own)
    slope = np.polyfit(own, rest.predict(archs).mean, 1)[0]
    assert 0.6 < slope < 0.9  # three quarters of the variance are the architectures' own
    assert np.polyfit(own, all_noise.predict(archs).mean, 1)[0] < 0.5
    others = [a for a in nasbench201() if a not in set(archs)][:200]
    assert rest.predict(others).mean.std() < 0.3 * own.std()  # nothing is known of those that were not learnt from
    assert (rest.predict(others).std > rest.predict(archs[:200]).std).all()


def test_a_share_of_noise_lies_between_none_and_all():
    with pytest.raises(ValueError, match="between 0 and 1, got 1"):
        GP(noise=1.0)
