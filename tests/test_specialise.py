"""Specialising: what a target is, what is chosen for it, what is exported, and what is said where none will do."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas import export as exports
from nas import plugins, specialising, subnetworks
from nas.data import load, subset
from nas.errors import UserError
from nas.evaluators import Source
from nas.problem import Problem, Proposal, State, Trial
from nas.programs.choose import Chooser
from nas.run import Run, settings_in
from nas.specialising import Target, specialise, verdict
from nas.subnetworks import Subnetworks
from nas.training import accuracy
from nas.weights import Supernet
from nas.weights.saved import save
from tests.commands import said, typed

SPACE = {"input": (1, 8, 8), "classes": 10, "widths": (8, 16), "depths": (1, 2), "expands": (1, 2), "head": 16}
SPACE |= {"squeezes": (0,), "kernels": (3, 5)}


def make_run(folder: Path, space=None, **parts) -> Path:
    """A run that holds a supernet of first weights over a small space."""
    data, space = load("digits"), space or plugins.space("mobile", **SPACE)
    with Run.open(folder, {"experiment": "mine", "format": 1, "config": {}}) as run:
        source = Source("digits", 0, data.info.hash)
        of = {"space": space.name, "settings": dict(space.settings), "data": asdict(source)}
        run.store.put("supernet.of", of)
        torch.manual_seed(0)
        save(Supernet(space, seed=0, **parts), folder / "supernet" / "weights.safetensors")
        run.store.put("supernet", {"seconds": 1.0})
    return folder


@pytest.fixture
def folder(tmp_path):
    return make_run(tmp_path / "run")


def opened(folder):
    return Run.open(folder, settings_in(folder))


def size(module):
    return sum(p.numel() for p in module.parameters())


@pytest.fixture
def quiet(monkeypatch):
    """Latency is 10 ns a parameter and 100 ns a layer, ratings are a sum over choices, and no export is proved."""
    clock = {"again": 1.0}

    def latency(module, shape, device):
        layers = sum(1 for m in module.modules() if not list(m.children()))
        factor = clock["again"] if type(module).__name__ == "Mobile" else 1.0
        return factor * (1e-8 * size(module) + 1e-7 * layers)

    def written(network, shape, module, to, *, name, about, architecture):
        to.mkdir(parents=True, exist_ok=True)
        exports.write(network, shape, module, to, name=name, about={})
        (to / "repro.json").write_text(json.dumps(about["repro"]))

    for place in (specialising, subnetworks):
        monkeypatch.setattr(place, "latency", latency)
    monkeypatch.setattr(specialising, "export", written)
    monkeypatch.setattr(Subnetworks, "rater", property(lambda self: _Summed(self._inherited.rater(self.data))))
    clock["latency"] = lambda space, arch: latency(specialising_module(space, arch), space.input, "cpu")
    return clock


def specialising_module(space, arch):
    return subnetworks.build(space.network(arch), space.input)


class _Summed:
    """Rates by a sum over choices; gives weights as the rater inside does."""

    def __init__(self, rater):
        self.supernet, self.statistics, self.device = rater.supernet, rater.statistics, rater.device

    def __call__(self, arch):
        return {"accuracy": worth(arch), "loss": 0.0}


def worth(arch):
    return sum({3: 0.0, 5: 0.02, 8: 0.01, 16: 0.03, 2: 0.025}.get(v, 0.01) for _, v in arch.choices) / 2 + 0.3


def test_a_target_is_one_limit_or_several():
    target = Target.read("latency=5ms, params=1M")
    assert (target.latency, target.folder) == (0.005, "latency-5ms-params-1M")
    assert [(c.metric, c.at_most) for c in target.costs] == [("params", 1e6)]
    assert Target.read("macs=2M").latency == np.inf
    for text in ("latency", "latency=5", "latency=5ms,latency=6ms", "speed=3", "params=-1"):
        with pytest.raises(UserError):
            Target.read(text)


def test_the_command_gives_for_each_target_a_proved_network_that_keeps_it(folder, capsys, monkeypatch):
    monkeypatch.setattr(subnetworks, "LEAST", 8)
    made = said(capsys, "specialise", folder, "--max", "latency=1s,params=3k", "--seconds", "0")
    (row,) = made["targets"]
    assert row["met"]
    assert row["kept_again"]
    assert row["again_s"] <= 1
    assert row["params"] <= 3000
    assert len(row["medians_s"]) == 5
    assert row["accuracy"] >= row["random_accuracy"]
    assert made["sampled"] == 8
    assert made["check"] is None
    to = Path(row["export"])
    assert to == folder / "specialised" / "latency-1s-params-3k"
    assert {"model.py", "model.pt2", "weights.safetensors", "architecture.json"} <= {f.name for f in to.iterdir()}
    assert json.loads((to / "repro.json").read_text())["export"]["proved"]
    model, data = plugins.own(f"{to}/model.py:load")(), load("digits")
    rated = subset(data.validation, 1000, seed=0) if len(data.validation) > 1000 else data.validation
    alone = accuracy(model, rated, data.info, device=torch.device("cpu"))["accuracy"]
    assert alone == pytest.approx(row["accuracy"], abs=1e-6)
    assert size(model) == row["params"]


def test_the_choice_is_the_best_of_all_within_the_target(folder, quiet):
    space = plugins.space("mobile", **SPACE)
    every = [(worth(a), quiet["latency"](space, a), a) for a in space]
    texts = [f"latency={1e3 * np.quantile([t for _, t, _ in every], q):.6f}ms" for q in (0.1, 0.3, 0.6)]
    with opened(folder) as run:
        found, known = specialise(run, [Target.read(text) for text in texts], seconds=0)
    for one in found:
        assert one.kept
        assert one.latency <= one.target.latency * 0.97
        best = max(w for w, t, _ in every if t <= one.target.latency * 0.97)
        assert one.accuracy >= best - 0.005  # one step of one choice
        assert one.accuracy >= one.random
    assert [one.accuracy for one in found] == sorted(one.accuracy for one in found)
    assert len(known.sample) == subnetworks.LEAST


def test_a_second_call_looks_at_no_further_random_network(folder, quiet):
    targets = [Target.read("latency=1s")]
    with opened(folder) as run:
        (first,), known = specialise(run, targets, seconds=0)
        made = (first.folder / "model.py").stat().st_mtime_ns
        (second,), again = specialise(run, targets, seconds=0)
        assert (again.sample, again.spent) == (known.sample, known.spent)
        assert len(again.rated) <= len(known.rated) + specialising.PROPOSED
        assert second.arch == first.arch
        assert (second.folder / "model.py").stat().st_mtime_ns == made
        other = replace(Source(**run.store.fact("supernet.of")["data"]))
        assert other.spec == "digits"
        save(Supernet(known.space, seed=1), folder / "supernet" / "weights.safetensors")
        assert not Subnetworks(run, "cpu").rated, "ratings of other weights were taken"


def test_what_is_too_slow_when_measured_again_makes_room_for_a_faster_one(folder, quiet):
    space = plugins.space("mobile", **SPACE)
    seconds = float(np.median([quiet["latency"](space, space.sample(np.random.default_rng(n))) for n in range(40)]))
    target, lines = Target.read(f"latency={1e3 * seconds:.6f}ms"), list[str]()
    quiet["again"] = 1.15
    with opened(folder) as run:
        (one,), _ = specialise(run, [target], seconds=0, say=lines.append)
    assert any("measured again" in line for line in lines)
    assert one.kept
    assert one.again == pytest.approx(1.15 * quiet["latency"](space, one.arch))
    assert one.latency <= seconds / 1.15


def test_without_a_program_evolution_on_the_predictions_chooses(folder, quiet, monkeypatch):
    def refuse(self, space):
        raise UserError("no tables")

    monkeypatch.setattr(Chooser, "__init__", refuse)
    with opened(folder) as run:
        (one,), known = specialise(run, [Target.read("params=3k")], seconds=0)
    assert one.kept
    assert one.costs["params"] <= 3000
    assert one.accuracy >= one.random
    assert one.accuracy >= np.quantile([worth(a) for a in known.rated if known.metrics(a)["params"] <= 3000], 0.9)


def test_a_target_that_nothing_keeps_is_told_with_the_nearest_and_the_others_are_made(folder, quiet, capsys):
    limits = ("--max", "latency=0.001ms", "--max", "params=10", "--max", "params=3k")
    made = said(capsys, "specialise", folder, *limits, "--seconds", "0")
    slow, large, fine = made["targets"]
    assert made["code"] == 3
    assert [row["met"] for row in made["targets"]] == [False, False, True]
    assert slow["export"] is large["export"] is None
    assert fine["export"]
    assert "nearest has latency 0.0" in slow["short"]
    space = plugins.space("mobile", **SPACE)
    least = Problem(space).smallest("params")[1]
    assert large["params"] == least
    assert min(quiet["latency"](space, a) for a in list(space)[::7]) >= slow["latency_s"]


def test_one_line_where_there_is_no_supernet_no_device_or_another_tree(folder, tmp_path, capsys):
    Run.open(tmp_path / "bare", {"experiment": "mine", "format": 1, "config": {}}).close()
    code, _, err = typed(capsys, "specialise", tmp_path / "bare", "--max", "latency=5ms")
    assert (code, len(err.strip().splitlines()[-1:])) == (2, 1)
    assert "holds no supernet" in err
    assert typed(capsys, "specialise", folder)[0] == 2
    if not torch.cuda.is_available():
        code, _, err = typed(capsys, "specialise", folder, "--max", "latency=5ms", "--on", "cuda")
        assert code == 5
        assert "shows no GPU" in err
    other = plugins.space("mobile", **{**SPACE, "head": 24})
    save(Supernet(other, seed=0), folder / "supernet" / "weights.safetensors")
    code, _, err = typed(capsys, "specialise", folder, "--max", "latency=5ms")
    assert code == 2
    assert "supernet of another tree: last." in err
    assert "head=24" in err


def test_norms_without_affine_are_filled_in(tmp_path):
    with opened(make_run(tmp_path / "run", affine=False)) as run:
        known = Subnetworks(run, "cpu")
        arch = known.space.sample(np.random.default_rng(0))
        x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        path = known.rater.supernet(x, arch, known.rater.statistics(arch))
        assert torch.allclose(known.inherited(arch)(x), path, atol=1e-5)


def test_a_part_that_networks_have_only_while_they_are_searched_is_refused(tmp_path):
    space = plugins.space("nasbench201", input=(1, 8, 8), classes=10, cells=1, channels=4)
    with opened(make_run(tmp_path / "run", space, norm_after_pool=True)) as run:
        known = Subnetworks(run, "cpu")
        arch = known.space.decide(lambda c: [str(label) for label in c.labels].index("avg_pool_3x3"))
        with pytest.raises(UserError, match="norm_after_pool=True"):
            known.inherited(arch)


def test_the_runs_check_is_repeated(folder):
    with opened(folder) as run:
        known = Subnetworks(run, "cpu")
        assert verdict(known) is None
        archs = [known.space.sample(np.random.default_rng(n)) for n in range(6)]
        for n, arch in enumerate(archs):
            for study, value in (("check", n), ("check-ratings", n**2)):
                trial = run.store.ask(study, Proposal(arch), arch.key)
                run.store.finish(study, Trial(trial.id, trial.proposal, State.DONE, {"accuracy": float(value)}))
        found = verdict(known)
        assert found["networks"] == 6
        assert found["tau"]["tau"] == 1.0
        run.store.put("check", {"verdict": "as the search found"})
        assert verdict(known) == {"verdict": "as the search found"}
