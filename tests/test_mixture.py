"""The mixture of supernets: its gate, its training against that of one supernet, its ratings."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.data import Data
from nas.data.part import pick
from nas.data.split import hold_out
from nas.errors import UserError
from nas.evaluators import Source
from nas.evaluators.mixed import Mixed
from nas.evaluators.oneshot import Inherited
from nas.problem import Problem, Proposal, at_most
from nas.training import Recipe
from nas.training.carry import carry
from nas.training.mixture import GATE, MOST, Mixture, OneOf, members
from nas.training.sharing import WEIGHTS, ByRule
from nas.weights.mixture import EVEN, balancing, divergence, gate, shares
from nas.weights.saved import restored
from search_spaces import mobile
from search_spaces.pooling import pooling
from tests.trainings import CPU, INFO, TRAIN, VALIDATION, Stop, silent, stop_after

SPACE = pooling((1, 8, 8), 3, widths=(4, 6), depths=(2, 1), norm="plain")
PROBLEM = Problem(SPACE)
DATA = Data(INFO, TRAIN, VALIDATION)
RECIPE = Recipe(epochs=3, batch_size=8, lr=0.05, warmup=0.0, weight_decay=0.0)


THREE = Mixture(3)


def begin(method=THREE, recipe=RECIPE, problem=PROBLEM, seed=5):
    return method.begin(problem, DATA, TRAIN, recipe, seed=seed, device=CPU)


def favoured(paths=36, models=4, ahead=0.3):
    """Accuracies by which the first model is the best for every path."""
    table = np.random.default_rng(0).uniform(0.5, 0.6, (paths, models))
    table[:, 0] += ahead
    return table


def listed(table, temperature):
    """The released way: all marginals kept in a list, and applied one after the other."""
    chances, rounds = gate(table, temperature), []
    while divergence(shares(chances)) > EVEN:
        rounds.append(shares(chances))
        chances = chances / rounds[-1]
        chances /= chances.sum(axis=1, keepdims=True)
    return rounds


def applied(table, temperature, rounds):
    chances = gate(table, temperature)
    for share in rounds:
        chances = chances / share
        chances = chances / chances.sum(axis=1, keepdims=True)
    return chances


@pytest.mark.parametrize("temperature", [1.0, 30.0, 100.0])
@pytest.mark.parametrize("models", [1, 2, 4, 8])
def test_balanced_models_share_the_steps_alike(models, temperature):
    table = favoured(models=models)
    chances = gate(table, temperature, balancing(table, temperature))
    assert np.allclose(chances.sum(axis=1), 1, atol=1e-12)
    assert (chances >= 0).all()
    assert np.abs(shares(chances) - 1 / models).max() < 1e-2
    assert divergence(shares(chances)) <= EVEN


def test_without_balance_one_model_may_take_all():
    table = favoured()
    assert shares(gate(table, 100.0))[0] > 0.999
    assert shares(gate(table, 1.0))[0] < 0.4  # a warm gate hardly tells them apart


def test_one_number_a_model_does_what_the_list_of_marginals_does():
    table = favoured()
    rounds = listed(table, 40.0)
    assert len(rounds) > 1
    assert np.allclose(gate(table, 40.0, balancing(table, 40.0)), applied(table, 40.0, rounds), atol=1e-12)
    moved = table + np.random.default_rng(1).normal(0, 0.05, table.shape)  # as the table moves within an epoch
    assert np.allclose(gate(moved, 40.0, balancing(table, 40.0)), applied(moved, 40.0, rounds), atol=1e-12)


def test_balance_keeps_what_a_path_prefers():
    table = np.full((4, 2), 0.5)
    table[:2, 0] += 0.3
    table[:, 0] += 0.2  # the first model is ahead everywhere, and most so on the first two paths
    chances = gate(table, 50.0, balancing(table, 50.0))
    assert (chances[:2, 0] > 0.95).all()
    assert (chances[2:, 1] > 0.95).all()


def test_a_gate_of_numbers_beyond_any_accuracy_ends_too():
    table = favoured(ahead=30.0)
    assert shares(gate(table, 100.0))[1] == 0.0  # below the least float
    assert np.abs(shares(gate(table, 100.0, balancing(table, 100.0))) - 0.25).max() < 1e-2
    with pytest.raises(ValueError, match="finite and of shape"):
        balancing(np.full((3, 2), np.nan), 1.0)


def test_divergence_is_that_of_a_fair_coin():
    assert divergence(np.array([0.5, 0.5])) == 0
    assert divergence(np.array([1.0, 0.0])) == pytest.approx(np.log(2))


def test_one_model_is_one_supernet_trained_by_drawing_uniformly():
    mixing = begin(Mixture(1))
    kept, held = hold_out(TRAIN.labels, 35, seed=5, salt="mixture")
    rule = OneOf(members(PROBLEM))
    alone = ByRule(rule, {}).begin(PROBLEM, DATA, pick(TRAIN, kept), RECIPE, seed=5, device=CPU)
    while alone.epoch < alone.epochs:
        alone.run_epoch()
        mixing.run_epoch()
        assert mixing.metrics["train_loss"] == alone.metrics["train_loss"]
    one, other = mixing.models[0].supernet.state_dict(), alone.supernet.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert len(held) == len(mixing.held.part) == 35
    assert not set(kept.tolist()) & set(held.tolist())


def test_a_step_moves_one_model_and_one_number_of_the_table():
    mixing = begin()
    before = [{k: v.clone() for k, v in m.supernet.state_dict().items()} for m in mixing.models]
    mixing.stream.steps = mixing.held.steps = 1  # an epoch of one step
    mixing.run_epoch()
    row, m = np.argwhere(mixing.counts)[0]
    assert mixing.counts.sum() == 1
    assert (np.argwhere(mixing.table != 1) == [[row, m]]).all()
    assert mixing.table[row, m] == pytest.approx(0.9 + 0.1 * mixing.metrics["held_accuracy"])
    for k, model in enumerate(mixing.models):
        same = all(torch.equal(v, before[k][name]) for name, v in model.supernet.state_dict().items())
        assert same == (k != m)


def test_the_models_begin_with_weights_of_their_own():
    one, two = (m.supernet.state_dict() for m in begin(Mixture(2)).models)
    assert not all(torch.equal(one[name], two[name]) for name in one)


def test_the_temperature_rises_alike_each_epoch():
    mixing = begin(recipe=replace(RECIPE, epochs=4))
    told = []
    while mixing.epoch < mixing.epochs:
        told.append(mixing.temperature)
        mixing.run_epoch()
    assert told == [1.0, 34.0, 67.0, 100.0]


def test_balance_holds_in_a_training_that_favours_one_model():
    sessions = {
        balanced: begin(Mixture(3, balanced=balanced), replace(RECIPE, epochs=40)) for balanced in (True, False)
    }
    for session in sessions.values():
        session.epoch = 39  # at the highest temperature
        session.table = favoured(len(session.paths), 3)
        for _ in range(10):
            session.epoch = 39
            session.run_epoch()
            session.table[:, 0] = 0.9
    steps = {balanced: session.counts.sum(axis=0) for balanced, session in sessions.items()}
    assert steps[False][0] == steps[False].sum()
    assert steps[True].min() > 0.15 * steps[True].sum()


def test_a_mixture_that_was_stopped_goes_on_with_the_same_numbers(tmp_path):
    whole = begin()
    carry(whole, seed=1, device=CPU, folder=tmp_path / "whole", report=silent)
    with pytest.raises(Stop):
        carry(begin(), seed=1, device=CPU, folder=tmp_path / "parts", report=stop_after(2))
    rest = begin()
    carry(rest, seed=1, device=CPU, folder=tmp_path / "parts", report=silent)
    assert rest.epoch == whole.epoch == 3
    assert rest.metrics == whole.metrics
    assert np.array_equal(rest.table, whole.table)
    assert np.array_equal(rest.counts, whole.counts)
    for one, other in zip(rest.models, whole.models, strict=True):
        a, b = one.supernet.state_dict(), other.supernet.state_dict()
        assert all(torch.equal(a[name], b[name]) for name in b)
    texts = [(tmp_path / name / GATE).read_text() for name in ("whole", "parts")]
    assert texts[0] == texts[1]


def test_another_mixture_takes_up_no_checkpoint(tmp_path):
    with pytest.raises(Stop):
        carry(begin(), seed=1, device=CPU, folder=tmp_path, report=stop_after(1))
    with pytest.warns(RuntimeWarning, match="the checkpoint of another training"):
        carry(begin(Mixture(3, decay=0.5)), seed=1, device=CPU, folder=tmp_path, report=silent)


def test_a_mixture_leaves_its_models_and_its_gate_by_path_codes(tmp_path):
    session = begin()
    carry(session, seed=1, device=CPU, folder=tmp_path, report=silent)
    left = json.loads((tmp_path / GATE).read_text())
    assert left["paths"] == [SPACE.spell(arch) for arch in SPACE] == ["[1,1,2]", "[1,2,1]", "[2,1,1]"]
    assert np.sum(left["counts"]) == session.steps
    assert sum(left["shares"]) == pytest.approx(1)
    for k, model in enumerate(session.models, 1):
        again = restored(SPACE, tmp_path / f"model{k}" / WEIGHTS).state_dict()
        assert all(torch.equal(again[name], value) for name, value in model.supernet.state_dict().items())


def test_a_network_is_worth_what_its_best_model_makes_of_it(tmp_path, monkeypatch):
    carry(begin(), seed=1, device=CPU, folder=tmp_path, report=silent)
    monkeypatch.setattr(Source, "load", lambda self: DATA)
    one = Inherited(SPACE, Source("toy", 0, "0" * 16), tmp_path, calibration=0)
    mixed, arch = pickle.loads(pickle.dumps(Mixed(one))), SPACE.parse("[1,2,1]")
    found = mixed(Proposal(arch), None)
    each = [replace(one, supernet=tmp_path / f"model{k}").rater()(arch) for k in (1, 2, 3)]
    assert [found[f"accuracy{k}"] for k in (1, 2, 3)] == [rated["accuracy"] for rated in each]
    assert found["accuracy"] == max(rated["accuracy"] for rated in each)
    assert each[int(found["model"]) - 1]["loss"] == found["loss"]
    assert len({rated["loss"] for rated in each}) == 3


def test_rating_uses_whole_batches_only(tmp_path, monkeypatch):
    carry(begin(), seed=1, device=CPU, folder=tmp_path, report=silent)
    many = pick(VALIDATION, torch.arange(300) % 30)
    monkeypatch.setattr(Source, "load", lambda self: Data(INFO, TRAIN, many))
    mixed = Mixed(Inherited(SPACE, Source("toy", 0, "0" * 16), tmp_path, calibration=0))
    mixed(Proposal(SPACE.parse("[1,2,1]")), None)
    assert [len(labels) for _, labels in mixed.kept["rater"]._rated] == [128, 128]


def test_a_batch_that_is_rated_holds_all_classes(tmp_path, monkeypatch):
    carry(begin(), seed=1, device=CPU, folder=tmp_path, report=silent)
    sorted_by_class = pick(VALIDATION, VALIDATION.labels.repeat(9).argsort() % 30)  # as the folders of classes lie
    monkeypatch.setattr(Source, "load", lambda self: Data(INFO, TRAIN, sorted_by_class))
    rater = Inherited(SPACE, Source("toy", 0, "0" * 16), tmp_path / "model1", calibration=0).rater()
    assert [len(labels.unique()) for _, labels in rater._rated] == [3, 3, 3]


def test_limits_leave_paths_out():
    macs = {arch: PROBLEM.screen(arch).metrics["macs"] for arch in SPACE}
    few = members(Problem(SPACE, constraints=(at_most("macs", sorted(macs.values())[1]),)))
    assert set(few) == set(SPACE) - {max(macs, key=macs.get)}


def test_a_mixture_refuses_what_it_cannot_do(tmp_path):
    with pytest.raises(UserError, match=f"mobile has more than {MOST:,}; make the space smaller"):
        begin(problem=Problem(mobile()))
    with pytest.raises(UserError, match="a mixture of 0 supernets"):
        Mixture(0)
    with pytest.raises(UserError, match="no member of pooling keeps the limits"):
        begin(problem=Problem(SPACE, constraints=(at_most("macs", 1.0),)))
    with pytest.raises(UserError, match="there is no mixture in"):
        Mixed(Inherited(SPACE, Source("toy", 0, "0" * 16), tmp_path)).rated(SPACE.parse("[1,2,1]"))
