"""A short training that a longer one goes on with: the same numbers, whatever happens in between."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import load_file

from nas.best import best_of
from nas.budgets import cost, origin, spent
from nas.data import load
from nas.errors import UserError
from nas.evaluators import Scratch, Source
from nas.evaluators.promoted import KEPT, MADE, take_up, thin
from nas.executors.work import attempt
from nas.problem import Problem, Proposal, State, Trial
from nas.roles import Failed, Task
from nas.run import Run
from nas.searching import search
from nas.strategies.halving import ASHA
from nas.strategies.random import Random
from nas.study import Terms
from nas.training import Recipe, checkpoint
from search_spaces import nasbench201
from tests.inline import Here
from tests.trainings import CPU, RECIPE, TRAIN, VALIDATION, Stop, fit, net, same, silent, stop_after, train
from tests.trainings import INFO as TOY

INFO = load("digits").info
SPACE = nasbench201(cells=1, channels=4, input=INFO.input, classes=INFO.classes)
PROBLEM = Problem(SPACE)
SCRATCH = Scratch(SPACE, Source("digits", 0, INFO.hash, images=96), Recipe(epochs=4, batch_size=32), rated=50)
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
ARCH = SPACE.parse(CELL)


def trial(folder, number, budget, parent=None, origin=0, evaluate=SCRATCH):
    """The metrics of a trial that runs as in a worker."""
    proposal = Proposal(ARCH, budget, parent)
    where = None if parent is None else folder / str(parent)
    task = Task(number, "t", evaluate, proposal, 7, folder / str(number), where, origin=origin)
    told = []
    made = attempt(task, lambda report: told.append(report.epoch))
    return made, told


def weights(folder, number):
    return load_file(folder / str(number) / "weights.safetensors")


def equal(one, other):
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Three epochs of the recipe's four without a stop, as trial 1."""
    folder = tmp_path_factory.mktemp("whole")
    return trial(folder, 1, 3)[0], weights(folder, 1)


def test_a_promoted_trial_is_the_longer_training_to_the_last_bit(tmp_path, whole):
    assert trial(tmp_path, 1, 1)[1] == [1]
    metrics, told = trial(tmp_path, 5, 3, parent=1, origin=1)
    assert told == [2, 3]
    assert metrics == whole[0]
    assert equal(weights(tmp_path, 5), whole[1])
    metrics, told = trial(tmp_path, 9, 4, parent=5, origin=1)
    assert told == [4]
    again, told = trial(tmp_path / "other", 1, None)
    assert told == [1, 2, 3, 4]
    assert metrics == again
    assert equal(weights(tmp_path, 9), weights(tmp_path / "other", 1))
    assert not list(tmp_path.rglob(checkpoint.FILE)), "a candidate that was trained to the end keeps no checkpoint"


def test_without_its_parent_it_is_trained_anew_to_the_same_numbers(tmp_path, whole):
    metrics, told = trial(tmp_path, 5, 3, parent=1, origin=1)
    assert told == [1, 2, 3]
    assert metrics == whole[0]
    assert equal(weights(tmp_path, 5), whole[1])
    assert trial(tmp_path, 6, 3)[0] != whole[0], "its own numbers would have been others"


def test_it_is_killed_and_goes_on(tmp_path, whole):
    trial(tmp_path, 1, 1)
    take_up(tmp_path / "1", tmp_path / "5")  # killed between taking the checkpoint up and the first epoch
    assert trial(tmp_path, 5, 2, parent=1, origin=1)[1] == [2]  # the second epoch, and then killed
    (tmp_path / "5" / MADE).unlink()
    metrics, told = trial(tmp_path, 5, 3, parent=1, origin=1)
    assert told == [3]
    assert metrics == whole[0]
    assert equal(weights(tmp_path, 5), whole[1])
    metrics, told = trial(tmp_path, 5, 3, parent=1, origin=1)  # ended, but the driver died before it was told
    assert told == []
    assert metrics == whole[0]


def test_another_trainings_checkpoint_is_not_gone_on_with(tmp_path, whole):
    trial(tmp_path, 2, 1)
    with pytest.warns(RuntimeWarning, match="another training"):
        metrics, told = trial(tmp_path, 5, 3, parent=2, origin=1)
    assert told == [1, 2, 3]
    assert metrics == whole[0]


def test_the_rate_falls_towards_the_recipes_last_epoch(tmp_path):
    short, long = net(), net()
    with pytest.raises(Stop):
        train(long, tmp_path, RECIPE, stop_after(2))
    state, _ = checkpoint.read(tmp_path)
    arguments = {"seed": 3, "device": CPU, "report": silent}
    fitted = fit(short, TRAIN, VALIDATION, TOY, RECIPE, folder=tmp_path / "two", until=2, **arguments)
    assert fitted.epochs == 2
    found, _ = checkpoint.read(tmp_path / "two")
    assert equal(found["module"], state["module"])
    other = net()
    train(other, tmp_path / "own", replace(RECIPE, epochs=2))
    assert not same(short, other), "a schedule of its own would have given this"


def test_a_checkpoint_beyond_the_end_is_not_taken_for_it(tmp_path):
    arguments = {"seed": 3, "device": CPU, "report": silent, "folder": tmp_path}
    fit(net(), TRAIN, VALIDATION, TOY, RECIPE, until=3, **arguments)
    with pytest.warns(RuntimeWarning, match="after epoch 2"):
        fitted = fit(net(), TRAIN, VALIDATION, TOY, RECIPE, until=2, **arguments)
    assert fitted.epochs == 2


def test_only_the_best_of_each_length_keep_their_checkpoints(tmp_path):
    for number in range(2 * KEPT):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / checkpoint.FILE).touch()
        made = {"epochs": 1 + number % 2, "metrics": {"accuracy": number / 100}}
        (folder / MADE).write_text(json.dumps(made))
    (tmp_path / "running").mkdir()
    (tmp_path / "running" / checkpoint.FILE).touch()
    thin(tmp_path, 3)
    left = {file.parent.name for file in tmp_path.glob(f"*/{checkpoint.FILE}")}
    assert left == {"running", *(str(n) for n in range(2 * KEPT - 6, 2 * KEPT))}
    thin(tmp_path, 0)
    assert [file.parent.name for file in tmp_path.glob(f"*/{checkpoint.FILE}")] == ["running"]


# In a study


def searched(folder, trials, evaluate):
    with Run.open(folder, {}) as run, warnings.catch_warnings():
        warnings.simplefilter("error")
        return run.search(
            PROBLEM,
            strategy=ASHA(Random(PROBLEM), PROBLEM, most=4, eta=2),
            evaluate=evaluate,
            executor=Here(),
            terms=Terms("search", "t", folder, epochs=4),
            trials=trials,
            seed=0,
        ), run.trials()


class _Noted:
    """What Scratch says, and which epochs it trained; the driver dies once, while a trial goes on with another."""

    def __init__(self, dies=False):
        self.trained, self.dies = {}, dies

    def __call__(self, proposal, work):
        def note(told):
            self.trained.setdefault(told.trial, []).append(told.epoch)
            if self.dies and told.epoch == 3:
                self.dies = False
                raise UserError("the driver dies")

        return SCRATCH(proposal, replace(work, send=note))


def test_a_search_of_n_trains_n_whole_trainings_worth_of_epochs(tmp_path):
    evaluate = _Noted()
    progress, trials = searched(tmp_path / "run", 3, evaluate)
    known = {t.id: t for t in trials}
    epochs = sum(map(len, evaluate.trained.values()))
    assert 12 <= epochs == progress.spent == spent(trials, 4) < 12 + 2
    assert progress.finished == 3 < len(trials)
    climbed = [t for t in trials if t.proposal.parent]
    assert {t.proposal.budget for t in climbed} == {2, 4}
    for t in climbed:
        first = origin(t, known)
        assert first.proposal.parent is None
        assert first.arch == t.arch
        assert evaluate.trained[t.id] == list(range(t.proposal.budget - cost(t, known, 4) + 1, t.proposal.budget + 1))
    assert progress.best == best_of(PROBLEM, trials)[0]
    assert progress.best.proposal.budget == 4


def test_a_driver_that_dies_while_a_promoted_trial_trains_goes_on(tmp_path):
    _, whole = searched(tmp_path / "whole", 2, SCRATCH)
    evaluate = _Noted(dies=True)
    with pytest.raises(UserError, match="dies"):
        searched(tmp_path / "torn", 2, evaluate)
    _, torn = searched(tmp_path / "torn", 2, evaluate)
    assert [(t.id, t.proposal, t.metrics) for t in torn] == [(t.id, t.proposal, t.metrics) for t in whole]
    last = next(t.id for t in torn if t.proposal.budget == 4)
    assert evaluate.trained[last] == [3, 4], "an epoch was trained twice"


def test_a_trial_is_the_same_whether_it_climbed_or_was_trained_alone(tmp_path):
    _, trials = searched(tmp_path / "run", 2, SCRATCH)
    last = next(t for t in trials if t.proposal.budget == 4)
    first = origin(last, {t.id: t for t in trials})
    task = Task(first.id, "t", SCRATCH, Proposal(last.arch), 0, tmp_path / "alone")
    alone = attempt(task, lambda report: None)
    assert not isinstance(alone, Failed)
    assert alone.items() <= dict(last.metrics).items()


@pytest.mark.slow
def test_a_whole_search_climbs_and_leaves_no_checkpoint(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from nas.strategies.halving import ASHA\nfrom nas.strategies.random import Random\n"
        "def mine(problem, most=81):\n    return ASHA(Random(problem), problem, most=most, eta=2)\n"
    )
    how = {"epochs": 4, "final_epochs": 1, "images": 100, "executor": "local", "workers": 1}
    made = {"cells": 1, "channels": 4}
    out = tmp_path / "run"
    found = search("nasbench201", strategy=f"{file}:mine", trials=2, out=out, space_settings=made, **how)
    trials = found.run.trials()
    assert {t.proposal.budget for t in trials} == {1, 2, 4}
    assert 8 <= spent(trials, 4) < 10
    assert found.done(2)
    assert not found.done(3)
    best = found.best().trial
    assert best.proposal.budget == 4
    assert best.metrics["accuracy"] == max(t.metrics["accuracy"] for t in trials if t.proposal.budget == 4)
    assert not list(out.rglob(checkpoint.FILE))


def test_a_short_training_is_never_the_best_over_a_longer_one():
    def rated(number, budget, accuracy, arch):
        return Trial(number, Proposal(arch, budget), State.DONE, {"accuracy": accuracy})

    one, two, three = (SPACE.sample(np.random.default_rng(n)) for n in range(3))
    trials = [rated(1, 1, 0.9, one), rated(2, 1, 0.8, two), rated(3, 3, 0.5, two), rated(4, 1, 0.7, three)]
    assert [t.id for t in best_of(PROBLEM, trials, 9)] == [3, 1, 4], "by length, then by value, each network once"
    assert best_of(PROBLEM, [*trials, rated(5, None, 0.1, three)])[0].id == 5, "all epochs are more than some"
    assert best_of(PROBLEM, trials[:2])[0].id == 1, "where none was trained longer, these count"
