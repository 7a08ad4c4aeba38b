"""The one-shot experiments, each gone through at a tiny size in this process, and told what its paper asks."""

import pytest

from nas import experiment, plugins
from nas.experiment import Experiment
from nas.options import Silent
from tests.inline import Here

TINY = {"data": "digits", "images": 128, "epochs": 2, "alone": 1, "check": 4}
SMALL = {
    "spos": {"widths": (24, 32), "depths": (1, 1), "trials": 6, "population": 4, "macs": 60e3},
    "ofa": {"widths": (4, 8), "trials": 12},
    "depsilon": {"widths": (4, 8), "trials": 4},
    "sortednet": {"widths": (2, 4), "depths": (1,), "count": 2, "passes": (1, 2)},
    "vit_resnas": {"embeds": (8, 4), "blocks": 1, "patch": 2, "parts": (1, 2), "trials": 4},
}
TELLS = {
    "spos": {"evolution", "random", "check", "seconds"},
    "ofa": {"progressive", "joint", "program", "random", "front (accuracy, MACs)", "check"},
    "depsilon": {"start 0", "start 0.5", "evolution", "random", "check"},
    "sortednet": {"alone", "sorted-1", "sorted-2", "sandwich-4", "check"},
    "vit_resnas": {"1 a batch", "2 a batch", "evolution", "random", "check"},
}


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(experiment, "make_executor", lambda *args, **more: Here())
    Here.names = []
    return Here


@pytest.mark.parametrize("name", SMALL)
def test_a_one_shot_experiment_trains_searches_and_says_what_its_ratings_are_worth(name, here, tmp_path):
    module = plugins.experiment(name)
    config = module.Config(**TINY, **SMALL[name])

    def ran():
        run = Experiment.open(name, config, tmp_path / name, executor="local", workers=1, screen=Silent())
        try:
            return module.main(run, config)
        finally:
            run.close()

    said = ran()
    assert set(said) == TELLS[name]
    assert "counting" in said["check"]["verdict"]
    for strategy in {"evolution", "random", "program"} & set(said):
        assert 0 <= said[strategy]["alone"] <= 1
        if name == "spos":
            assert said[strategy]["macs"] <= config.macs
    before = len(here.names)
    assert ran() == said
    assert len(here.names) == before  # a second start does nothing twice
