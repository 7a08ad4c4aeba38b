"""The published tables that have a name: the one that ships, and those of a folder."""

import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from nas.bench.named import NAMED, SHIPPED, VARIABLE, named
from nas.errors import ENVIRONMENT
from nas.problem import Problem, at_most
from search_spaces import nasbench_macro, ofa
from tests.test_space_nasbench import TABLES, tables
from tests.test_table_reading import refused

MACRO = nasbench_macro()
read_once = cache(named)


def test_the_table_that_ships_is_nas_bench_macro():
    table = read_once("macro")
    assert len(table.archs) == table.space.size == 6561
    assert table.notes == NAMED["macro"].notes
    assert table.best == pytest.approx(93.1267, abs=5e-5)
    best = {MACRO.spell(arch) for arch, value in zip(table.archs, table.columns["test_acc_mean"], strict=True)
            if value == table.best}  # fmt: skip
    assert "22212220" in best
    assert table.columns["test_acc_mean"].mean() == pytest.approx(90.25, abs=0.005)
    runs = np.mean([table.columns[f"test_acc_run{k}"] for k in (1, 2, 3)], axis=0)
    assert np.abs(runs - table.columns["test_acc_mean"]).max() < 2e-5


def test_the_shipped_counts_are_those_of_the_space():
    table = read_once("macro")
    for row in range(0, 6561, 729):
        seen = Problem(MACRO).screen(table.archs[row]).metrics
        assert (seen["params"], seen["macs"]) == (table.columns["params"][row], table.columns["flops"][row])


def test_what_ships_is_in_the_wheel_with_its_licence():
    home = Path(__file__).parents[1]
    globs = tomllib.loads((home / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["nas"]
    packed = {file for glob in globs for file in (home / "nas").glob(glob)}
    assert {file.name for file in SHIPPED.iterdir()} == {"macro.parquet", "NOTICE.md"}
    assert set(SHIPPED.iterdir()) <= packed
    assert "Apache License, Version 2.0" in (SHIPPED / "NOTICE.md").read_text()


def test_a_table_that_is_not_here_says_where_it_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert "did you mean macro?" in str(refused("no table is called 'maco'", named, "maco"))
    what = "the table ofa does not come with the package; set NAS_TABLES to the folder that holds ofa_mbv3_accuracy/"
    assert refused(what, named, "ofa").code == ENVIRONMENT
    assert refused("has no nb201/accuracy.parquet", named, "nb201-cifar10", tmp_path).code == ENVIRONMENT
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    refused("has no ofa_mbv3_accuracy/dynast_runs.parquet; ofa is read from it", named, "ofa")


def test_published_figures_say_where_they_were_read():
    for name, table in NAMED.items():
        for figure in table.published:
            assert "quoted from memory" in figure.source, (name, figure)
            assert 0.5 < figure.mean < 1 if name.startswith("graph") else 50 < figure.mean < 95


@tables
@pytest.mark.parametrize(
    ("name", "rows", "best", "chosen"),
    [
        ("nb201-cifar10", 15_625, 94.37, 94.37),
        ("nb201-cifar100", 15_625, 73.51, 72.28),
        ("graph-arxiv", 26_206, 0.7239, 0.7195),
        ("graph-proteins", 2021, 0.7926, None),
        ("accel-nasbench", 4123, 66.65, 66.65),
        ("ofa", 2162, 77.47, 77.47),
    ],
)
def test_a_published_table_has_its_best_and_what_perfect_search_finds(name, rows, best, chosen):
    table = read_once(name, TABLES)
    half = 5e-5 if best < 1 else 5e-3
    assert len(table.archs) == rows
    assert table.best == pytest.approx(best, abs=half)
    if chosen is not None:
        assert table.columns[table.report][table.columns[table.search].argmax()] == pytest.approx(chosen, abs=half)


@tables
def test_an_evaluation_costs_the_seconds_of_the_published_protocol():
    ten, hundred = read_once("nb201-cifar10", TABLES), read_once("nb201-cifar100", TABLES)
    estimate = ten.columns["c10_train_time_12ep_est_s"]
    assert np.array_equal(ten.seconds, estimate / 2 + 1.27)
    assert np.array_equal(hundred.seconds, estimate + 0.63)
    assert ten.cost(0, 200) == pytest.approx(ten.cost(0) * 200 / 12)
    assert 20_000 / ten.seconds.mean() == pytest.approx(180, abs=2)
    assert 40_000 / hundred.seconds.mean() == pytest.approx(182, abs=2)


@tables
def test_the_latencies_of_accel_nasbench_can_be_limited():
    table = read_once("accel-nasbench", TABLES)
    problem, rng = table.problem((at_most("latency_zcu102_ms", 3.5),)), np.random.default_rng(0)
    drawn = [problem.screen(problem.sample(rng)) for _ in range(50)]
    assert all(seen.metrics["latency_zcu102_ms"] <= 3.5 and not seen.broken for seen in drawn)


@tables
def test_the_sub_networks_of_once_for_all_cost_what_was_published():
    table, space = read_once("ofa", TABLES), ofa()
    for row in range(0, 2162, 240):
        seen = Problem(space).screen(table.archs[row]).metrics
        assert (seen["params"], seen["macs"]) == (table.columns["params"][row], table.columns["macs"][row])
