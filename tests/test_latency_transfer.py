"""Latencies carried over to a new device from ten samples."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from benchmarks.latency import HELP, HELP_KNOWN, features, machine
from nas.latency.transfer import USUAL, Devices, standardised
from tests.test_space_nasbench import TABLES, tables


def made(n=400, devices=6, seed=0, noise=0.0):
    """Latencies that are sums of parts, of which each device has its own prices, and those of one more device."""
    rng = np.random.default_rng(seed)
    parts = rng.integers(0, 5, (n, 8)).astype(float)
    prices = rng.gamma(2.0, 1.0, (8, devices + 1))
    every = parts @ prices + 3.0 + noise * rng.standard_normal((n, devices + 1))
    return Devices(every[:, :-1], parts), every[:, -1]


def rank(devices, truth, count=10, seed=0):
    some = devices.choose(np.random.default_rng(seed), count)
    rest = np.setdiff1d(np.arange(len(truth)), some)
    return spearmanr(devices.transfer(some, truth[some]).predict(rest).mean, truth[rest]).statistic


def test_a_device_that_is_a_mixture_of_known_ones_is_found_from_ten_samples():
    devices, _ = made()
    truth = 0.3 * devices.latencies[:, 0] + 2 * devices.latencies[:, 3] + 7
    assert rank(devices, truth) > 0.995


def test_ten_samples_are_worth_more_than_the_mean_of_the_known_devices():
    ahead = []
    for seed in range(8):
        devices, truth = made(seed=seed, noise=0.3)
        mean = spearmanr(standardised(devices.latencies).mean(1), truth).statistic
        ahead.append(rank(devices, truth, seed=seed) - mean)
    assert np.mean(ahead) > 0.02


def test_features_help_where_no_known_device_is_like_the_new_one():
    devices, truth = made(devices=2, seed=3)
    alone = Devices(devices.latencies, np.zeros((len(truth), 0)))
    assert rank(devices, truth) > rank(alone, truth) + 0.02


def test_chosen_architectures_leave_less_unknown_than_random_ones():
    devices, truth = made(n=200)
    everything = np.arange(len(truth))
    by, like, noise = USUAL

    def left(some):
        prior, cross, own = (
            by * a + like * b
            for a, b in (
                devices.kernels(*pair) for pair in ((everything, everything), (everything, some), (some, some))
            )
        )
        told = cross @ np.linalg.solve(own + noise * np.eye(len(some)), cross.T)
        return np.trace(prior - told) / len(truth)

    for seed in range(5):
        random = np.random.default_rng(100 + seed).choice(len(truth), 10, replace=False)
        assert left(devices.choose(np.random.default_rng(seed))) < 0.8 * left(random)


def test_a_choice_is_of_different_architectures_and_repeats_with_its_seed():
    devices, _ = made(n=30)
    some = devices.choose(np.random.default_rng(5), 10)
    assert len(set(some.tolist())) == 10
    assert (some == devices.choose(np.random.default_rng(5), 10)).all()
    assert sorted(devices.choose(np.random.default_rng(5), 99).tolist()) == list(range(30))


def test_scale_and_unit_of_the_new_device_change_nothing_else():
    devices, truth = made(noise=0.2)
    some = devices.choose(np.random.default_rng(0))
    one, other = (devices.transfer(some, y).predict([1, 2, 3]) for y in (truth[some], 1000 * truth[some]))
    assert other.mean == pytest.approx(1000 * one.mean)
    assert other.std == pytest.approx(1000 * one.std)
    scaled = Devices(devices.latencies * np.array([1, 10, 100, 1e3, 1e-3, 5]), devices.features)
    assert scaled.transfer(some, truth[some]).predict([1, 2, 3]).mean == pytest.approx(one.mean)


def test_intervals_hold_most_of_the_truth():
    inside = []
    for seed in range(10):
        devices, truth = made(seed=seed, noise=0.5)
        some = devices.choose(np.random.default_rng(seed))
        found = devices.transfer(some, truth[some]).predict()
        inside.append(np.abs(found.mean - truth) < 2 * found.std)
    assert 0.85 < np.mean(inside) <= 1.0


BAD = [
    ([1.0, 2.0], "a transfer needs 3 latencies, one for each index, got 2"),
    ([1.0, 2.0, float("nan")], "latencies are finite numbers above 0, got nan"),
    ([1.0, 2.0, -3.0], "latencies are finite numbers above 0, got -3.0"),
    ([2.0, 2.0, 2.0], "all 3 latencies are 2: measure architectures that differ"),
]


@pytest.mark.parametrize(("y", "words"), BAD)
def test_samples_from_which_nothing_follows_are_refused(y, words):
    devices, _ = made(n=20)
    with pytest.raises(ValueError, match=words):
        devices.transfer(np.arange(len(y)), np.array(y))


def test_latencies_that_are_none_are_refused():
    with pytest.raises(ValueError, match="of the same architectures, got latencies"):
        Devices(np.ones((5, 2)), np.ones((4, 1)))
    with pytest.raises(ValueError, match="must be a finite number"):
        Devices(np.full((5, 2), np.nan), np.ones((5, 1)))


@tables
def test_ten_samples_rank_helps_three_devices_better_than_help_printed():
    frame = pd.read_parquet(TABLES / "nb201/help_latency.parquet")
    known = [c for c in frame.columns if c.endswith("_ms") and (c[:-3] in HELP_KNOWN or machine(c[:-3]) == "1080ti")]
    assert len(known) == 9
    devices = Devices(frame[known].to_numpy(float), features("nasbench201", list(frame["arch"])))
    found = [rank(devices, frame[f"{name}_ms"].to_numpy(float), seed=s) for name in HELP["nasbench201"] for s in (0, 1)]
    assert np.mean(found) > np.mean(list(HELP["nasbench201"].values()))
