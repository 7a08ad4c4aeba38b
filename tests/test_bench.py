"""Searches on tables: what counts, what it costs, who is told what, and how a bench ends."""

import json

import numpy as np
import pytest

from nas.bench.compare import Budget, compare
from nas.bench.simulate import simulate
from nas.bench.table import Rows, Table
from nas.decision import decisions
from nas.errors import UserError
from nas.evaluators.tabular import Tabular
from nas.problem import Constraint, Problem, Proposal, State
from nas.profile import profile
from nas.roles import Failed
from nas.space import Architecture, Space
from nas.strategies import Evolution, Random
from nas.strategies.listed import Listed
from tests.commands import said, typed

HOLES = {"a": (0, 1, 2, 3), "b": ("x", "y", "z"), "c": (1, 2)}


def made(**given):
    space = Space("toy", decisions(HOLES), (1,))
    archs = tuple(space)
    rng = np.random.default_rng(0)
    low = np.array([a["a"] + HOLES["b"].index(a["b"]) * 0.5 for a in archs]) + rng.normal(0, 0.3, len(archs))
    columns = {"low": low, "high": low + rng.normal(0, 0.1, len(archs)), "ms": rng.random(len(archs))}
    given = {"seconds": np.full(len(archs), 10.0), "costs": ("ms",)} | given
    return Table("toy", space, archs, columns, "low", "high", **given)


def test_a_space_of_decisions_has_members_and_no_networks():
    space = made().space
    assert space.size == 24 == len(set(space))
    arch = space.sample(np.random.default_rng(0))
    assert space.parse(space.spell(arch)) == arch
    with pytest.raises(UserError, match="decisions alone has no networks"):
        profile(space.network(arch), space.input)


def test_random_search_finds_what_the_best_of_its_draws_is():
    table = made()
    course = simulate(table, Random, evals=12, seed=3)
    assert len(course.at) == 12 == course.asked
    best = max(course.rows, key=lambda r: table.columns["low"][r])
    assert course.chosen == (table.columns["low"][best], table.columns["high"][best])
    assert course.search == [max(table.columns["low"][r] for r in course.rows[: n + 1]) for n in range(12)]
    assert course.at == [10.0 * n for n in range(1, 13)]


def test_a_search_ends_with_the_evaluation_that_uses_up_its_seconds():
    assert len(simulate(made(), Random, seconds=95.0, seed=0).at) == 10
    assert len(simulate(made(), Random, seconds=100.0, seed=0).at) == 10


def test_a_promoted_candidate_costs_the_difference_and_counts_above_cheaper_ones():
    table = made(fidelities={12: "low", 200: "high"})
    arch, other = table.archs[0], table.archs[-1]
    steps = [Proposal(other, 12), Proposal(arch, 12), Proposal(arch, 200, parent=2)]

    class Steps:
        def ask(self, rng):
            return steps.pop(0) if steps else None

        def tell(self, trial):
            told.append(trial.metrics["low"])

    told = []
    course = simulate(table, lambda problem: Steps(), evals=9, seed=0)
    assert course.at == [10.0, 20.0, pytest.approx(20 + 10 * 188 / 12)]
    assert told == [table.columns["low"][-1], table.columns["low"][0], table.columns["high"][0]]
    assert course.rows == [23, 0, 0]
    assert course.chosen[1] == table.columns["high"][0]
    assert course.ended == "proposes nothing more"


def test_a_strategy_that_repeats_for_ever_ends_with_a_reason():
    table = made()

    class Stuck:
        def ask(self, rng):
            return Proposal(table.archs[0])

        def tell(self, trial):
            assert trial.state is (State.REPEAT if trial.id > 1 else State.DONE)

    course = simulate(table, lambda problem: Stuck(), evals=5000)
    assert course.ended == "proposed nothing new 1000 times in a row"
    assert course.asked == 1001


def test_limits_are_kept_by_what_is_told():
    table = made()
    problem = table.problem((Constraint("ms", 0.5),))
    course = simulate(table, Evolution, evals=30, problem=problem)
    assert all(table.columns["ms"][row] <= 0.5 for row in course.rows)
    assert len({*course.rows}) > 3
    with pytest.raises(UserError, match="no column of toy is called 'm'"):
        table.problem((Constraint("m", 0.5),))


def test_only_the_rows_of_a_sparse_table_are_members():
    whole = made()
    rows = whole.archs[::5]
    space = Space("toy", whole.space.root, (1,), members=Rows(rows))
    rng = np.random.default_rng(0)
    assert space.size == 5
    assert set(space) == set(rows)
    for _ in range(20):
        arch = space.sample(rng)
        assert space.member(arch)
        child = space.mutate(arch, rng)
        assert child in rows
        assert child != arch
        assert space.cross(arch, child, rng) in rows
        assert arch not in set(space.neighbours(arch)) <= set(rows)
    assert not space.member(whole.archs[1])
    far = Architecture("toy", (("a", 3), ("b", "z"), ("c", 2)))
    least = min(sum(x != y for x, y in zip(far.choices, r.choices, strict=True)) for r in rows)
    near = space.members.nearest(far)
    assert sum(x != y for x, y in zip(far.choices, near.choices, strict=True)) == least


def test_a_missing_row_is_infeasible_and_not_told_of():
    whole = made()
    columns = {name: column[:12] for name, column in whole.columns.items()}
    table = Table("part", whole.space, whole.archs[:12], columns, "low", "high")
    course = simulate(table, lambda problem: Listed(whole.archs), evals=24)
    assert course.rows == list(range(12))
    assert course.asked == 24


def test_the_evaluator_says_what_the_table_says():
    table = made(fidelities={12: "low", 200: "high"})
    rate = Tabular(table)
    assert rate(Proposal(table.archs[4], 200), None) == {"ms": table.columns["ms"][4], "low": table.columns["high"][4]}
    with pytest.raises(UserError, match="no budget of 5 epochs; it has 12, 200"):
        rate(Proposal(table.archs[4], 5), None)
    with pytest.raises(Failed, match="toy has no row"):
        rate(Proposal(Architecture("toy", (("a", 9),))), None)


def test_equal_seeds_give_equal_searches_in_one_process_and_in_two(monkeypatch):
    table = made()
    monkeypatch.setattr("nas.bench.compare.WORTH", -1.0)
    two = list(compare(table, ["random", "evolution"], Budget(20), seeds=12, processes=2))
    monkeypatch.setattr("nas.bench.compare.WORTH", 1e9)
    one = list(compare(table, ["random", "evolution"], Budget(20), seeds=12))
    assert [r.strategy for r in one] == ["random", "evolution"]
    for a, b in zip(one, two, strict=True):
        assert [c.rows for c in a.courses] == [c.rows for c in b.courses]
    points = one[0].regret(table, [1, 20])
    gaps = [table.best - c.report[-1] for c in one[0].courses]
    assert points[1][1] == pytest.approx(np.mean(gaps))
    assert points[1][2] < points[1][1] < points[1][3]


@pytest.mark.parametrize(
    ("flags", "wrong"),
    [
        (["nothing"], "no table is called 'nothing'"),
        (["macro", "--budget", "20"], "--budget is like 180evals or 20000s, got '20'"),
        (["macro", "--budget", "20s"], "does not say what a row costs"),
        (["macro", "--strategy", "evolutoin"], "evolution"),
        (["macro", "--max", "params"], "--max is COLUMN=VALUE"),
        (["macro", "--seeds", "0"], "--seeds must be at least 1"),
    ],
)
def test_bad_flags_of_bench_are_said_in_one_line(capsys, flags, wrong):
    code, out, err = typed(capsys, "bench", *flags, "--json")
    assert code == 2
    assert wrong in json.loads(out)["error"] + json.loads(out)["fix"]
    assert len(err.strip().splitlines()) == 1


def test_a_bench_on_a_users_table_and_strategy_says_what_each_found(capsys, tmp_path):
    table = made()
    file = tmp_path / "mine.csv"
    rows = ["cell,low,high", *(f"{json.dumps(a.to_json())},{v},{w}" for a, v, w in _rows(table))]
    file.write_text("\n".join(rows).replace('\\"', '""'))
    user = tmp_path / "my.py"
    user.write_text(
        "from nas import Space\nfrom nas.decision import decisions\n"
        "from nas.strategies import Random\n"
        f"def toy(input=(1,), classes=2): return Space('toy', decisions({HOLES!r}), (1,))\n"
        "class Mine:\n"
        "    def __init__(self, problem): self.inner = Random(problem)\n"
        "    def ask(self, rng): return self.inner.ask(rng)\n"
        "    def tell(self, trial): pass\n"
    )
    columns = ["--arch-column", "cell", "--search-column", "low", "--report-column", "high"]
    flags = ["--space", f"{user}:toy", *columns, "--strategy", f"evolution,{user}:Mine", "--budget", "15evals"]
    made_of = said(capsys, "bench", file, *flags, "--seeds", "10", "--html", tmp_path / "regret.html")
    assert {"table", "space", "search_column", "report_column", "budget", "seeds", "best_possible"} <= set(made_of)
    assert made_of["budget"] == {"evals": 15, "seconds": None}
    assert [row["strategy"] for row in made_of["rows"]] == ["random", "evolution", f"{user}:Mine"]
    wanted = {"strategy", "mean", "std", "stderr", "search_mean", "evals", "asks_per_s", "seconds"}
    assert all(wanted <= set(row) for row in made_of["rows"])
    assert made_of["rows"][0]["mean"] == made_of["rows"][2]["mean"]
    assert made_of["best_possible"] == pytest.approx(table.best)
    assert "regret" in (tmp_path / "regret.html").read_text()


def _rows(table):
    return zip(table.archs, table.columns["low"], table.columns["high"], strict=True)


def test_a_problem_of_a_table_reads_no_tree():
    table = made()
    problem = table.problem()
    assert isinstance(problem, Problem)
    seen = problem.screen(table.archs[3])
    assert dict(seen.metrics) == {"ms": table.columns["ms"][3]}
    assert not seen.broken
