"""The integer programs: tables of costs, exact choice, fronts, the strategy, and a space with bits."""

import itertools
import math
import time

import numpy as np
import pytest

from nas.errors import UserError
from nas.problem import Problem, State, Trial, at_most, maximise, minimise
from nas.profile import profile
from nas.programs import knapsack
from nas.programs.additive import Additive, columns_of
from nas.programs.choose import Chooser, best, front, ranked
from nas.programs.milp import Program as Milp
from nas.programs.openings import Openings
from nas.programs.tables import Tables, additive, costs, several, tables, total
from nas.space import Space
from nas.strategies import Evolution, Program, Warm
from nas.testing import play, strategy_laws, table
from nas.tree import Chain, Choice, Identity, Sum
from predictors.ridge import Ridge
from search_spaces import SPACES
from search_spaces.ops.conv import Conv
from search_spaces.ops.precision import error, quantised, weights

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


def test_a_known_objective_is_asked_for_best_first():
    space = SMALL["sets"]
    made = costs(space)
    limit = float(np.median([made["params"](a) for a in space]))
    problem = Problem(space, (maximise("macs"),), (at_most("params", limit),))
    strategy, asked = Program(problem), []
    while proposal := strategy.ask(np.random.default_rng(len(asked))):
        asked.append(proposal.arch)
    inside = [made["macs"](a) for a in space if made["params"](a) <= limit]
    assert len(set(asked)) == len(asked) == len(inside)
    assert [made["macs"](a) for a in asked] == sorted(inside, reverse=True)


def test_a_learnt_objective_is_exactly_best_for_the_ridge():
    space, value = table()
    problem = Problem(space)
    strategy, told = Program(problem, warm=20, explore=0.0), []
    for number in range(1, 31):
        proposal = strategy.ask(np.random.default_rng(number))
        assert proposal.note["by"] == ("random" if number <= 20 else "program")
        if number > 20:
            archs, y = zip(*told, strict=True)
            model = Additive.fit(archs, np.array(y), columns_of(space))
            left = [a for a in space if a not in archs]
            assert proposal.note["value"] == pytest.approx(model.predict(left)[0].max())
        told.append((proposal.arch, value(proposal.arch)))
        strategy.tell(Trial(number, proposal, State.DONE, {"accuracy": told[-1][1]}))


def test_two_objectives_walk_the_front_and_given_tables_are_kept():
    space = SMALL["sets"]
    made = costs(space)

    def slow(arch):
        return {"only": 1.0 + len(arch.choices)}

    problem = Problem(space, (maximise("macs"), minimise("params")), (at_most("latency", 3.5),))
    strategy = Program(problem, known={"latency": slow})
    asked = [p.arch for n in range(4) if (p := strategy.ask(np.random.default_rng(n)))]
    assert asked
    for arch in asked:
        assert 1.0 + len(arch.choices) <= 3.5
    points = {(made["macs"](a), made["params"](a)) for a in asked}
    assert len(points) > 1


def test_a_limit_that_a_device_measures_is_learnt():
    space, value = table()
    problem = Problem(space, (maximise("accuracy"),), (at_most("latency_s", 2.0),))
    cost = {"o0": 0.2, "o1": 0.4, "o2": 0.6, "o3": 0.8, "o4": 1.0}
    strategy, late = Program(problem), []
    for number in range(1, 41):
        proposal = strategy.ask(np.random.default_rng(number))
        latency = sum(cost[label] for _, label in proposal.arch.choices)
        late.append(latency > 2.0)
        state = State.INFEASIBLE if late[-1] else State.DONE
        metrics = {"latency_s": latency} | ({} if late[-1] else {"accuracy": value(proposal.arch)})
        strategy.tell(Trial(number, proposal, state, metrics))
    assert sum(late[-10:]) <= 3


def test_a_space_without_small_tables_is_refused_at_once():
    space = SPACES["nasbench101"]()
    with pytest.raises(UserError, match=r"the layer .*depends on|refuses|is open depends"):
        Program(Problem(space, (maximise("accuracy"),), (at_most("macs", 1e9),)))


@pytest.mark.parametrize("law", list(strategy_laws()))
def test_a_warm_start_keeps_every_law(law):
    strategy_laws()[law](lambda p: Warm(Evolution(p), list(itertools.islice(p.space, 7))))


def test_evolution_begins_with_what_it_is_given():
    space, value = table()
    given = sorted(space, key=value)[-5:]
    trials = play(lambda p: Warm(Evolution(p), given), Problem(space), value, asks=30, seed=0)
    assert [t.arch for t in trials[:5]] == given
    assert any(t.proposal.note.get("mutated", 99) <= 5 for t in trials[10:])


def test_bits_of_two_layers_as_hawq_counts_them():
    """Two layers of 100 and 1,000 weights, 8 and 4 bits: within 4,800 bits the best is 8/4, at a loss of 6."""
    losses = [np.array([10.0, 1.0]), np.array([5.0, 0.5])]
    sizes = [np.array([[400.0], [800.0]]), np.array([[4000.0], [8000.0]])]
    found = knapsack.best([-x for x in losses], sizes, np.array([4800.0]))
    assert found.picks.tolist() == [[1, 0]]
    assert found.values.tolist() == [-6.0]
    assert found.used.tolist() == [[4800.0]]
    tight = knapsack.best([-x for x in losses], sizes, np.array([4799.0]))
    assert (tight.values[0], tight.used[0, 0]) == (-15.0, 4400.0)


def test_cycles_of_an_accelerator_round_up():
    """64 channels in and out, 28x28, 1x1, 64 units: 50,176 cycles with divisors, 60,368 with 6 x 10 (60 units)."""
    items = [Choice.over(n, **{str(k): Identity() for k in range(1, 65)}) for n in ("into", "outof")]
    space = Space("array", Chain.seq(*(Sum.of(None, x=i) for i in items)), (1,))

    def cycles(arch):
        p, q = int(arch["into"]), int(arch["outof"])
        return {"layer": float(math.ceil(64 / p) * math.ceil(64 / q) * 784)}

    made = tables(space, cycles, what="cycles")
    units = tables(space, lambda a: {"array": float(int(a["into"]) * int(a["outof"]))}, what="units")
    assert made(space.read({"into": "6", "outof": "10"})) == 60_368
    chosen = best(made.scaled(-1.0), [(units, 64.0)])
    assert chosen.value == -50_176
    assert chosen.used == (64.0,)


def test_bits_are_choices_and_their_error_is_the_uniform_one():
    assert [error(b) for b in (8, 4, 2)] == pytest.approx([5.1667e-6, 1.7007e-3, 0.083333], rel=1e-4)
    space = quantised(SMALL["depths"], (4, 8))
    arch = space.sample(np.random.default_rng(0))
    assert sum(n for n, _ in weights(space, arch).values()) == profile(space.network(arch), space.input).total.params

    def sizes(a):
        return {"memory": {name: n * bits / 8 for name, (n, bits) in weights(space, a).items()}}

    memory = several(space, sizes)["memory"]
    for a in [space.sample(np.random.default_rng(s)) for s in range(50)]:
        assert memory(a) == pytest.approx(sum(sizes(a)["memory"].values()))


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
