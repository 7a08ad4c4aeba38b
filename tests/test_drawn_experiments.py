"""NAS-RL, NASNet, AmoebaNet and BANANAS, each gone through at a tiny size in this process, and what each paper asks."""

from contextlib import closing
from dataclasses import replace
from functools import cache
from statistics import mean

import numpy as np
import pytest

from nas import experiment, plugins
from nas.experiment import Experiment
from nas.graph import graph
from nas.options import Silent
from nas.problem import Problem, State
from nas.profile import profile
from nas.run import Run
from nas.strategies.controller import Controller
from nas.strategies.policy import Policy
from predictors.neural import Networks
from search_spaces.ops.modules import PathDrop
from search_spaces.ops.norm import DropPath
from tests.inline import Here, rated, worth

CELLS = {"blocks": 1, "operations": ("sep_3x3", "avg_3x3", "max_3x3"), "filters": 2, "large": (2, 4), "retrain": 2}
SMALL = {
    "nas_rl": {"layers": 2, "filters": (2, 4), "batch": 3, "alone": 2, "trials": 10},
    "nasnet": {**CELLS, "batch": 2, "trials": 5},
    "amoebanet": {**CELLS, "population": 4, "sample": 4, "trials": 10},
    "bananas": {"channels": 2, "first": 4, "step": 2, "members": 3, "layers": 2, "longest": 1, "trials": 8},
}
FIRST = {"nas_rl": "reinforce", "nasnet": "ppo", "amoebanet": "evolution"}
TAUGHT = {"nas_rl": (3, Controller.nas_rl(), 0.0, 1), "nasnet": (1, Controller.nasnet(), 0.2, 4)}
SEARCHES = {name: (by, "random") for name, by in FIRST.items()} | {"bananas": ("bananas", "evolution", "random")}

LOCAL = {"executor": "local", "workers": 1, "screen": Silent()}


class Noted(Here):
    """Notes every task, and is interrupted before the one after so many; 0 for never."""

    noted, stop = (), 0

    def submit(self, task):
        if self.stop and len(self.noted) == self.stop:
            raise KeyboardInterrupt
        self.noted = (*self.noted, task)
        if task.folder.parts[-3:-1] == ("amoebanet", "evolution"):  # few images make many ties, which hide who won
            told, train = {"accuracy": worth(task.proposal.arch)}, task.evaluate
            task = replace(task, evaluate=lambda *given: {**train(*given), **told})
        super().submit(task)


class Gone:
    """Goes through an experiment: what it said, what it trained, and what taught its policy or its predictor."""

    def __init__(self, name, folder, stop=0):
        module, noted, self.folder, self.taught = plugins.experiment(name), Noted(), folder / name, []
        self.config, noted.stop = module.Config(images=128, epochs=1, **SMALL[name]), stop
        drop, self.clock = PathDrop.forward, (clock := set())

        def noting(method):
            return lambda some, archs, y, *more, **named: (
                self.taught.append((some, [*archs], [*y], named)) or method(some, archs, y, *more, **named)
            )

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(experiment, "make_executor", lambda *args, **more: noted)
            patch.setattr(Policy, "step", noting(Policy.step))
            patch.setattr(Networks, "fit", noting(Networks.fit))
            patch.setattr(PathDrop, "forward", lambda m, x: clock.add(m.training * float(m.progress)) or drop(m, x))
            how = {"executor": "local", "workers": 1, "screen": Silent()}
            with closing(Experiment.open(name, self.config, self.folder, **how)) as run:
                self.said, self.tasks = module.main(run, self.config), noted.noted

    def trials(self, study):
        with Run.read(self.folder) as run:
            return sorted(run.trials(study), key=lambda trial: trial.id)

    def trained(self, study):
        return [task for task in self.tasks if task.folder.parent.name == study]

    def rated(self, study):
        return {t.arch: t.metrics["accuracy"] for t in self.trials(study) if t.state is State.DONE}

    def best(self, study):
        return max((rated := self.rated(study)), key=rated.get)


@pytest.fixture(scope="module")
def gone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return cache(lambda name: Gone(name, folder))


@pytest.mark.parametrize("name", SMALL)
def test_every_search_trains_as_many_networks_alike_and_a_second_start_none(name, gone):
    run, like = gone(name), gone(name).tasks[0].evaluate
    assert (like.recipe.epochs, like.source.images) == (run.config.epochs, run.config.images)
    for study in SEARCHES[name]:
        assert len(run.trained(study)) == len(run.rated(study)) == run.config.trials
        assert all(task.evaluate == like for task in run.trained(study))
    again = Gone(name, run.folder.parent)
    assert (again.said, again.tasks) == (run.said, ())


@pytest.mark.parametrize("name", FIRST)
def test_it_says_how_both_searches_went(name, gone):
    said, searches = gone(name).said, [gone(name).trials(study) for study in SEARCHES[name]]
    for study, trials in zip(SEARCHES[name], searches, strict=True):
        every, half = [t.metrics["accuracy"] for t in trials], len(trials) // 2
        assert said[study]["best"] == round(max(every), 4)
        assert said[study]["mean"] == [round(mean(every[:half]), 4), round(mean(every[half:]), 4)]
        assert said[study]["asked"] == len(trials) >= said[study]["distinct"] == len({t.arch for t in trials})
    assert [said["late draws"][by] for by in ("mean", "random")] == [said[study]["mean"][1] for study in SEARCHES[name]]
    assert searches[0][0].arch != searches[1][0].arch  # each search has its own seed


@pytest.mark.parametrize("name", TAUGHT)
def test_every_full_batch_of_accuracies_cubed_or_plain_teaches_the_policy(name, gone):
    power, controller, clip, passes = TAUGHT[name]
    batch, taught, trials = gone(name).config.batch, gone(name).taught, gone(name).trials(FIRST[name])
    assert [t.proposal.note["step"] for t in trials] == [k // batch for k in range(len(trials))]
    assert len(taught) == len(trials) // batch
    for k, (policy, archs, rewards, more) in enumerate(taught):
        some = trials[k * batch : (k + 1) * batch]
        assert (archs, policy.controller) == ([t.arch for t in some], replace(controller, lr=gone(name).config.rate))
        assert rewards == pytest.approx([t.metrics["accuracy"] ** power for t in some], rel=1e-12)
        assert (more["clip"], more["passes"], more["drawn"] is None) == (clip, passes, not clip)


def test_nas_rl_trains_the_network_of_each_search_for_longer(gone):
    run, alone = gone("nas_rl"), gone("nas_rl").rated("alone")
    best = {study: run.best(study) for study in ("reinforce", "random")}
    found = {study: {"alone": round(alone[arch], 4), "architecture": arch.labels} for study, arch in best.items()}
    assert (run.said["found"], set(alone)) == (found, set(best.values()))
    assert all(task.evaluate.recipe.epochs == run.config.alone for task in run.trained("alone"))


def built(space, arch):
    """How many cells a network has, the channels of its stem, and how often its last cell drops a path at the end."""
    ops = graph(space.network(arch), space.input).ops
    rates = [op.node.rate for op in ops if isinstance(op.node, DropPath) and op.node.scheduled]
    cells, stem = ({op.path.split(".")[1] for op in ops if "cell_" in op.path}, [o for o in ops if ".stem" in o.path])
    return len(cells), max(op.shape[0] for op in stem), max(rates, default=0)


@pytest.mark.parametrize(("name", "key"), [("nasnet", "dropped"), ("amoebanet", "stacked")])
def test_the_best_cells_are_stacked_to_larger_networks(name, key, gone):
    run, said, reached = gone(name), gone(name).said[key], gone(name).rated("stacked")
    small, large = (run.trained(study)[0].evaluate for study in ("random", "stacked"))
    assert (large.recipe.epochs, set(said), set(run.said["cells"])) == (2, {*SEARCHES[name]}, {*SEARCHES[name]})
    for study in SEARCHES[name]:
        arch = small.space.parse(run.said["cells"][study])
        assert (arch, small.space.member(arch)) == (run.best(study), True)
        assert built(small.space, arch) == (3 * 1 + 2, 3 * 2, 0)
        assert built(large.space, arch) == (3 * 2 + 2, 3 * 4, run.config.drop_path)
        params = profile(large.space.network(arch), large.space.input).total.params
        assert said[study] == {"accuracy": round(reached[arch], 4), "params": params}


def test_nasnet_trains_its_best_with_and_without_dropped_paths_else_alike(gone):
    (whole,), (dropped, *_) = (gone("nasnet").trained(study) for study in ("whole", "stacked"))
    assert vars(whole) | {"evaluate": 0, "folder": 0} == vars(dropped) | {"evaluate": 0, "folder": 0}
    assert replace(whole.evaluate, space=dropped.evaluate.space) == dropped.evaluate
    assert built(whole.evaluate.space, whole.proposal.arch) == (3 * 2 + 2, 3 * 4, 0)
    assert gone("nasnet").clock == {0, 0.25, 0.5, 0.75}  # of the training, which has 2 epochs of 2 steps
    (reached,) = gone("nasnet").rated("whole").values()
    assert gone("nasnet").said["whole"]["ppo"]["accuracy"] == round(reached, 4)


def test_amoebanet_mutates_one_input_or_operation_of_the_winner_among_the_youngest(gone):
    trials, size, changed, ever = gone("amoebanet").trials("evolution"), 4, set(), set()
    assert [t.id for t in trials if not t.proposal.note] == list(range(1, size + 1))
    for k, trial in enumerate(trials[size:], size):
        winner = max(trials[k - size : k], key=lambda t: t.metrics["accuracy"])  # all take part in a tournament
        assert trial.proposal.note == {"mutated": winner.id}
        ((name, _),) = set(trial.arch.choices) - set(winner.arch.choices)
        changed.add(name.rpartition(".")[2])
        ever.add(winner == max(trials[:k], key=lambda t: t.metrics["accuracy"]))
    assert (changed, ever) == ({"input", "op"}, {True, False})  # the best of all died of age


def test_bananas_draws_at_random_at_first_and_then_asks_its_ensemble(gone):
    run, config, rated = gone("bananas"), gone("bananas").config, gone("bananas").rated("bananas")
    by = [t.proposal.note["by"] for t in run.trials("bananas") if t.arch in rated]
    assert by == ["random"] * 4 + ["predictor"] * 4
    assert [len(archs) for _, archs, _, _ in run.taught] == [4, 6]
    for model, archs, values, _ in run.taught:
        assert values == [rated[arch] for arch in archs]
        assert (model._members, model._layers, model._paths._longest) == (config.members, config.layers, config.longest)
    for study in SEARCHES["bananas"]:
        spelt = run.tasks[0].evaluate.space.spell(run.best(study))
        assert run.said[study] == {"accuracy": max(run.rated(study).values()), "architecture": spelt}


def test_bananas_goes_on_after_an_interruption_as_if_there_had_been_none(gone, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Gone("bananas", tmp_path, stop=6)
    again, whole = Gone("bananas", tmp_path), gone("bananas")
    assert (again.said, len(again.tasks)) == (whole.said, len(whole.tasks) - 6)
    one, two = ([(t.id, t.proposal, t.metrics) for s in whole.said for t in run.trials(s)] for run in (again, whole))
    assert one == two


def test_a_start_with_more_trials_that_found_others_rates_them_too(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "make_executor", lambda *args, **more: Here())
    space = plugins.space("conv_chain", input=(1, 8, 8), classes=10)
    a, b, c = (space.sample(np.random.default_rng(seed)) for seed in range(3))
    for archs in ([a, b], [b, c], [c], [a, b]):
        run = Experiment.open("x", plugins.experiment("nas_rl").Config(), tmp_path, **LOCAL)
        assert set(run.rate(Problem(space), archs, rated, study="alone")) == set(archs)
        run.close()
