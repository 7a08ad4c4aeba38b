"""What is held out, how far it can be trusted, and what is said where it cannot."""

import math

import numpy as np
import pytest

from nas.ranking import Tau, held, kendall
from nas.roles import Prediction
from nas.testing.strategies import table
from nas.trust.best import chances
from nas.trust.errors import Errors
from nas.trust.heldout import FOLDS, folds, held_out
from nas.trust.judge import MANY, further, judged, untold
from nas.trust.likeness import MOST, likeness
from predictors.ridge import Ridge

SPACE, WORTH = table()
ARCHS = [list(SPACE)[k] for k in np.random.default_rng(0).permutation(200)]
Y = np.array([WORTH(a) for a in ARCHS])


class Memory:
    """Says of what it has learnt from 1, of the rest 0; counts its fits."""

    def __init__(self, fits=None):
        self.fits, self.known = fits if fits is not None else [], set()

    def fit(self, archs, y, features=None):
        made = Memory(self.fits)
        made.known = set(archs)
        self.fits.append(len(archs))
        return made

    def predict(self, archs, features=None):
        return Prediction(np.array([float(a in self.known) for a in archs]), np.ones(len(archs)))


def pair(n, r, seed):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(n)
    return a, r * a + np.sqrt(1 - r * r) * rng.standard_normal(n)


# held out


@pytest.mark.parametrize("n", [4, 7, 10, 53])
def test_no_network_is_predicted_by_what_learnt_from_it_and_there_are_few_fits(n):
    fits = []
    said = held_out(lambda: Memory(fits), ARCHS[:n], Y[:n])
    assert (said.mean == 0).all()
    assert len(fits) == min(n, FOLDS)
    assert sum(fits) == (len(fits) - 1) * n


def test_equal_networks_never_stand_on_both_sides():
    groups = [k // 3 for k in range(60)]
    fold = folds(Y[:60], groups)
    assert all(len(set(fold[3 * k : 3 * k + 3])) == 1 for k in range(20))
    twice = [*ARCHS[:20], *ARCHS[:20]]
    assert (held_out(Memory, twice, np.tile(Y[:20], 2)).mean == 0).all()


def test_folds_are_alike_in_what_their_networks_are_worth():
    ranks = np.arange(100)[np.random.default_rng(1).permutation(100)]
    fold = folds(ranks, range(100))
    means = [ranks[fold == k].mean() for k in range(FOLDS)]
    assert np.bincount(fold).tolist() == [10] * 10
    assert np.std(means) < 2, "drawn without regard to worth they deviate by 9"
    assert (folds(ranks, range(100), seed=1) != fold).any()
    assert (folds(ranks, range(100)) == fold).all()


def test_where_there_is_nothing_to_learn_tau_is_about_zero_and_not_below():
    taus = []
    for seed in range(30):
        y = np.random.default_rng(seed).standard_normal(50)
        taus.append(kendall(held_out(Ridge, ARCHS[:50], y, seed=seed).mean, y))
    assert abs(np.mean(taus)) < 0.09, "with folds drawn at random it is near -0.17"


def test_too_few_networks_hold_nothing_out():
    assert np.isnan(held_out(Ridge, ARCHS[:3], Y[:3]).mean).all()
    assert np.isnan(held_out(Ridge, ARCHS[:9], Y[:9], groups=[0, 1, 2] * 3).mean).all()


# tau


def test_the_tau_of_equal_weights_is_kendalls_and_a_weight_of_zero_leaves_out():
    a, b = pair(30, 0.6, 0)
    assert held(a, b).tau == pytest.approx(kendall(a, b), abs=1e-6)
    weights = np.r_[np.ones(20), np.zeros(10)]
    assert held(a, b, weights).tau == pytest.approx(kendall(a[:20], b[:20]), abs=1e-6)
    assert held(a, np.round(b), 3 * np.ones(30)).tau == pytest.approx(kendall(a, np.round(b)), abs=1e-6)


def test_the_interval_holds_the_true_tau_of_independent_pairs_more_often_than_said():
    # Of two normals with correlation r, tau is 2/pi asin(r) (Greiner). Held-out predictions are not independent, which
    # is what the interval is wider for.
    for r, n in ((0.0, 20), (0.6, 20), (0.9, 100)):
        true, hits, widths = 2 / np.pi * np.arcsin(r), 0, []
        for seed in range(100):
            found = held(*pair(n, r, seed))
            hits += found.low <= true <= found.high
            widths.append(found.high - found.low)
        assert 90 <= hits <= 99, (r, n, hits)
        assert np.mean(widths) < 0.75


def test_intervals_grow_with_their_level_and_shrink_with_more_networks():
    a, b = pair(400, 0.6, 0)
    wide, narrow = held(a[:40], b[:40], level=0.99), held(a[:40], b[:40], level=0.5)
    assert wide.low < narrow.low < narrow.tau < narrow.high < wide.high
    width = held(a[:100], b[:100])
    assert (held(a, b).high - held(a, b).low) / (width.high - width.low) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("n", [4, 5, 8])
def test_a_perfect_order_of_few_networks_is_no_certainty(n):
    found = held(np.arange(n), np.arange(n))
    assert found.tau == pytest.approx(1)
    assert found.low < (0.0 if n < 6 else 0.85)


# the population


def test_weights_bring_what_a_search_told_to_the_population():
    rng = np.random.default_rng(0)
    population, told = rng.standard_normal(1000), 1 + rng.standard_normal(300)
    weights = likeness(told, population)
    assert weights.mean() == pytest.approx(1)
    assert abs(np.average(told, weights=weights)) < 0.35 < told.mean()
    assert 0 < weights.min() < weights.max() <= 2 * MOST
    assert (likeness(told, np.zeros(0)) == 1).all()


def test_tau_of_a_search_that_went_where_it_predicts_well_is_weighed_down():
    # Below 0 nothing can be predicted; the search was above, and the population is not.
    rng = np.random.default_rng(0)

    def true(x):
        return np.where(x > 0, x, 0.0) + 0.3 * rng.standard_normal(len(x))

    population = rng.uniform(-3, 1, 2000)
    told = np.r_[rng.uniform(-3, 1, 30), rng.uniform(0, 1, 70)]
    y, whole = true(told), kendall(population, true(population))
    plain, weighed = held(told, y), held(told, y, likeness(told, population))
    assert plain.low > whole
    assert weighed.low < whole < weighed.high


# errors


def test_intervals_cover_as_often_as_they_say_on_average():
    covered = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        std = rng.uniform(0.5, 2, 230)
        truth = std * rng.standard_t(3, 230)
        errors = Errors.of(Prediction(np.zeros(30), std[:30]), truth[:30], np.ones(30))
        low, high = errors.interval(Prediction(np.zeros(200), std[30:]))
        covered.append(((low <= truth[30:]) & (truth[30:] <= high)).mean())
    assert 0.89 < np.mean(covered) < 0.92


def test_as_many_errors_as_a_level_needs():
    y = np.arange(9.0)
    nine = Errors.of(Prediction(np.zeros(9), np.ones(9)), y, np.ones(9))
    said = Prediction(np.array([5.0]), np.array([1.0]))
    assert nine.interval(said) == (-3.0, 13.0)
    eight = Errors.of(Prediction(np.zeros(8), np.ones(8)), y[:8], np.ones(8))
    assert np.isnan(eight.interval(said)).all()
    assert np.isfinite(eight.interval(said, 0.8)).all()


def test_a_network_that_counts_more_moves_the_interval():
    y = np.r_[np.full(20, 0.1), np.full(20, 3.0)]
    said = Prediction(np.zeros(40), np.ones(40))
    first, last = np.repeat([1.99, 0.01], 20), np.repeat([0.01, 1.99], 20)
    assert Errors.of(said, y, first).half(0.9) < Errors.of(said, y, last).half(0.9)


# the best


def test_chances_add_up_and_follow_the_predictions():
    rng = np.random.default_rng(0)
    errors = Errors.of(Prediction(np.zeros(50), np.ones(50)), rng.standard_normal(50), np.ones(50))
    said = Prediction(np.array([0.0, 1.0, 1.0, 2.0]), np.ones(4))
    own, told = chances(said, errors, np.array([1.5, 2.0, 2.0]))
    assert own.sum() + told.sum() == pytest.approx(1)
    assert own[0] < own[1] < own[3]
    assert own[1] == pytest.approx(own[2], abs=0.06)
    assert told[0] == 0 < told[1] == told[2]
    again, _ = chances(said, errors, np.array([1.5, 2.0, 2.0]))
    assert (own == again).all()


def test_of_two_alike_each_is_the_best_half_of_the_time_and_far_off_never():
    errors = Errors.of(Prediction(np.zeros(99), np.ones(99)), np.random.default_rng(0).uniform(-1, 1, 99), np.ones(99))
    own, told = chances(Prediction(np.array([0.0, 0.0, -9.0]), np.ones(3)), errors, np.array([-9.0]))
    assert own[:2] == pytest.approx([0.5, 0.5], abs=0.06)
    assert own[2] == told[0] == 0
    own, told = chances(Prediction(np.array([0.0]), np.ones(1)), errors, np.array([9.0]))
    assert (own[0], told[0]) == (0, 1)
    own, told = chances(Prediction(np.zeros(0), np.zeros(0)), errors, np.array([1.0, 2.0]))
    assert told.tolist() == [0, 1]


# what is said


def test_so_many_more_networks_bring_the_interval_to_zero():
    tau = Tau(0.2, -0.1, 0.46, 20)
    more = further(tau)
    half, at = math.atanh(0.2) - math.atanh(-0.1), math.atanh(0.2)
    assert half * math.sqrt(20 / (20 + more)) < at <= half * math.sqrt(20 / (20 + more - 1))
    assert untold(tau) == f"not better than chance so far; {more} more trained networks would settle it"
    assert untold(Tau(0.2, -1e-9, 0.4, 20)).endswith("so far; 1 more trained network would settle it")


def test_at_no_tau_to_speak_of_nothing_is_promised():
    for tau in (Tau(0.0, -0.3, 0.3, 30), Tau(-0.2, -0.5, 0.1, 30), Tau(0.01, -0.3, 0.3, 30)):
        assert further(tau) is None
        assert untold(tau).endswith(f"{tau.tau:.2f}, no number of trained networks below {MANY:,} would settle it")
    assert untold(Tau(math.nan, -1, 1, 3)) == (
        "not better than chance so far; 3 trained networks are too few to hold any out"
    )


def test_what_is_promised_settles_it_about_half_the_time():
    settled = promised = 0
    for seed in range(300):
        a, b = pair(2000, 0.3, seed)
        first = held(a[:15], b[:15])
        # The promise holds at the tau that was seen: only those that saw about the true one can say.
        if first.low > 0 or abs(first.tau - 2 / np.pi * np.arcsin(0.3)) > 0.05:
            continue
        n = 15 + further(first)
        promised += 1
        settled += held(a[:n], b[:n]).low > 0
    assert promised > 20
    assert 0.3 < settled / promised < 0.8


def test_a_predictor_is_judged_from_its_trials_alone():
    how = judged(Ridge, ARCHS[:60], Y[:60], population=(ARCHS[60:160], None))
    said = how.predictor.predict(ARCHS[60:])
    assert how.trusted
    assert how.tau.low < kendall(said.mean, Y[60:]) < how.tau.high
    low, high = how.interval(said)
    assert 0.8 < ((low <= Y[60:]) & (Y[60:] <= high)).mean() <= 1
    assert set(how.json()) == {"value", "low", "high", "level", "n"}
    assert how.line == (
        f"Kendall's tau {how.tau.tau:.2f} [{how.tau.low:.2f}, {how.tau.high:.2f}] (90%), from 60 held-out networks"
    )
    noise = judged(Ridge, ARCHS[:20], np.random.default_rng(3).standard_normal(20))
    assert not noise.trusted
    assert noise.line.startswith("not better than chance so far; ")


def test_three_networks_are_fitted_but_not_trusted():
    how = judged(Ridge, ARCHS[:3], Y[:3], population=(ARCHS[60:160], None))
    assert (how.trusted, how.tau.low, how.tau.high) == (False, -1, 1)
    said = how.predictor.predict(ARCHS[10:20])
    assert np.isnan(how.interval(said)[0]).all()
    assert np.isnan(how.chances(said, Y[:3])[0]).all()
