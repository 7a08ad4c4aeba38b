"""Learning curves: laws of growth, and what is learnt of trainings that ended."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from predictors.curves import Curves, curve_features, differences, extrapolated, sotl
from tests.test_space_nasbench import TABLES, tables

EPOCHS = (1, 2, 4, 8, 16, 32)


def crossing(count, seed):
    """Curves that grow at different rates, so that the last value seen says little of the end: and their ends."""
    rng = np.random.default_rng(seed)
    end, start = rng.uniform(0.5, 0.9, count), rng.uniform(0.05, 0.2, count)
    share = rng.uniform(0.2, 1.0, (count, 1))
    x = np.array([*EPOCHS, 128.0])
    curves = end[:, None] - (end - start)[:, None] * x[None] ** -share
    curves += rng.normal(0, 0.002, curves.shape)
    return curves[:, :-1], curves[:, -1]


@pytest.mark.parametrize("power", [0.25, 0.5, 1.0, 2.0])
def test_a_law_of_growth_is_found_again(power):
    x, end = np.array(EPOCHS, dtype=float), np.array([0.9, 0.7, 0.3])
    curves = end[:, None] - np.array([[0.5], [0.2], [0.0]]) * x[None] ** -power
    found = extrapolated(curves, EPOCHS, 1000)
    assert found == pytest.approx(end - np.array([0.5, 0.2, 0.0]) * 1000.0**-power, abs=0.003)


def test_a_curve_that_falls_is_not_expected_to_rise_nor_to_fall():
    falls = np.array([[0.5, 0.4, 0.3, 0.3, 0.3, 0.3]])
    assert extrapolated(falls, EPOCHS, 100)[0] == pytest.approx(falls.mean())
    assert extrapolated(falls[:, :1], EPOCHS[:1], 100)[0] == 0.5


def test_missing_values_are_missing_in_the_features():
    curves = np.array([[0.1, 0.2, 0.4], [0.1, 0.2, np.nan]])
    made = curve_features(curves, (1, 2, 4))
    assert made.shape == (2, 7)
    assert made[0, :6] == pytest.approx([0.1, 0.2, 0.4, 0.1, 0.2, 0.1])
    assert np.isnan(made[1]).tolist() == [False, False, True, False, True, True, True]
    assert np.array_equal(differences(curves)[0], made[0, :6])


def test_the_sum_of_losses_by_hand():
    losses = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 0.5]])
    assert sotl(losses).tolist() == [-6.0, -4.5]
    assert sotl(losses, 2).tolist() == [-3.0, -1.5]


def test_curves_that_cross_are_told_better_than_by_their_last_value():
    (known, ends), (asked, truth) = crossing(80, 0), crossing(200, 1)
    model = Curves(EPOCHS).fit(known, ends)
    said = model.predict(asked, 8)
    assert kendalltau(said.mean, truth)[0] > kendalltau(asked[:, 3], truth)[0] + 0.1
    assert 0.8 < np.mean(np.abs(said.mean - truth) < 1.645 * said.std) < 0.99
    later = model.predict(asked)
    assert np.abs(later.mean - truth).mean() < np.abs(said.mean - truth).mean()
    assert later.std.mean() < said.std.mean()


def test_each_curve_is_told_by_what_is_seen_of_it():
    (known, ends), (asked, _) = crossing(60, 2), crossing(10, 3)
    model = Curves(EPOCHS).fit(known, ends)
    cut = asked.copy()
    cut[:5, 3:] = np.nan
    mixed, short, whole = model.predict(cut), model.predict(asked, 4), model.predict(asked)
    assert mixed.mean == pytest.approx(np.r_[short.mean[:5], whole.mean[5:]])
    turned = model.predict(cut[::-1])
    assert turned.mean == pytest.approx(mixed.mean[::-1])
    order = np.random.default_rng(0).permutation(60)
    again = Curves(EPOCHS).fit(known[order], ends[order]).predict(cut)
    assert again.mean == pytest.approx(mixed.mean)


def test_curves_that_cannot_be_learnt_from_are_named():
    curves, ends = crossing(8, 4)
    with pytest.raises(ValueError, match="must increase"):
        Curves((4, 2))
    with pytest.raises(ValueError, match="at least 6 trainings that ended, got 5"):
        Curves(EPOCHS).fit(curves[:5], ends[:5])
    with pytest.raises(ValueError, match=r"are \(n, 6\), got \(8, 3\)"):
        Curves(EPOCHS).fit(curves[:, :3], ends)
    with pytest.raises(ValueError, match="finite"):
        Curves(EPOCHS).fit(curves, np.full(8, np.nan))
    cut = curves.copy()
    cut[:4, 2:] = np.nan
    model = Curves(EPOCHS).fit(cut, ends)
    with pytest.raises(ValueError, match="only 4 curves learnt from reach epoch 32, not 6"):
        model.predict(curves)
    cut[0] = np.nan
    with pytest.raises(ValueError, match="curve 0 has no value at epoch 1"):
        model.predict(cut)


@tables
@pytest.mark.parametrize("epoch", [4, 12, 36])
def test_no_order_is_lost_on_the_curves_of_nasbench101(epoch):
    epochs = (4, 12, 36, 108)
    rows = pd.read_parquet(TABLES / "nb101" / "sample_1000.parquet")
    curves = rows[[f"val_acc_{e}ep" for e in epochs]].to_numpy()
    turn = np.random.default_rng(0).permutation(len(curves))
    known, asked = turn[:100], turn[100:]
    said = Curves(epochs).fit(curves[known], curves[known, -1]).predict(curves[asked], epoch)
    last = kendalltau(curves[asked, epochs.index(epoch)], curves[asked, -1])[0]
    assert kendalltau(said.mean, curves[asked, -1])[0] > last - 0.03
    assert 0.8 < np.mean(np.abs(said.mean - curves[asked, -1]) < 1.645 * said.std) <= 0.97
