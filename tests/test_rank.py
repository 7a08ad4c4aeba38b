"""`nas rank`: what it ranks, what it says of it, and what it cannot rank."""

import math

import numpy as np
import pytest

from nas.candidates import RANDOM, candidates, drawn
from nas.codes import Codes
from nas.finding import Finding
from nas.problem import Problem, Proposal, State, at_most
from nas.rated import Rated, rated
from nas.run import Run
from nas.settings import Settings
from predictors.ridge import Ridge
from search_spaces import SPACES
from tests.commands import said, typed

SMALL = {"input": [1, 8, 8], "classes": 10, "cells": 1, "channels": 4}
CELLS = SPACES["nasbench201"]((1, 8, 8), 10, cells=1, channels=4)
QUICK = ("--predictor", "ridge", "--sample", "250")


def worth(arch):
    """More convolutions are better."""
    return 0.5 + 0.05 * sum("conv" in str(label) and "skip" not in str(label) for label in arch.labels.values())


def made(folder, trials, **settings):
    """A run whose trials are (architecture, state, accuracy, budget)."""
    known = {
        "space": "nasbench201", "space_settings": SMALL, "code": "", "data": "digits", "data_hash": "0" * 16,
        "image_size": None, "strategy": "random", "seed": 0, "epochs": 1, "final_epochs": 1, "images": 0,
    }  # fmt: skip
    problem = Problem(CELLS)
    with Run.open(folder, Settings(**{**known, **settings}).json()) as run:
        for arch, state, accuracy, budget in trials:
            trial = run.store.ask("search", Proposal(arch, budget), problem.screen(arch).same)
            metrics = {} if accuracy is None else {**problem.screen(arch).metrics, "accuracy": accuracy}
            reason = "nan" if state is State.FAILED else ""
            ended = type(trial)(trial.id, trial.proposal, state, metrics, reason=reason)
            run.store.finish("search", ended)
    return folder


def distinct(count, seed=0):
    """Different networks that have a path."""
    problem, rng, found = Problem(CELLS), np.random.default_rng(seed), {}
    while len(found) < count:
        arch = CELLS.sample(rng)
        seen = problem.screen(arch)
        if not seen.broken:
            found.setdefault(seen.same, arch)
    return list(found.values())


def done(archs, y=None, budget=None):
    values = [worth(a) for a in archs] if y is None else y
    return [(arch, State.DONE, float(value), budget) for arch, value in zip(archs, values, strict=True)]


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    return made(tmp_path_factory.mktemp("rank") / "run", done(distinct(40)))


def test_the_json_holds_tau_and_rows_with_their_intervals_and_chances(learnt, capsys):
    told = said(capsys, "rank", learnt, *QUICK, "--top", "1000")
    assert set(told) == {"run", "predictor", "trained_on", "tau", "trusted", "rows"}
    assert (told["predictor"], told["trained_on"], told["trusted"]) == ("ridge", 40, True)
    assert set(told["tau"]) == {"value", "low", "high", "level", "n"}
    assert told["tau"]["low"] > 0.5
    assert (told["tau"]["level"], told["tau"]["n"]) == (0.9, 40)
    rows = told["rows"]
    assert all(set(row) == {"rank", "key", "arch", "mean", "low", "high", "p_best", "params", "macs", "measured"}
               for row in rows)  # fmt: skip
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    means = [row["mean"] for row in rows]
    assert means == sorted(means, reverse=True)
    assert all(row["low"] < row["mean"] < row["high"] for row in rows)
    assert sum(row["p_best"] for row in rows) == pytest.approx(1)
    assert len({row["key"] for row in rows}) == len(rows)


def test_trained_networks_stand_in_the_ranking_with_what_they_measured(learnt, capsys):
    rows = said(capsys, "rank", learnt, *QUICK, "--top", "1000")["rows"]
    trained = {t.arch.key: t.metrics["accuracy"] for t in Finding.read(learnt).run.trials()}
    assert {row["key"]: row["measured"] for row in rows if row["measured"] is not None} == trained
    others = [row for row in rows if row["measured"] is None]
    right = sum(row["low"] <= worth(CELLS.read(row["arch"])) <= row["high"] for row in others)
    assert right / len(others) > 0.8
    best = max(worth(CELLS.read(row["arch"])) for row in rows)
    assert worth(CELLS.read(rows[0]["arch"])) == best


def test_the_default_predictor_ranks_the_whole_of_a_small_space(learnt, capsys):
    code, out, _ = typed(capsys, "rank", learnt, "--top", "2", "--predictor", "gp-ranks")
    assert code == 0
    assert "of 15,625 possible architectures ranked by gp-ranks, which learnt from 40 trained" in out
    assert out.startswith("Kendall's tau 0.")
    assert "(90%), from 40 held-out networks, for random networks" in out
    assert "measured" in out


def test_the_same_seed_says_the_same(learnt, capsys):
    one, two = (said(capsys, "rank", learnt, *QUICK, "--seed", "1") for _ in range(2))
    assert one == two
    wide = said(capsys, "rank", learnt, *QUICK, "--seed", "1", "--level", "0.99")
    assert wide["tau"]["low"] < one["tau"]["low"]
    assert wide["tau"]["level"] == 0.99


def test_noise_stands_under_the_line_that_it_is_not_better_than_chance(tmp_path, capsys):
    y = np.random.default_rng(5).random(20)
    folder = made(tmp_path / "run", done(distinct(20), y))
    told = said(capsys, "rank", folder, *QUICK)
    assert not told["trusted"]
    assert told["tau"]["low"] <= 0
    code, out, _ = typed(capsys, "rank", folder, *QUICK)
    assert code == 0
    assert out.startswith("not better than chance so far; ")
    assert "would settle it" in out.splitlines()[0]


def test_three_networks_are_ranked_without_trust(tmp_path, capsys):
    folder = made(tmp_path / "run", done(distinct(3), [0.1, 0.2, 0.3]))
    told = said(capsys, "rank", folder, *QUICK)
    assert told["trusted"] is False
    assert told["tau"] == {"value": None, "low": -1.0, "high": 1.0, "level": 0.9, "n": 3}
    assert all(row["low"] is None and row["p_best"] is None for row in told["rows"])
    _, out, _ = typed(capsys, "rank", folder, *QUICK)
    assert out.startswith("not better than chance so far; 3 trained networks are too few to hold any out")


def refused(capsys, folder, *args):
    code, out, err = typed(capsys, "rank", folder, *QUICK, *args)
    assert len(err.strip().splitlines()) == 1
    assert not out
    return code, err


def test_what_nothing_can_be_learnt_from_is_named_in_one_line(tmp_path, capsys):
    archs = distinct(6)
    failed = [(arch, State.FAILED, None, None) for arch in archs]
    code, err = refused(capsys, made(tmp_path / "failed", failed))
    assert code == 3
    assert "no network was found in 6 proposals: 6 failed (nan)" in err
    code, err = refused(capsys, made(tmp_path / "few", [*done(archs[:2]), *failed[2:]]))
    assert code == 3
    assert "has 2 done trials; a predictor needs 3; nas resume" in err
    code, err = refused(capsys, made(tmp_path / "equal", done(archs, [0.1] * 6)))
    assert code == 3
    assert "all 6 trained networks of" in err
    assert "reached 0.1000: no order can be learnt; train others, or longer: nas resume" in err
    code, err = refused(capsys, made(tmp_path / "nan", done(archs[:4], [0.1, 0.2, math.nan, math.nan])))
    assert code == 3
    assert "has 4 done trials, 2 of them without a finite rating; a predictor needs 3" in err
    code, err = refused(capsys, made(tmp_path / "one", done([archs[0]] * 4, [0.1, 0.2, 0.3, 0.4])))
    assert code == 3
    assert "has 4 done trials, 1 different networks; a predictor needs 3" in err


def test_flags_out_of_range_are_refused(learnt, capsys):
    for args, words in ((("--top", "0"), "--top must be at least 1"), (("--level", "90"), "between 0 and 1, got 90"),
                        (("--predictor", "forst"), "did you mean forest")):  # fmt: skip
        code, err = refused(capsys, learnt, *args)
        assert code == 2
        assert words in err


def test_failed_trials_and_those_without_a_number_are_left_out(tmp_path):
    archs = distinct(8)
    trials = [*done(archs[:5]), (archs[5], State.FAILED, None, None), *done(archs[6:], [math.nan, math.inf])]
    found = rated(Finding.read(made(tmp_path / "run", trials)))
    assert found.archs == archs[:5]
    assert found.notes == ("2 done trials without a finite rating are left out",)


def test_of_several_lengths_the_longest_that_enough_had_counts(tmp_path):
    archs = distinct(30)
    short, middle, whole = done(archs, None, 1), done(archs[:12], None, 3), done(archs[:4], None, 9)
    found = rated(Finding.read(made(tmp_path / "a", [*short, *middle, *whole])))
    assert found.archs == archs[:12]
    assert found.notes == ("of trainings of 3 lengths, those of 3 epochs count: 12 networks",)
    found = rated(Finding.read(made(tmp_path / "b", [*short[:6], *whole])))
    assert len(found.archs) == 6


def test_several_evaluations_of_one_network_are_averaged(tmp_path):
    archs = distinct(4)
    found = rated(Finding.read(made(tmp_path / "run", [*done(archs, [0.1, 0.2, 0.3, 0.4]), *done(archs[:1], [0.5])])))
    assert found.y == pytest.approx([0.3, 0.2, 0.3, 0.4])


def test_what_is_ranked_keeps_the_limits_of_the_run(tmp_path, capsys):
    archs, problem = distinct(60), Problem(CELLS)
    sizes = {arch: problem.screen(arch).metrics["params"] for arch in archs}
    limit = float(np.median(list(sizes.values())))
    small = [arch for arch in archs if sizes[arch] <= limit]
    folder = made(tmp_path / "run", done(small), limits={"params": limit})
    rows = said(capsys, "rank", folder, *QUICK, "--top", "2000")["rows"]
    assert len(rows) > len(small) + 50
    assert max(row["params"] for row in rows) <= limit
    _, out, _ = typed(capsys, "rank", folder, *QUICK)
    assert "for random networks within the limits" in out


def test_candidates_are_new_networks_and_differ_from_each_other():
    archs, problem = distinct(20), Problem(CELLS)
    known = Rated(archs, np.array([worth(a) for a in archs]))
    found = candidates(problem, known, Ridge(), 1000)
    names = [problem.screen(arch).same for arch in (*archs, *found.archs)]
    assert len(set(names)) == len(names)
    assert found.random == RANDOM
    assert found.sampled
    assert 900 < found.drawn <= 1000
    likely = [worth(a) for a in found.archs[RANDOM:]]
    assert np.mean(likely) > np.mean([worth(a) for a in found.archs[:RANDOM]])


def test_limits_that_few_random_networks_keep_are_kept_all_the_same():
    archs = distinct(20)
    least = Problem(CELLS).smallest("params")[1]
    problem = Problem(CELLS, constraints=(at_most("params", least),))
    known = Rated(archs, np.array([worth(a) for a in archs]))
    found = candidates(problem, known, Ridge(), 5, seed=1)
    assert 0 < found.random <= len(found.archs)
    assert all(problem.screen(arch).metrics["params"] <= least for arch in found.archs)


def test_of_a_small_space_all_are_drawn_and_of_a_large_one_so_many():
    rows = drawn(Codes(CELLS), 20_000, np.random.default_rng(0))
    assert len(rows) == CELLS.size == len(np.unique(rows, axis=0))
    some = drawn(Codes(SPACES["mobile"]((1, 28, 28), 10)), 1000, np.random.default_rng(0))
    assert 990 < len(some) <= 1000


def test_a_run_on_other_data_makes_few_networks_enough(tmp_path, capsys):
    made(tmp_path / "far", done(distinct(60, seed=1)))
    made(tmp_path / "near", done(distinct(8, seed=2)))
    rows = {}
    for more in ((), ("--warm-start", str(tmp_path / "far"))):
        rows[bool(more)] = said(capsys, "rank", str(tmp_path / "near"), *QUICK, "--top", "100", *more)["rows"]
    assert [r["key"] for r in rows[True]] != [r["key"] for r in rows[False]]

    def agree(rows):
        unseen = [r for r in rows if r["measured"] is None]
        truth = [worth(CELLS.read(r["arch"])) for r in unseen]
        return np.mean(truth)

    assert agree(rows[True]) >= agree(rows[False])
    other = made(tmp_path / "other", [], space="conv_chain", space_settings={"input": [1, 8, 8], "classes": 10})
    code, _, err = typed(capsys, "rank", str(tmp_path / "near"), *QUICK, "--warm-start", str(other))
    assert code == 3
    assert "other" in err
