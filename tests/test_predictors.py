"""The laws on every predictor, and the codes that they read."""

import numpy as np
import pytest

from nas.testing import predictor_laws
from predictors import PREDICTORS
from predictors.encode import OneHot
from predictors.ensemble import Forest
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
