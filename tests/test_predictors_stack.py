"""Ways through networks as columns, predictors that read them, and the stack."""

import numpy as np
import pytest

from nas import plugins
from nas.errors import UserError
from nas.testing import predictor_laws, table
from nas.testing.predictors import drawn
from predictors import PREDICTORS
from predictors.graphs import Graphs
from predictors.informed import Informed
from predictors.ridge import Ridge
from predictors.stack import MEMBERS, Stack
from predictors.transferred import Transferred
from predictors.ways import Ways, telling

SPACE, VALUE = table()
CELL = plugins.space("nasbench201")


def cell(text):
    return CELL.parse(text)


STRAIGHT = cell("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|")
DIAMOND = cell("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|")


def test_ways_say_how_many_of_each_kind_lie_on_them():
    graphs = Graphs(CELL)
    ways = Ways(graphs, [STRAIGHT, DIAMOND])
    kinds = [k for k in graphs.kinds([STRAIGHT, DIAMOND]) if k not in ("input", "output")]
    (three,) = [k for k, kind in enumerate(kinds) if "3x3" in kind and "conv" in kind]
    groups, rows = len(kinds) + 2, ways([STRAIGHT, DIAMOND])
    number, most, least, mean, without = (rows[:, part * groups + three] for part in range(5))
    assert number.tolist() == [3, 2]
    assert most.tolist() == [3, 1]
    assert least.tolist() == [3, 0]
    assert mean.tolist() == pytest.approx([3, 2 / 3])
    assert without.tolist() == pytest.approx([0, 1 / 3])
    assert rows[:, ways.sums - 2].tolist() == pytest.approx(np.log1p([1, 3]).tolist())
    assert rows[:, ways.sums - 1].tolist() == pytest.approx(np.log1p([0, 1]).tolist())


def test_equal_networks_have_equal_rows():
    dead = cell("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|")
    one = cell("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|none~2|")
    other = cell("|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|")
    rng = np.random.default_rng(0)
    ways = Ways(Graphs(CELL), [CELL.sample(rng) for _ in range(50)])
    rows = ways([STRAIGHT, dead, one, other])
    assert (rows[0] == rows[1]).all()
    assert (rows[2] == rows[3]).all()
    assert (rows[0] != rows[2]).any()


def test_sequences_are_listed_with_how_often_they_stand():
    twice = cell("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|skip_connect~1|none~2|")
    ways = Ways(Graphs(CELL), [twice, STRAIGHT, twice, DIAMOND])
    listed = ways([twice])[0, ways.sums :]
    assert 2.0 in listed.tolist()
    sums = Ways(Graphs(CELL), [twice, STRAIGHT, DIAMOND], listed=False)
    assert sums([twice]).shape == (1, ways.sums)


def test_columns_that_tell_nothing_are_left_out():
    rows = np.array([[1.0, 5, 1, 2], [1, 6, 2, 3], [1, 7, 3, 1]])
    assert telling(rows).tolist() == [1, 2, 3]
    assert telling(np.array([[1.0, 1, 4], [2, 2, 4]])).tolist() == [0]


@pytest.mark.parametrize("law", list(predictor_laws()))
@pytest.mark.parametrize("name", ["auto", "gp-ways"])
def test_the_stack_and_the_informed_process_keep_every_law(name, law):
    predictor_laws()[law](lambda: plugins.predictor(name, SPACE))


def test_a_predictor_of_a_space_asks_for_one():
    with pytest.raises(UserError, match="reads the networks of a space"):
        plugins.predictor("auto")
    assert isinstance(plugins.predictor("ridge"), Ridge)


def test_every_predictor_of_the_catalogue_can_be_made():
    for name in PREDICTORS:
        assert plugins.predictor(name, SPACE).fit(*drawn(12, 0)) is not None


def test_who_is_right_on_held_out_trials_counts_more():
    archs, _ = drawn(120, 0)
    steps = np.array([float(int(dict(a.choices)[a.choices[0][0]] == archs[0].choices[0][1])) for a in archs])
    weights = Stack(SPACE).fit(archs, steps + 1e-3 * np.arange(120)).weights
    assert set(weights) == set(MEMBERS)
    assert sum(weights.values()) == pytest.approx(1)
    assert max(weights.values()) > min(weights.values())


def test_missing_features_are_no_fault_and_given_ones_are_used():
    archs, y = drawn(80, 1)
    told = y[:, None] + np.random.default_rng(0).normal(0, 0.01, (80, 1))
    told[::7] = np.nan
    said = Stack(SPACE).fit(archs[:40], y[:40], told[:40]).predict(archs[40:], told[40:])
    alone = Stack(SPACE).fit(archs[:40], y[:40]).predict(archs[40:])
    assert np.isfinite(said.mean).all()
    assert np.abs(said.mean - y[40:]).mean() < np.abs(alone.mean - y[40:]).mean()
    with pytest.raises(ValueError, match="1 features were learnt from, got 0"):
        Stack(SPACE).fit(archs, y, told).predict(archs)


def test_its_deviations_hold_what_was_not_seen():
    archs, y = drawn(200, 2)
    said = Stack(SPACE).fit(archs[:60], y[:60]).predict(archs[60:])
    inside = (np.abs(said.mean - y[60:]) < 1.645 * said.std).mean()
    assert 0.65 < inside <= 1.0


def test_a_predictor_told_of_the_ways_orders_cells_better():
    rng = np.random.default_rng(3)
    archs = [CELL.sample(rng) for _ in range(300)]
    ways = Ways(Graphs(CELL), archs, listed=False)
    y = ways(archs)[:, ways.sums - 2] + ways(archs)[:, 2]
    errors = []
    for model in (Ridge(), Informed(CELL, Ridge())):
        errors.append(((model.fit(archs[:60], y[:60]).predict(archs[60:]).mean - y[60:]) ** 2).mean())
    assert errors[1] < 0.7 * errors[0]


def far(archs, y, seed):
    """What another task rates: the same, turned by noise."""
    return y + np.random.default_rng(seed).normal(0, 0.3 * y.std(), len(y))


@pytest.mark.parametrize("law", list(predictor_laws()))
def test_one_that_is_told_of_another_task_keeps_every_law(law):
    archs, y = drawn(60, 9)
    known = Ridge().fit(archs, far(archs, y, 0))
    predictor_laws()[law](lambda: Transferred(Ridge(), known))


def test_few_networks_leave_what_is_known_and_a_wrong_one_is_found_out():
    archs, y = drawn(200, 10)
    asked, truth = archs[100:], y[100:]
    known = Ridge().fit(archs[:100], far(archs[:100], y[:100], 1))
    wrong = Ridge().fit(archs[:100], np.random.default_rng(2).permutation(y[:100]))
    few = Transferred(Ridge(), known).fit(archs[:6], y[:6])
    alone = Ridge().fit(archs[:6], y[:6]).predict(asked).mean
    assert np.corrcoef(few.predict(asked).mean, truth)[0, 1] > np.corrcoef(alone, truth)[0, 1] + 0.05
    misled = Transferred(Ridge(), wrong).fit(archs[:80], y[:80])
    assert misled.share > 0.8
    assert np.corrcoef(misled.predict(asked).mean, truth)[0, 1] > 0.8
