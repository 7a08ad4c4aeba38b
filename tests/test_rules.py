"""Which sub-networks learn in a step, and from what: the rules as their papers have them."""

import pickle
from collections import Counter
from dataclasses import FrozenInstanceError
from itertools import pairwise, product

import numpy as np
import pytest

import nas
from nas.problem import Problem, at_most
from nas.training import rules
from nas.training.rules import RULES, Delayed, Fair, Multi, Pass, Sandwich, Sorted, Uniform, extremes
from nas.tree import Zero
from search_spaces import nasbench201
from search_spaces.ops import Conv, ConvNormAct
from search_spaces.shufflenet import shufflenet
from tests.ruled import PROBLEM, SMALL, WIRED, over, said, seeded, space


def archs(rule, step=0, problem=PROBLEM):
    return [one.arch for one in said(rule, step, problem).passes]


# all rules


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_a_value_that_says_the_same_of_the_same_step(name):
    rule, problem = RULES[name], Problem(SMALL)
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert eval(repr(rule), vars(rules)) == rule
    with pytest.raises(FrozenInstanceError):
        rule.more = 1
    for step in (0, 200, 400, 600, 800, 1079):
        one = said(rule, step, problem)
        assert one == said(rule, step, problem)
        assert all(SMALL.member(some.arch) for some in one.passes)


@pytest.mark.parametrize("name", RULES)
def test_what_a_rule_draws_at_random_keeps_the_limits(name):
    free = Problem(SMALL)
    macs = sorted(free.screen(SMALL.sample(seeded(k))).metrics["macs"] for k in range(20))
    limited = Problem(SMALL, constraints=(at_most("macs", macs[6]),))
    ends = extremes(limited)
    for step in range(1064, 1080, 3):
        for one in said(RULES[name], step, limited).passes:
            assert one.arch == ends.largest or not limited.screen(one.arch).broken


# the ends


@pytest.mark.parametrize("some", [WIRED, nasbench201((1, 4, 4), 2, 1, 1)], ids=["wired", "nasbench201"])
def test_the_ends_are_the_largest_and_the_smallest_of_all_members(some):
    free = Problem(some)
    macs = [seen.metrics["macs"] for a in some if not (seen := free.screen(a)).broken] if some is WIRED else None
    ends = extremes(free)
    low, high = (free.screen(a).metrics["macs"] for a in (ends.smallest, ends.largest))
    assert not free.screen(ends.smallest).broken
    if macs is not None:
        assert (low, high) == (min(macs), max(macs))
        assert ends.largest.labels == {"stem.width": 8, "stem.kernel": 3, "op": "conv", "op.kernel": 7, "depth": 2}
    else:
        assert set(ends.largest.labels.values()) == {"nor_conv_3x3"}
        assert low == min(free.screen(some.sample(seeded(k))).metrics["macs"] for k in range(200))
    assert extremes(Problem(some, constraints=(at_most("macs", low),))) is ends


def test_a_member_without_a_path_is_no_end():
    some = space(nas.Choice.over("a", none=Zero(), conv=Conv(4)), nas.Choice.over("b", none=Zero(), conv=Conv(4)))
    assert extremes(Problem(some)).smallest.labels == {"a": "conv", "b": "conv"}
    with pytest.raises(nas.UserError, match="no member of test was found that has a network"):
        extremes(Problem(space(Zero())))


# uniform


def test_uniform_draws_all_members_as_often():
    some = space(ConvNormAct(over("width", 2, 4, 8), over("kernel", 1, 3)), Conv(over("last", 2, 4)))
    drawn = Counter(archs(Uniform(), step, Problem(some))[0] for step in range(1200))
    expected = 1200 / some.size
    assert len(drawn) == some.size == 12
    assert sum((count - expected) ** 2 / expected for count in drawn.values()) < 24.7  # 99 % of chi-square, 11 degrees


def test_bins_of_macs_are_drawn_as_often():
    macs = sorted(PROBLEM.screen(a).metrics["macs"] for a in WIRED)
    edges = (macs[0], macs[-1] / 3, macs[-1] / 2, macs[-1] + 1)
    found = [PROBLEM.screen(archs(Uniform(edges), step)[0]).metrics["macs"] for step in range(300)]
    counts = np.histogram(found, edges)[0]
    assert sum((counts - 100) ** 2 / 100) < 9.2
    plain = [PROBLEM.screen(archs(Uniform(), step)[0]).metrics["macs"] for step in range(300)]
    assert sum((np.histogram(plain, edges)[0] - 100) ** 2 / 100) > 50


@pytest.mark.parametrize("bins", [(1.0,), (2.0, 1.0), (1.0, 1.0)])
def test_bins_that_are_none_are_refused(bins):
    with pytest.raises(nas.UserError, match="at least two ascending edges"):
        Uniform(bins)


# fair


def test_fair_uses_every_option_exactly_once_a_step():
    problem = Problem(nasbench201((1, 4, 4), 2, 1, 1))
    some = archs(Fair(), 3, problem)
    assert len(some) == 5
    used = Counter((name, label) for a in some for name, label in a.choices)
    broken = [a for a in some if problem.screen(a).broken]
    assert not broken
    assert set(used.values()) == {1}
    assert len(used) == 30


def test_fair_uses_options_as_equally_as_they_are_met():
    for step in range(40):
        some = archs(Fair(), step)
        assert len(some) == 4
        for name, choice in WIRED.choices.items():
            met = [a.labels[name] for a in some if name in a.labels]
            used = [met.count(label) for label in choice.labels]
            assert max(used) - min(used) <= 1, (name, used)
            assert sum(used) == (4 if name != "op.kernel" else [a.labels["op"] for a in some].count("conv"))


def test_fair_pairs_the_options_of_two_choices_at_random():
    pairs = Counter((a["stem.width"], a["op"]) for step in range(300) for a in archs(Fair(), step))
    assert len(pairs) == 9
    assert sum((count - 1200 / 9) ** 2 / (1200 / 9) for count in pairs.values()) < 20.1  # 8 degrees


# sandwich


def test_a_sandwich_is_the_largest_the_smallest_and_random_ones():
    largest, smallest, *others = said(Sandwich(), 7).passes
    ends = extremes(PROBLEM)
    assert largest == Pass(ends.largest, weight=1.0, labels=1.0, soft=0.0, teaches=True)
    assert smallest == Pass(ends.smallest, weight=1.0, labels=0.0, soft=1.0, teaches=False)
    assert [(one.weight, one.labels, one.soft, one.teaches) for one in others] == [(1.0, 0.0, 1.0, False)] * 2
    assert len({archs(Sandwich(), step)[2] for step in range(20)}) > 10
    assert len(archs(Sandwich(count=2))) == 2
    for rule in (Sandwich, Delayed):
        with pytest.raises(nas.UserError, match="at least 2 networks, got 1"):
            rule(count=1)


# sorted and multi


def test_each_model_of_the_chain_lies_within_the_next():
    chain = Sorted(count=5).chain(PROBLEM)
    labels = [a.labels for a in chain]
    assert [one["stem.width"] for one in labels] == [2, 2, 4, 8, 8]
    assert [one["op.kernel"] for one in labels] == [1, 3, 5, 5, 7]
    assert {one["op"] for one in labels} == {"conv"}
    for one, two in pairwise(labels):
        assert all(one[name] <= two[name] for name in one)
    assert chain[-1] == extremes(PROBLEM).largest
    assert Sorted(count=1, passes=1).chain(PROBLEM) == chain[-1:]


def test_a_step_draws_different_models_each_as_often():
    chain = Sorted(count=5).chain(PROBLEM)
    drawn = [said(Sorted(count=5, passes=3), step).passes for step in range(200)]
    assert all(len({one.arch for one in some}) == 3 and {one.weight for one in some} == {1 / 3} for some in drawn)
    counts = Counter(one.arch for some in drawn for one in some)
    assert set(counts) == set(chain)
    assert sum((count - 120) ** 2 / 120 for count in counts.values()) < 13.3
    assert {one.arch for one in said(Sorted(5, 5)).passes} == set(chain)


def test_a_chain_needs_numbers_and_keeps_the_limits():
    macs = PROBLEM.screen(Sorted(count=5).chain(PROBLEM)[2]).metrics["macs"]
    assert len(Sorted(count=5).chain(Problem(WIRED, constraints=(at_most("macs", macs),)))) == 3
    with pytest.raises(nas.UserError, match="no sub-model of the chain through test keeps the limits"):
        Sorted().chain(Problem(WIRED, constraints=(at_most("macs", 1),)))
    with pytest.raises(nas.UserError, match="not nested: it has no choice of numbers"):
        said(Sorted(), problem=Problem(shufflenet((3, 32, 32), 10)))
    with pytest.raises(nas.UserError, match="got 3 of 2"):
        Sorted(count=2, passes=3)


def test_multi_gives_each_part_of_the_batch_its_own_network():
    some = said(Multi(4)).passes
    assert [one.part for one in some] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert {(one.weight, one.labels, one.soft) for one in some} == {(0.25, 1.0, 0.0)}
    assert len({archs(Multi(2), step)[k] for step, k in product(range(10), range(2))}) > 10
    with pytest.raises(nas.UserError, match="at least 1 part"):
        Multi(0)
