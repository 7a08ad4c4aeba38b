"""Kendall's tau, its bootstrap, and what is said of a score that counting beats."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.ranking import kendall, trust


def noisy(rng, truth, noise):
    return truth + noise * rng.standard_normal(len(truth))


def test_tau_is_one_where_two_rankings_agree_and_minus_one_where_they_are_opposite():
    assert kendall([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert kendall([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert kendall([1, 1, 1], [1, 2, 3]) == 0


def test_tau_b_counts_ties_as_kendall_does():
    # One tie in a: (concordant - discordant) / sqrt((6 - 1) * 6), all five other pairs concordant.
    assert kendall([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / np.sqrt(30))


def test_the_interval_holds_the_true_tau_of_a_normal_pair_most_of_the_time():
    # Of two normals with correlation r, tau is 2/pi asin(r) (Greiner).
    r, hits = 0.8, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        a = rng.standard_normal(60)
        b = r * a + np.sqrt(1 - r * r) * rng.standard_normal(60)
        found = trust(a, b, {}, seed=seed, resamples=300).score
        assert found.tau == pytest.approx(kendalltau(a, b).statistic)
        assert found.low <= found.tau <= found.high
        hits += found.low <= 2 / np.pi * np.arcsin(r) <= found.high
    assert hits >= 34


def test_a_score_that_is_no_better_than_counting_is_said_to_be_so():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(60)
    good, poor = noisy(rng, truth, 0.3), noisy(rng, truth, 2.0)
    assert trust(good, truth, {"macs": poor}).verdict == "better than counting macs"
    assert trust(poor, truth, {"macs": good}).verdict == "worse than counting macs"
    alike = trust(noisy(rng, truth, 0.8), truth, {"macs": noisy(rng, truth, 0.8), "params": poor})
    assert (alike.verdict, alike.best) == ("not better than counting macs", "macs")
    assert alike.ahead.low < 0 < alike.ahead.high


def test_what_is_told_holds_each_tau_with_its_interval():
    told = trust([1, 2, 3, 4, 5], [1, 2, 3, 5, 4], {"macs": [5, 4, 3, 2, 1]}).json()
    assert told["networks"] == 5
    assert told["tau"]["tau"] == 0.8
    assert set(told["beside"]["macs"]) == {"tau", "low", "high"}
    assert told["ahead"]["of"] == "macs"


@pytest.mark.parametrize("rows", [([1, 2, 3], [1, 2, 3]), ([1, 2, 3, 4], [1, 2, 3, 4, 5])])
def test_too_few_networks_or_others_are_refused(rows):
    with pytest.raises(ValueError, match="at least 4 networks"):
        trust(*rows, {})
