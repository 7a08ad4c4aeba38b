"""Rules whose networks shrink as the training goes on: delayed shrinking and progressive shrinking."""

import numpy as np
import pytest

import nas
from nas.problem import Problem
from nas.training.recipe import rate
from nas.training.rules import Delayed, Pass, Phase, Progressive, Sandwich, extremes, phases
from search_spaces.ofa import ofa
from search_spaces.ops import Conv
from search_spaces.shufflenet import shufflenet
from tests.ruled import EACH, PROBLEM, RECIPE, at, over, said, space


def test_beta_rises_as_published():
    rule, lr = Delayed(150 / 270, 5 / 270), lambda step: rate(step, 270 * EACH, peak=0.1, warmup=RECIPE.warmup)
    assert rule.beta(at(144 * EACH + EACH - 1)) == 0
    assert rule.beta(at(145 * EACH)) == pytest.approx(1 / (5 * EACH) * lr(150 * EACH) / lr(145 * EACH), rel=1e-12)
    last = 150 * EACH - 1
    assert rule.beta(at(last)) == pytest.approx(lr(150 * EACH) / lr(last), rel=1e-12)
    assert rule.beta(at(last)) < 1
    assert rule.beta(at(150 * EACH)) == rule.beta(at(270 * EACH - 1)) == 1
    rates = [rule.beta(at(step)) * lr(step) for step in range(145 * EACH, 150 * EACH)]
    assert np.diff(rates) == pytest.approx(lr(150 * EACH) / (5 * EACH))  # the sub-networks' own rate is a line


def test_the_others_join_at_the_ramp():
    rule, problem = Delayed(150 / 270, 5 / 270), Problem(space(Conv(over("width", 2, 4))))
    steps = [said(rule, step, problem) for step in range(270 * EACH)]
    assert [len(one.passes) for one in steps] == [1] * (145 * EACH) + [4] * (125 * EACH)
    assert sum(len(one.passes) for one in steps) == 645 * EACH
    assert sum(len(said(Sandwich(), step, problem).passes) for step in range(270)) == 1080
    assert [k for k, one in enumerate(steps) if one.sort] == [145 * EACH]
    ramp = steps[147 * EACH].passes
    assert [one.weight for one in ramp] == [1.0] + [rule.beta(at(147 * EACH))] * 3
    assert [(one.labels, one.soft) for one in ramp] == [(1.0, 0.0)] + [(0.0, 1.0)] * 3


def test_without_delay_it_is_a_sandwich_and_without_beta_the_full_network():
    for step in (0, 500, 1079):
        assert said(Delayed(start=0, ramp=0), step) == said(Sandwich(), step)
        assert said(Delayed(epsilon=0), step).passes == (Pass(extremes(PROBLEM).largest),)
        assert not said(Delayed(epsilon=0), step).sort
    with pytest.raises(nas.UserError, match="0 <= ramp <= start <= 1"):
        Delayed(start=0.1, ramp=0.2)


SHRINK = Progressive(
    (
        Phase(r"kernel$", passes=1, share=0.25, peak=0.4, warmup=0.1),
        Phase(r"depth", 1, passes=2, share=0.1, peak=0.05),
        Phase(r"depth", passes=2, share=0.2, peak=0.1),
        Phase(r"width", 2, passes=4, share=0.1, peak=0.05, sort=True),
        Phase(r"width", passes=3, share=0.2, peak=0.1, warmup=0.5),
    ),
    kd_ratio=0.5,
)
PARTS = {150: 1, 400: 1, 500: 2, 700: 2, 800: 4, 1000: 3}
"""Of 1,000 steps: the end of each part, and its passes a step."""


def shrinking(step):
    return said(SHRINK, step, epochs=1000, each=1)


def met(first, until, names):
    drawn = [one.arch for step in range(first, until) for one in shrinking(step).passes]
    return [{a.labels[name] for a in drawn if name in a.labels} for name in names]


def test_each_phase_opens_its_options_and_no_others():
    names = ("stem.kernel", "op.kernel", "depth", "stem.width", "op")
    kernels = [{1, 3}, {1, 3, 5, 7}]
    assert met(0, 150, names) == [{3}, {7}, {2}, {8}, {"conv"}]
    assert met(150, 400, names) == [*kernels, {2}, {8}, {"conv"}]
    assert met(400, 500, names) == [*kernels, {2}, {8}, {"conv"}]
    assert met(500, 700, names) == [*kernels, {1, 2}, {8}, {"conv"}]
    assert met(700, 800, names) == [*kernels, {1, 2}, {8, 4}, {"conv"}]
    assert met(800, 1000, names) == [*kernels, {1, 2}, {8, 4, 2}, {"conv"}]


def test_each_phase_has_its_passes_its_losses_and_its_own_course_of_rates():
    steps = [shrinking(k) for k in range(1000)]
    first = 0
    for until, passes in PARTS.items():
        assert {len(one.passes) for one in steps[first:until]} == {passes}
        losses = (1.0, 0.0) if until == 150 else (1.0, 0.5)
        assert {(p.labels, p.soft) for one in steps[first:until] for p in one.passes} == {losses}
        first = until
    assert {p.weight for one in steps for p in one.passes} == {1.0}
    assert [k for k, one in enumerate(steps) if one.keep] == [150]
    assert steps[150].keep == extremes(PROBLEM).largest
    assert [k for k, one in enumerate(steps) if one.sort] == [700]
    rates = [one.rate for one in steps]
    assert max(rates[:150]) == rates[14] == pytest.approx(0.1)  # the recipe's warm-up, a tenth
    assert [max(rates[a:b]) for a, b in ((150, 400), (400, 500), (500, 700), (700, 800), (800, 1000))] == pytest.approx(
        [0.04, 0.005, 0.01, 0.005, 0.01]
    )
    assert rates[150] == pytest.approx(0.04 / 25)
    assert rates[500] == pytest.approx(0.01)
    assert rates[899] == pytest.approx(0.01)
    assert max(rates[k] for k in (149, 399, 499, 699, 799, 999)) < 2e-5


def test_the_published_phases_are_those_of_ofa():
    problem = Problem(ofa((3, 32, 32), 10))
    some = phases(problem.space)
    assert [round(590 * phase.share) for phase in some] == [120, 25, 120, 25, 120]
    assert [phase.passes for phase in some] == [1, 2, 2, 4, 4]
    assert [phase.options for phase in some] == [0, 2, 0, 2, 0]
    assert [round(2.6 * phase.peak, 2) for phase in some] == [0.96, 0.08, 0.24, 0.08, 0.24]
    steps = [said(Progressive(), step, problem, epochs=590, each=1) for step in (*range(179, 195), 323, 450)]
    assert [len(one.passes) for one in steps] == [1] * 16 + [2, 4]
    assert [bool(one.keep) for one in steps[:3]] == [False, True, False]
    kernels = [p.arch for one in steps[1:16] for p in one.passes]
    assert {label for a in kernels for name, label in a.choices if name.endswith("kernel")} == {3, 5, 7}
    assert {label for a in kernels for name, label in a.choices if not name.endswith("kernel")} == {4, 6}


def test_limits_count_once_all_is_open():
    macs = problem_macs(PROBLEM)
    limited = Problem(PROBLEM.space, constraints=(nas.at_most("macs", macs[len(macs) // 3]),))
    all_open = Progressive((Phase("kernel", share=0.3), Phase(".", share=0.3, passes=2)))
    drawn = [said(all_open, step, limited, epochs=1000, each=1).passes for step in range(700, 740)]
    assert not any(limited.screen(one.arch).broken for some in drawn for one in some)
    kernels = [said(all_open, step, limited, epochs=1000, each=1).passes for step in range(400, 440)]
    assert any(limited.screen(one.arch).broken for some in kernels for one in some)


def problem_macs(problem):
    return sorted(problem.screen(a).metrics["macs"] for a in problem.space)


def test_a_space_without_dimensions_and_a_pattern_without_choices_are_refused():
    with pytest.raises(nas.UserError, match="no choice of shufflenet is a kernel, a depth, an expansion or a width"):
        said(Progressive(), problem=Problem(shufflenet((3, 32, 32), 10)))
    with pytest.raises(nas.UserError, match="no choice of test matches 'kernels'"):
        said(Progressive((Phase("kernels"),)), 1000)
    for bad in (
        Phase("kernel", share=1.0),
        Phase("kernel", passes=0),
        Phase("kernel", share=0),
        Phase("kernel", peak=0),
    ):
        with pytest.raises(nas.UserError, match="shares above 0 that leave some"):
            Progressive((bad,))
