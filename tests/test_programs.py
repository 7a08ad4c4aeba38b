"""The integer programs: tables of costs, exact choice, next-best ones, fronts, and the ridge that is a sum."""

import itertools
import math
import time

import numpy as np
import pytest

from nas.errors import UserError
from nas.profile import profile
from nas.programs import knapsack
from nas.programs.additive import Additive, columns_of
from nas.programs.choose import Chooser, best, front, ranked
from nas.programs.milp import Program as Milp
from nas.programs.openings import Openings
from nas.programs.tables import Tables, additive, costs, tables, total
from nas.space import Space
from nas.testing import table
from nas.tree import Chain, Choice, Identity, Sum
from predictors.ridge import Ridge
from search_spaces import SPACES
from search_spaces.ops.conv import Conv

SMALL = {
    "depths": SPACES["mobile"]((1, 12, 12), 4, (8, 16), (0.5, 1.0), (1, 2), (3, 5), (2, 3), (0,), 16),
    "nodes": SPACES["nasbench201"](cells=1, channels=4, input=(1, 8, 8), classes=3),
    "widths": SPACES["resnet"]((1, 8, 8), 3, widths=((4, 8), (8, 12), (8, 16), (8, 16)), depths=((1, 2),) * 4),
    "sets": Space(
        "sets",
        Sum.of(
            Choice.sets("keep", ("a", "b", "c"), 2),
            a=Conv(4, Choice("kernel", (1, 3))),
            b=Choice.over("b", id=Conv(4, 1), deep=Chain.of(x=Conv(Choice("width", (2, 8)), 3), y=Conv(4, 1))),
            c=Conv(4, 5),
        ),
        (3, 6, 6),
    ),
}


def scored(space, seed=0):
    """A random number for every (choice, label), as tables and as the plain sum."""
    rng = np.random.default_rng(seed)
    terms = {column: float(rng.normal()) for column in columns_of(space)}
    return additive(Openings.of(space), 0.5, terms), lambda a: 0.5 + sum(terms[pair] for pair in a.choices)


def instance(layers, options, budgets, seed):
    rng = np.random.default_rng(seed)
    values = [np.sort(rng.random(options)) for _ in range(layers)]
    used = [np.sort(rng.random((options, budgets)), 0) for _ in range(layers)]
    least, most = sum(c.min(0) for c in used), sum(c.max(0) for c in used)
    return values, used, least + 0.45 * (most - least)


def chain(layers, options):
    """A space of so many choices among so many numbers, which build to nothing."""
    items = [
        Sum.of(None, x=Choice.over(f"l{i}", **{f"o{k}": Identity() for k in range(options)})) for i in range(layers)
    ]
    return Space("chain", Chain.seq(*items), (1,))


@pytest.mark.parametrize("name", list(SMALL))
def test_tables_are_the_profile_of_every_architecture(name):
    space = SMALL[name]
    made = costs(space, ("macs", "params", "activations"))
    rng = np.random.default_rng(7)
    for arch in [space.sample(rng) for _ in range(300)]:
        found = profile(space.network(arch), space.input).total
        assert made["macs"](arch) == found.macs
        assert made["params"](arch) == found.params
        assert made["activations"](arch) == found.activations


@pytest.mark.parametrize("name", list(SMALL))
def test_openings_say_what_is_asked(name):
    space = SMALL[name]
    openings, rng = Openings.of(space), np.random.default_rng(1)
    for _ in range(200):
        picks = {n: int(rng.integers(len(c.options))) for n, c in space.choices.items()}
        arch = space.decide(lambda c, picks=picks: picks[c.name])
        said = {n for n, (by, is_open) in openings.tables.items() if is_open[tuple(picks[b] for b in by)]}
        assert said == set(arch.labels)


def test_a_rare_dependence_is_found_by_the_check_on_fresh_architectures():
    """A layer that depends on its last choice only where two before it are at one option."""
    space = chain(5, 3)

    def rare(arch):
        corner = all(arch[f"l{i}"] == "o1" for i in (1, 2))
        return {"layer": 7.0 if corner and arch["l3"] == "o1" else float(arch["l0"] == "o1")}

    made = tables(space, rare)
    assert all(made(a) == sum(rare(a).values()) for a in space)
    assert max(len(scope) for scope in made.parts) == 4  # and found: l0 to l3


def test_a_cost_that_is_no_sum_of_small_tables_is_refused_by_its_layer():
    space = chain(12, 4)
    with pytest.raises(
        UserError, match=r"the energy of the layer whole depends on \d+ choices .* cells, at most 100,000"
    ):
        tables(space, lambda a: {"whole": float(int(a.key, 16) % 997)}, what="energy")


def test_tables_add_and_scale():
    space = SMALL["depths"]
    made = costs(space)
    both = total(made["macs"], made["params"].scaled(-2.0))
    for arch in [space.sample(np.random.default_rng(s)) for s in range(20)]:
        assert both(arch) == made["macs"](arch) - 2 * made["params"](arch)


@pytest.mark.parametrize("budgets", [0, 1, 2, 3])
def test_the_knapsack_equals_brute_force_and_its_ranking_too(budgets):
    for seed in range(8):
        values, used, limits = instance(5, 4, budgets, seed)
        every = []
        for picks in itertools.product(range(4), repeat=5):
            if (sum((c[k] for c, k in zip(used, picks, strict=True)), np.zeros(budgets)) <= limits).all():
                every.append((sum(v[k] for v, k in zip(values, picks, strict=True)), picks))
        every.sort(reverse=True)
        found = knapsack.best(values, used, limits, count=12)
        assert found.values == pytest.approx([v for v, _ in every[:12]], abs=1e-12)
        assert [tuple(p) for p in found.picks.tolist()] == [p for _, p in every[:12]]
        without = {p for _, p in every[:5]}
        assert knapsack.best(values, used, limits, without=without).values == pytest.approx([every[5][0]])
        assert len(knapsack.best(values, used, limits, count=2000).values) == len(every)


def test_the_whole_front_equals_brute_force():
    for seed in range(10):
        values, used, _ = instance(5, 4, 1, seed)
        if seed % 2:  # integers, so that there are ties
            values, used = [np.round(5 * v) for v in values], [np.round(5 * c) for c in used]
        points = sorted(
            (sum(c[k, 0] for c, k in zip(used, p, strict=True)), -sum(v[k] for v, k in zip(values, p, strict=True)))
            for p in itertools.product(range(4), repeat=5)
        )
        wanted = []
        for cost, value in points:
            if not wanted or -value > wanted[-1][1] + 1e-12:
                wanted.append((cost, -value))
        found = knapsack.front(values, [c[:, 0] for c in used])
        got = sorted(zip(found.used[:, 0], found.values, strict=True))
        assert np.array(got) == pytest.approx(np.array(wanted))


def test_the_knapsack_equals_highs_on_larger_instances():
    for layers, options, budgets, seeds in [(20, 8, 1, 2), (20, 8, 3, 3), (53, 9, 3, 1)]:
        space = chain(layers, options)
        for seed in range(seeds):
            values, used, limits = instance(layers, options, budgets, seed)
            objective = Tables(space, {(f"l{i}",): v for i, v in enumerate(values)})
            roofs = [
                (Tables(space, {(f"l{i}",): c[:, b] for i, c in enumerate(used)}), float(limits[b]))
                for b in range(budgets)
            ]
            began = time.perf_counter()
            ours = knapsack.best(values, used, limits).values[0]
            assert time.perf_counter() - began < 3  # 0.1 s and 0.3 s on an idle core: see benchmarks/program.py
            picks, bound = Milp(objective, roofs).solve()
            theirs = sum(v[picks[f"l{i}"]] for i, v in enumerate(values))
            assert ours == pytest.approx(theirs, rel=1e-6)
            assert ours <= bound + 1e-6


@pytest.mark.parametrize("name", list(SMALL))
@pytest.mark.parametrize("method", ["knapsack", "highs"])
def test_the_choice_equals_brute_force_under_limits(name, method, monkeypatch):
    space = SMALL[name]
    if method == "highs":
        monkeypatch.setattr("nas.programs.choose.OPTIONS", 0)
    made, (objective, value) = costs(space), scored(space)
    archs = list(itertools.islice(space, 20_000))
    archs = archs if len(archs) <= 4096 else [space.sample(np.random.default_rng(s)) for s in range(500)]
    whole = len(archs) == space.size
    macs, params = (np.array([made[m](a) for a in archs]) for m in ("macs", "params"))
    limits = [(made["macs"], float(np.median(macs))), (made["params"], float(np.median(params)))]
    inside = (macs <= limits[0][1]) & (params <= limits[1][1])
    values = np.sort([value(a) for a, ok in zip(archs, inside, strict=True) if ok])[::-1]
    chosen = ranked(objective, limits, count=4)
    assert len({c.arch for c in chosen}) == min(4, len(values))
    for c, wanted in zip(chosen, values, strict=False):
        assert space.member(c.arch)
        assert value(c.arch) == pytest.approx(c.value)
        assert all(u <= roof for u, (_, roof) in zip(c.used, limits, strict=True))
        assert c.value == pytest.approx(wanted) if whole else c.value >= wanted - 1e-9
        assert c.bound == pytest.approx(c.value)
    assert best(objective, [(made["macs"], float(macs.min()) - 1)]) is None or not whole
    assert best(objective, [limits[0], (made["params"], math.inf)]).arch == best(objective, limits[:1]).arch


@pytest.mark.parametrize("method", ["knapsack", "highs"])
def test_the_front_of_a_space_equals_brute_force(method, monkeypatch):
    if method == "highs":
        monkeypatch.setattr("nas.programs.choose.OPTIONS", 0)
    space = SMALL["sets"]
    made, (objective, value) = costs(space)["macs"], scored(space)
    wanted = []
    for cost, worth in sorted((made(a), -value(a)) for a in space):
        if not wanted or -worth > wanted[-1][1] + 1e-9:
            wanted.append((cost, -worth))
    found = front(objective, made)
    assert [(c.used[0], pytest.approx(c.value)) for c in found] == [(c, pytest.approx(v)) for c, v in wanted]
    assert all(space.member(c.arch) for c in found)
    fewer = front(objective, made, points=2)
    assert len(fewer) <= 2
    assert {c.arch for c in fewer} <= {c.arch for c in found}


def test_a_ridge_is_a_sum_over_choices_and_finds_the_weights():
    space = SMALL["depths"]
    objective, value = scored(space, 3)
    archs = list({space.sample(np.random.default_rng(s)) for s in range(400)})
    y = np.array([value(a) for a in archs])
    model = Ridge().fit(archs, y)
    made = model.tables(Openings.of(space))
    for arch, mean in zip(archs, model.predict(archs).mean, strict=True):
        assert made(arch) == pytest.approx(mean)
        assert model.offset + sum(model.terms[p] for p in arch.choices) == pytest.approx(mean)
    assert model.predict(archs).mean == pytest.approx(y, abs=0.02 * float(np.std(y)))
    assert best(made).value == pytest.approx(best(objective).value, abs=0.1)


def test_drawn_weights_spread_as_the_predicted_std():
    space, value = table()
    archs = list(space)[::8]
    model = Additive.fit(archs, np.array([value(a) for a in archs]), columns_of(space))
    rng = np.random.default_rng(0)
    others = list(space)[1::8]
    drawn = np.array([model.drawn(rng).predict(others)[0] for _ in range(1500)])
    said = np.sqrt(model.predict(others)[1] ** 2 - model.noise**2)
    assert drawn.std(0) == pytest.approx(said, rel=0.12)


def test_ofa_is_tabulated_and_solved_in_seconds():
    space = SPACES["ofa"]()
    began = time.perf_counter()
    made, (objective, _) = costs(space), scored(space)
    limits = [(made["macs"], 260e6), (made["params"], 4.6e6)]
    chosen = Chooser(space).ranked(objective, limits, count=3)
    assert time.perf_counter() - began < 20
    for c in chosen:
        found = profile(space.network(c.arch), space.input).total
        assert c.used == (found.macs, found.params)
        assert found.macs <= 260e6
        assert found.params <= 4.6e6
