"""DeepMAD's program: the evaluator against the networks themselves, the solver against enumeration, its certificate."""

import json
from dataclasses import replace
from hashlib import blake2b
from math import inf, isnan
from time import process_time

import numpy as np
import pytest

from nas.errors import UserError
from nas.graph import graph
from nas.plugins import published
from nas.profile import profile
from nas.programs.deepmad.bundle import first, lowest
from nas.programs.deepmad.certificate import check
from nas.programs.deepmad.dual import Dual, Multipliers
from nas.programs.deepmad.grid import Grid
from nas.programs.deepmad.measure import Batch, feasible, measure, measured_activations
from nas.programs.deepmad.presets import TEMPLATES, design_of, labels, mobile, released, resnet, settings
from nas.programs.deepmad.problem import Budgets, Design, Score, Template, broken
from nas.programs.deepmad.proof import vectors
from nas.programs.deepmad.solve import solve
from nas.programs.deepmad.spans import spans
from search_spaces.deepmad import deepmad_mobile, deepmad_resnet
from tests.references import deepmad as reference

SPACE = {"resnet": deepmad_resnet, "mobile": deepmad_mobile}
HEADS = {"29m": 1792, "50m": 2048, "89m": 2560}
INCUMBENT = Design(32, (3, 7, 10, 11, 3), (152, 288, 464, 520, 528), (224, 432, 696, 784, 792), (7, 7, 7, 7, 3), 1792)
"""A program's network for the 29M configuration, worth 17892.155."""


def agrees(template, space, design):
    """Every number of the evaluator is that of the network itself."""
    network = space.network(space.read(labels(design)))
    ops, whole = graph(network, space.input).ops, profile(network, space.input)
    batch = Batch.of([design])
    for sizes in ("true", "released"):
        rows = reference.stages(ops, sizes)
        found = measure(template, Score(sizes=sizes), batch)
        weighted = [a * row.entropy for a, row in zip(template.weights, rows, strict=True)]
        assert found.entropies[0] == pytest.approx(weighted, rel=1e-9)
        assert found.effectiveness[0] == pytest.approx([row.effectiveness for row in rows], rel=1e-9)
        assert found.penalty[0] == pytest.approx(reference.penalty(design.depths), rel=1e-9)
        assert found.value[0] == pytest.approx(sum(weighted) - found.penalty[0], rel=1e-9)
        assert (found.macs[0], found.params[0]) == (whole.total.macs, whole.total.params)
    tool = measure(template, Score(count="tool"), batch)
    classifier = next(layer for layer in whole.layers if layer.op == "Linear").cost.params
    assert (tool.macs[0], tool.params[0]) == (reference.tool_flops(ops), whole.total.params - classifier)
    assert measured_activations(template, batch)[0] == whole.total.activations


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_released_networks_are_measured_as_they_are(name):
    own, family = published(f"deepmad-{name}"), released(name).template.family
    made = own.own.settings
    strides = tuple(made.get("strides", (2, 2, 2, 1, 2)))
    head = HEADS.get(name, 0)
    template = mobile(strides=strides, head=head) if head else resnet(strides=strides)
    agrees(template, SPACE[family](**made), design_of(own.labels, head))


def test_the_released_structures_have_the_published_scores():
    for name, sizes, entropy in (
        ("r18", "true", 32120.203),
        ("29m", "true", 19135.928),
        ("29m", "released", 11915.370),
    ):
        design = design_of(published(f"deepmad-{name}").labels, HEADS.get(name, 0))
        template = mobile(strides=(1, 2, 2, 2, 2)) if name == "29m" else resnet()
        found = measure(template, Score(sizes=sizes, penalty_stages="released"), Batch.of([design]))
        assert found.entropies.sum() == pytest.approx(entropy, abs=1e-3)
    assert found.penalty[0] == pytest.approx(reference.penalty(design.depths))
    mine = released("29m")
    found = measure(mine.template, mine.score, Batch.of([INCUMBENT]))
    assert (found.macs[0], found.params[0]) == (4_499_753_104, 28_977_544)
    assert found.value[0] == pytest.approx(17_892.155, abs=1e-3)
    assert found.effectiveness.max() == pytest.approx(0.499491, abs=1e-6)


@pytest.mark.parametrize("make", [resnet, mobile])
def test_random_designs_are_measured_as_they_are(make):
    rng = np.random.default_rng(0)
    for shape in ((3, 32, 32), (1, 28, 28), (3, 5, 5)):
        template = make(shape, 10)
        outs = [*rng.choice(20, template.stages) * 8 + 8]
        for row in (outs, [outs[0]] * template.stages):
            depths = [int(rng.choice(options)) for options in template.depths]
            mids = rng.choice(20, template.stages) * 8 + 8
            kernels = rng.choice(template.kernels, template.stages)
            rows = (tuple(map(int, part)) for part in (depths, row, mids, kernels))
            design = Design(16, *rows, template.head)
            agrees(template, SPACE[template.family](**settings(template, design)), design)
            assert design_of(labels(design), template.head) == design


def test_the_penalties_are_those_of_the_paper_and_of_the_code():
    deep = (1, 6, 9, 10, 12)
    batch = Batch.of([Design(32, deep, (96, 384, 384, 1024, 1024), (40, 40, 64, 104, 104), (5,) * 5)])
    released_one = measure(resnet(), Score("std", "released"), batch).penalty[0]
    assert released_one == pytest.approx(34.8065, abs=1e-4)
    assert measure(resnet(), Score("var"), batch).penalty[0] == pytest.approx(10 * np.exp(np.var(deep)))


def test_the_evaluator_is_fast():
    mine, rng, count = released("29m"), np.random.default_rng(0), 2000
    batch = Grid(mine.template).draw(count, rng)
    measure(mine.template, mine.score, batch)
    begun = process_time()
    for _ in range(10):
        measure(mine.template, mine.score, batch)
    assert 10 * count / (process_time() - begun) > 250_000


def toy(family, stages, seed, depths=(1, 2, 3)):
    """A template small enough to be enumerated: 4 widths, 2 kernels."""
    strides = tuple(int(s) for s in np.random.default_rng(seed).choice([1, 2], stages))
    rest = {"kernels": (3, 5), "depths": (depths,) * stages, "step": 16}
    if family == "resnet":
        widths = ((32, 48, 64, 96),) * stages
        return Template("resnet", (3, 32, 32), 10, strides, (16,), widths, (0.25, 0.5), steepest=4.0, **rest)
    widths = ((16, 24, 32, 48),) * stages
    return Template("mobile", (3, 32, 32), 10, strides, (16,), widths, (1.5, 2.0), head=64, **rest)


def everything(template):
    """All members of a template."""
    parts = [np.array(template.stems)[:, None]]
    for j in range(template.stages):
        inner = [
            (c, b) for c in template.widths[j] for b in range(template.limits(c)[0], template.limits(c)[1] + 1, 16)
        ]
        kernels, depths = template.stage_kernels[j], template.depths[j]
        parts.append(np.array([(d, c, b, k) for d in depths for c, b in inner for k in kernels]))
    index = np.stack(np.meshgrid(*[np.arange(len(part)) for part in parts], indexing="ij"), -1).reshape(-1, len(parts))
    rows = np.stack([part[index[:, j]] for j, part in enumerate(parts) if j], 1)
    batch = Batch(parts[0][index[:, 0], 0], *(rows[:, :, n] for n in range(4)))
    return batch.take(np.flatnonzero(Grid(template).members(batch)))


def posed(family, seed):
    """A random toy problem: all its members, the score, the budgets."""
    rng = np.random.default_rng(seed)
    template = toy(family, 3, seed, (1, 2, 3) if family == "resnet" else (1, 2))
    score = Score(
        ("std", "var")[seed % 2],
        ("all", "released")[seed // 2 % 2],
        *(("true", "conv"), ("released", "tool"))[seed % 2],
    )
    batch = everything(template)
    found = measure(template, score, batch)
    macs, params, rho = rng.uniform(0.05, 0.9, 3)
    limits = np.quantile(found.macs, macs), np.quantile(found.params, params)
    return template, score, Budgets(*limits, np.quantile(found.effectiveness.max(1), rho)), batch, found


@pytest.mark.parametrize("family", ["resnet", "mobile"])
@pytest.mark.parametrize("seed", range(3))
def test_the_solver_equals_enumeration(family, seed):
    template, score, budgets, _, found = posed(family, seed)
    best = found.value[feasible(found, budgets)].max()
    answer = solve(template, score, budgets, seconds=30)
    assert (answer.status, answer.gap) == ("optimal", pytest.approx(0, abs=1e-8))
    assert answer.value == pytest.approx(best, rel=1e-9)
    assert answer.bound == pytest.approx(best, rel=1e-8)
    assert not broken(template, answer.design)
    assert check(json.loads(json.dumps(answer.certificate))).value == answer.value


@pytest.mark.parametrize("family", ["resnet", "mobile"])
@pytest.mark.parametrize("seed", range(3))
def test_any_multipliers_bound_all_designs(family, seed):
    template, score, budgets, batch, found = posed(family, seed)
    dual, rng = Dual(template, score, budgets), np.random.default_rng(seed)
    depths, levels = vectors(template), len(template.ends)
    inside = feasible(found, budgets)
    best = np.array([found.value[inside & (batch.depths == row).all(1)].max(initial=-inf) for row in depths])
    for objective in (1.0, 0.0):
        centres = tuple(objective * rng.exponential(5, levels))
        prices = (rng.exponential(300), rng.exponential(300), tuple(rng.exponential(20, levels)))
        y = Multipliers(objective, *prices, centres, spans(template, budgets, depths))
        bounds = dual.bounds(y, depths)
        assert (bounds >= best - 1e-9).all() if objective else (bounds[np.isfinite(best)] >= 0).all()
        for n in rng.choice(len(depths), 3):
            made = dual.maximise(y, tuple(map(int, depths[n])))
            assert made.bound == pytest.approx(bounds[n], rel=1e-12)
            moved = replace(y, macs=1.1 * y.macs, params=0.8 * y.params, rho=tuple(1.3 * v for v in y.rho))
            step = np.array([moved.macs - y.macs, moved.params - y.params, *np.subtract(moved.rho, y.rho)])
            there = dual.maximise(moved, tuple(map(int, depths[n]))).bound
            assert there >= made.bound + made.slopes[: 2 + levels] @ step - 1e-7 * abs(made.bound)


def test_the_spans_hold_every_feasible_design():
    for family in ("resnet", "mobile"):
        template, score, budgets, batch, found = posed(family, 1)
        batch = batch.take(np.flatnonzero(feasible(found, budgets)))
        for level, end in enumerate(template.ends):
            if end < 2:
                continue
            for row in np.unique(batch.depths, axis=0):
                some = batch.take(np.flatnonzero((batch.depths == row).all(1)))
                low, high = spans(template, budgets, row[None])[level]
                part = replace(template, strides=template.strides[: end - 1], widths=template.widths[: end - 1],
                               depths=template.depths[: end - 1], head=template.head)  # fmt: skip
                first_stages = Batch(some.stems, *(p[:, : end - 1] for p in some.parts()[1:]))
                rooms = measure(part, score, first_stages)
                layers = 1 + 3 * int(row[: end - 1].sum()) + bool(template.head)
                sums = layers * -np.log(rooms.effectiveness[:, -1] / layers) / 2
                sums = sums - (0.5 * np.log(first_stages.outs[:, -1]) if template.head else 0)
                assert (sums >= low - 1e-9).all()
                assert (sums <= high + 1e-9).all()


def test_a_bound_of_the_released_problem_holds_the_known_networks():
    mine = released("29m")
    dual = Dual(mine.template, mine.score, mine.budgets)
    made = lowest(dual, INCUMBENT.depths, first(dual, 17_892.0))
    assert 17_892.155 < made.bound < 17_892.155 * 1.0005


def test_a_time_limit_gives_an_honest_gap():
    mine = released("29m")
    told = []
    answer = solve(*(mine.template, mine.score, mine.budgets), seconds=2, report=lambda *row: told.append(row))
    found = measure(mine.template, mine.score, Batch.of([answer.design]))
    assert feasible(found, mine.budgets)[0]
    assert found.value[0] == pytest.approx(answer.value)
    assert answer.status == "gap"
    assert answer.bound >= 17_918.2378
    assert answer.gap == pytest.approx((answer.bound - answer.value) / answer.value)
    assert answer.seconds < 15
    assert told


def test_contradicting_budgets_are_proved_so():
    template = toy("mobile", 3, 0, (1, 2))
    for budgets, which in ((Budgets(macs=1e4), "macs"), (Budgets(params=1e3), "params"), (Budgets(rho=0.02), "rho")):
        answer = solve(template, Score(), budgets, seconds=20)
        assert answer.status == "infeasible"
        assert isnan(answer.value)
        assert set(answer.shortfall) == {which}
        made = check(answer.certificate)
        assert made.infeasible == made.vectors == template.vectors
        assert not broken(template, answer.design)
        if which == "macs":
            used = measure(template, Score(), everything(template)).macs.min()
            assert answer.shortfall["macs"] == pytest.approx(used / 1e4)


@pytest.mark.parametrize("family", ["resnet", "mobile"])
@pytest.mark.parametrize("stages", [1, 2, 10])
def test_any_number_of_stages_is_solved(family, stages):
    template = toy(family, stages, 1, (1,) if stages == 2 else (1, 2))
    template = replace(template, widths=tuple(row[:2] for row in template.widths))
    budgets = Budgets(macs=2e6 * stages, params=6e4 * stages)
    answer = solve(template, Score(), budgets, seconds=30)
    assert answer.status == "optimal"
    if stages < 10:
        batch = everything(template)
        found = measure(template, Score(), batch)
        assert answer.value == pytest.approx(found.value[feasible(found, budgets)].max())


def test_without_a_budget_everything_is_largest():
    template = toy("resnet", 2, 0)
    answer = solve(template, Score(), Budgets(), seconds=20)
    found = measure(template, Score(), everything(template))
    assert (answer.status, answer.binding) == ("optimal", ())
    assert answer.value == pytest.approx(found.value.max())
    assert answer.marginals == {"macs": 0, "params": 0, "rho": 0}


@pytest.fixture(scope="module")
def proved():
    template, score, budgets, _, _ = posed("resnet", 3)
    return json.loads(json.dumps(solve(template, score, budgets, seconds=30).certificate))


def sealed(certificate):
    """A certificate whose digest fits again."""
    rest = {k: v for k, v in certificate.items() if k != "digest"}
    digest = blake2b(json.dumps(rest, sort_keys=True).encode(), digest_size=8).hexdigest()
    return {**rest, "digest": digest}


def leaf(c):
    nodes = next(iter(c["trees"].values()))
    return next(node for node in nodes if len(node) == 3)


def set_to(holder, key, change):
    holder[key] = change(holder[key])


DAMAGE = {
    "a price": lambda c: set_to(c["points"][0], 1, lambda v: v * 1.01 + 1),
    "a negative price": lambda c: set_to(c["points"][0], 1, lambda v: -1.0),
    "a centre": lambda c: set_to(c["points"][0][4], -1, lambda v: v + 1),
    "a span": lambda c: set_to(c["points"][0][5][-1], 1, lambda v: v * 0.9),
    "a bound": lambda c: set_to(c["bounds"], 5, lambda v: v - 1),
    "a depth": lambda c: set_to(c["design"]["depths"], 0, lambda v: v + 1),
    "a width": lambda c: set_to(c["design"]["outs"], 0, lambda v: 16),
    "a value": lambda c: set_to(c, "value", lambda v: v + 1),
    "a leaf's bound": lambda c: set_to(leaf(c), 1, lambda v: v - 1),
    "a floor": lambda c: set_to(leaf(c), 2, lambda v: 1e6),
    "a budget": lambda c: set_to(c["budgets"], "macs", lambda v: v * 1.5),
    "a status": lambda c: set_to(c, "status", lambda v: "infeasible"),
    "a point's number": lambda c: set_to(c["by"], 5, lambda v: 10_000),
    "a missing tree": lambda c: c["trees"].clear(),
    "no bounds": lambda c: c.pop("bounds"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_certificate_is_refused(proved, what):
    assert check(proved).vectors == 27
    damaged = json.loads(json.dumps(proved))
    DAMAGE[what](damaged)
    with pytest.raises(UserError, match="digest") as wrong:
        check(damaged)
    assert "\n" not in str(wrong.value)
    with pytest.raises(UserError, match="does not hold") as wrong:
        check(sealed(damaged))
    assert "digest" not in str(wrong.value)


def test_bad_input_is_refused_in_one_line():
    for make, match in (
        (lambda: Budgets(macs=0), "macs"),
        (lambda: Budgets(params=-1.0), "params"),
        (lambda: Score(penalty="max"), "penalty"),
        (lambda: released("r99"), "r99"),
        (lambda: replace(resnet(), family="plain"), "plain"),
        (lambda: replace(resnet(), head=64), "head"),
        (lambda: replace(resnet(), widths=((8,),)), "1 rows of widths"),
        (lambda: replace(resnet(), stems=(16, 8)), "rising"),
        (lambda: replace(resnet(), alpha=(1.0,)), "alpha"),
        (lambda: resnet(deepest=64), "depth vectors"),
    ):
        with pytest.raises(UserError, match=match):
            make()


@pytest.mark.slow
def test_the_released_29m_problem_is_solved_in_a_minute():
    mine = released("29m")
    answer = solve(mine.template, mine.score, mine.budgets, seconds=60)
    assert answer.value >= 17_887
    assert answer.gap <= 0.002
    assert check(answer.certificate).bound == pytest.approx(answer.bound, abs=1e-3)
    space = deepmad_mobile(**settings(mine.template))
    ops = graph(space.network(space.read(labels(answer.design))), space.input).ops
    rows = reference.stages(ops, "released")
    assert reference.entropy(rows) - reference.penalty(answer.design.depths) == pytest.approx(answer.value)
    assert reference.tool_flops(ops) <= mine.budgets.macs
    assert reference.effectiveness(rows) <= mine.budgets.rho


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r18", "r34", "r50"])
def test_the_released_resnet_problems_are_bounded_in_a_minute(name):
    mine = released(name)
    answer = solve(mine.template, mine.score, mine.budgets, seconds=60)
    assert answer.gap <= 0.01
    assert check(answer.certificate).bound == pytest.approx(answer.bound, abs=1e-3)
