"""What a search tries first: by zero-cost scores, or the best of another run."""

import json

import numpy as np
import pytest

import nas
from nas.beginning import DRAWN, KEPT, PROXIES, begins, taken, warmed
from nas.data import load
from nas.errors import UserError
from nas.proxies import draw, scored
from nas.settle import settle

SMALL = {"space": "nasbench201", "space_settings": {"cells": 1, "channels": 4}, "data": "digits", "epochs": 1}


def test_the_best_by_scores_come_first_and_always_the_same():
    settings = settle(**SMALL)
    made = begins(settings, 30)
    archs = taken(made, settings)
    assert settings.warm_start == "scores"
    assert len(archs) == KEPT
    assert made == begins(settings, 30)
    assert f"{KEPT} of {DRAWN} random networks" in made["said"]
    rng = np.random.default_rng(5)
    others = [settings.problem.sample(rng) for _ in range(12)]
    batch = draw(load("digits", seed=0), 1, seed=0, size=32)
    for name in PROXIES:
        rows = scored(settings.made_space, [*archs, *others], [name], batch, seed=0).column(name)
        assert np.nanmean(rows[: len(archs)]) > np.nanmean(rows[len(archs) :])


def test_few_trials_have_few_of_them_or_none():
    settings = settle(**SMALL)
    assert len(begins(settings, 6)["choices"]) == 2
    assert begins(settings, 2)["choices"] == []


def test_limits_hold_for_what_is_tried_first():
    free = settle(**SMALL)
    sizes = [free.problem.screen(arch).metrics["params"] for arch in taken(begins(free, 30), free)]
    limit = nas.Constraint("params", min(sizes) - 1)
    held = settle(**SMALL, limits=(limit,))
    archs = taken(begins(held, 30), held)
    assert archs
    assert all(held.problem.screen(arch).metrics["params"] <= limit.at_most for arch in archs)


def test_only_auto_begins_with_scores_and_a_hash_says_so():
    plain, scores = settle(**SMALL, strategy="random"), settle(**SMALL)
    assert plain.warm_start == ""
    assert begins(plain, 30) == {"choices": [], "said": ""}
    assert settle(**SMALL, warm_start="").hash != scores.hash


def test_a_search_begins_with_the_best_of_a_run_that_is_named_and_says_so(tmp_path):
    told = {**SMALL, "executor": "local", "workers": 1, "trials": 3, "final_epochs": 1}
    one = nas.search(**told, strategy="random", out=tmp_path / "one")
    two = nas.search(**told, strategy="random", seed=7, warm_start=str(tmp_path / "one"), out=tmp_path / "two")
    best = [trial.arch for trial in one.ranked(3)]
    assert [trial.arch for trial in two.run.trials()] == best
    assert two.run.store.fact("first")["said"] == "the 3 best of one"
    kept = json.loads((tmp_path / "two" / "settings.json").read_text())
    assert kept["warm_start"] == "one"
    assert len(kept["first"]) == 3
    with pytest.raises(UserError, match="has no done network of the space conv_chain"):
        warmed(settle(space="conv_chain", data="digits", warm_start=str(tmp_path / "one")))
