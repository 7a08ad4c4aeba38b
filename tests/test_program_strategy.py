"""The strategy that chooses exactly, a warm start, and bits as choices: HAWQ's and HAO's facts, and the experiment."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest

from experiments import hao
from nas.errors import UserError
from nas.problem import Problem, State, Trial, at_most, maximise, minimise
from nas.profile import profile
from nas.programs import knapsack
from nas.programs.additive import Additive, columns_of
from nas.programs.choose import best
from nas.programs.tables import costs, several, tables
from nas.space import Space
from nas.strategies import Evolution, Program, Warm
from nas.testing import play, strategy_laws, table
from nas.tree import Chain, Choice, Identity, Sum
from search_spaces import SPACES
from search_spaces.ops.precision import error, quantised, weights
from tests.test_programs import SMALL


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


def test_hao_chooses_operations_and_bits_from_tables(tmp_path):
    space, rng = SPACES["ofa"](), np.random.default_rng(0)
    rows = []
    for _ in range(80):
        ks, e = (rng.choice(options, 20).tolist() for options in ((3, 5, 7), (3, 4, 6)))
        d = rng.choice((2, 3, 4), 5).tolist()
        rows.append({"arch": json.dumps({"ks": ks, "e": e, "d": d, "r": [224]}), "imagenet_top1": 60.0 + sum(d)})
        rows[-1]["ms"] = 5.0 + sum(d) + 0.1 * sum(e)
    file = tmp_path / "rated.parquet"
    pd.DataFrame(rows).to_parquet(file)
    made = hao.main(None, hao.Config(accuracy=str(file), latency=str(file), device="ms"))
    assert made["rated"] == 80
    for bits in ((8,), (4, 8)):
        found = made["bits_" + "_".join(map(str, bits))]
        latency, memory, most = found["budgets"]
        arch = found["architecture"]
        assert found["accuracy"] == found["bound"]
        assert found["latency"] <= latency
        assert found["memory"] <= memory
        assert {label for name, label in arch.items() if name.endswith(".bits")} <= set(bits)
        plain = space.read({name: label for name, label in arch.items() if not name.endswith(".bits")})
        known = quantised(space, bits)
        sizes = weights(known, known.read(arch)).values()
        assert sum(n for n, _ in sizes) == profile(space.network(plain), space.input).total.params
        assert sum(n * b / 8 for n, b in sizes) == pytest.approx(found["memory"])
        assert 3 * sum(n * error(b) for n, b in sizes) <= most * sum(n for n, _ in sizes) * (1 + 1e-9)
    assert made["bits_4_8"]["accuracy"] >= made["bits_8"]["accuracy"] - 1e-9
    with pytest.raises(UserError, match="there is no table"):
        hao.main(None, hao.Config(accuracy=str(tmp_path / "nothing.parquet")))
    with pytest.raises(UserError, match="no table of latency"):
        hao.main(None, hao.Config(accuracy=str(file), latency=str(file), device="latency"))
