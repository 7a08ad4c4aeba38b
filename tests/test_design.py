"""`nas design` as a user has it, its evolutionary search, and the network of a file as a space of itself."""

import json
import os
import signal
from dataclasses import replace
from math import inf, isfinite

import numpy as np
import pytest

from nas import designing, plugins
from nas.cli.solving import Watching
from nas.designing import Asked, design
from nas.errors import UserError
from nas.problem import Problem, State, Trial, at_most, maximise
from nas.profile import profile
from nas.programs.deepmad.evolution import children, evolve, first, wander
from nas.programs.deepmad.grid import Grid
from nas.programs.deepmad.measure import Batch, feasible, measure
from nas.programs.deepmad.presets import design_of, released, resnet
from nas.programs.deepmad.problem import Budgets, Score, broken
from nas.settings import Settings
from nas.settle import settle
from nas.strategies import DeepMAD
from tests.commands import said, typed

SMALL = ["--input", "1,16,16", "--classes", "10", "--seconds", "2"]
KEYS = {
    *("status", "family", "score", "value", "bound", "gap", "entropy", "penalty", "effectiveness", "params", "macs"),
    *("activations", "stages", "budgets", "seconds", "certificate", "arch", "export"),
}
TINY = Asked(resnet((1, 16, 16), 10), Score(), Budgets(4e5, 3e4, 0.5), seconds=2.0)


def silent(what, value, bound):
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A design with its files, and what was said: (folder, JSON)."""
    folder = tmp_path_factory.mktemp("design") / "d"
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("builtins.print", lambda *args, **kwargs: lines.append((args, kwargs.get("file"))))
        from nas.cli import run

        assert run(["design", "--macs", "400k", "--params", "30k", *SMALL, "--to", str(folder), "--json"]) == 0
    return folder, json.loads(next(str(args[0]) for args, file in lines if file is None))


def test_a_design_is_said_whole_and_keeps_its_budgets(made):
    folder, told = made
    assert set(told) == KEYS
    assert told["status"] in ("optimal", "gap")
    assert told["bound"] >= told["value"] - 1e-6
    assert told["gap"] == pytest.approx((told["bound"] - told["value"]) / abs(told["value"]), abs=1e-9)
    assert told["value"] == pytest.approx(told["entropy"] - told["penalty"])
    assert set(told["score"]) == {"penalty", "penalty_stages", "sizes", "count"}
    for name, limit in (("macs", 4e5), ("params", 3e4), ("rho", 0.3)):
        budget = told["budgets"][name]
        assert set(budget) == {"limit", "used", "binding", "marginal"}
        assert budget["used"] <= budget["limit"] == limit
    assert told["budgets"]["macs"]["used"] == told["macs"]
    for stage in told["stages"]:
        assert set(stage) == {"depth", "out", "mid", "kernel", "stride", "entropy"}
    asked = replace(TINY, budgets=Budgets(4e5, 3e4, 0.3))
    batch = Batch.of([design_of(told["arch"])])
    assert measure(asked.template, asked.score, batch).value[0] == pytest.approx(told["value"])
    assert told["export"] == str(folder)
    assert not json.loads((folder / "metrics.json").read_text())["trained"]


def test_what_it_writes_is_read_by_the_other_commands(made, capsys):
    folder, told = made
    seen = said(capsys, "profile", folder / "architecture.json")
    assert (seen["params"], seen["macs"], seen["activations"]) == (told["params"], told["macs"], told["activations"])
    assert seen["arch"] == told["arch"]
    file = str(folder / "architecture.json")
    space = plugins.space(file)
    assert space.size == 1
    whole = plugins.space("deepmad_resnet", **json.loads((folder / "architecture.json").read_text())["settings"])
    assert space.network(next(iter(space))) == whole.network(whole.read(told["arch"]))


def test_a_certificate_is_checked_and_a_damaged_one_refused(made, capsys, tmp_path):
    folder, told = made
    found = said(capsys, "design", "--check", folder / "certificate.json")
    assert found["holds"]
    assert found["value"] == pytest.approx(told["value"])
    assert found["bound"] == pytest.approx(told["bound"], abs=1e-3)
    held = json.loads((folder / "certificate.json").read_text())
    (tmp_path / "c.json").write_text(json.dumps({**held, "value": held["value"] * 1.01}))
    code, out, err = typed(capsys, "design", "--check", tmp_path / "c.json")
    assert (code, out) == (2, "")
    assert "does not hold" in err
    code, out, _ = typed(capsys, "design", "--check", folder / "certificate.json")
    assert code == 0
    assert "no design of the template under these budgets is worth more" in out


@pytest.mark.slow
def test_the_network_of_a_file_is_searched_trained_and_taken_away(made, capsys, tmp_path):
    file = made[0] / "architecture.json"
    flags = ["--executor", "local", "--workers", "1", "--trials", "1", "--epochs", "1", "--final-epochs", "1"]
    done = said(
        capsys, "search", "--space", file, "--data", "digits", "--images", "200", *flags, "--out", tmp_path / "r"
    )
    assert done["trials"]["done"] == 1
    exported = next((tmp_path / "r" / "export").iterdir())
    again = said(capsys, "profile", exported / "architecture.json")
    assert again["input"] == [1, 8, 8]
    assert again["arch"] == made[1]["arch"]


def test_a_search_around_a_file_refuses_a_changed_one(made, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text((made[0] / "architecture.json").read_text())
    settings = settle(space=str(file), data="digits")
    assert settings.made_space.input == (1, 8, 8)
    again = Settings.from_json(json.loads(json.dumps(settings.json())))
    assert again.made_space.network(next(iter(again.made_space))) is not None
    again.check_code()
    file.write_text(file.read_text() + "\n")
    with pytest.raises(UserError, match="mine.json has changed since the run began"):
        again.check_code()


def test_a_file_counts_by_its_contents(made, tmp_path, monkeypatch):
    text = (made[0] / "architecture.json").read_text()
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    a.write_text(text)
    b.write_text(text)
    assert plugins.source(str(a)) == plugins.source(str(b)) != ""
    assert plugins.space(str(a)).name == plugins.space(str(b)).name
    b.write_text(text.replace('"choices"', ' "choices"'))
    assert plugins.source(str(a)) != plugins.source(str(b))
    monkeypatch.chdir(tmp_path)
    assert plugins.absolute("a.json") == str(a.resolve())
    b.write_text(json.dumps({**json.loads(text), "choices": {}}))
    with pytest.raises(UserError, match=r"b.json is no architecture of deepmad_resnet: .*stem.channels"):
        plugins.space(str(b))
    b.write_text("{")
    with pytest.raises(UserError, match="is no JSON"):
        plugins.space(str(b))


BAD = [
    ([], 2, "no budget is given"),
    (["--macs", "4.5X"], 2, "write it like 150000, 150k"),
    (["--macs", "-3M"], 2, "--macs needs a number above 0"),
    (["--params", "5ms"], 2, "--params needs a number above 0"),
    (["--macs", "60%"], 2, "--like resnet-50 --macs 60%"),
    (["--macs", "0%", "--like", "resnet-18"], 2, "above 0"),
    (["--macs", "1M", "--like", "resnt-18"], 2, "did you mean resnet-18"),
    (["--macs", "1M", "--rho", "0"], 2, "the budget of rho is 0"),
    (["--macs", "1M", "--seconds", "0"], 2, "--seconds must be above 0"),
    (["--macs", "1M", "--seed", "-1"], 2, "--seed must be 0 or more"),
    (["--macs", "1M", "--input", "3,x"], 2, "C,H,W"),
    (["--macs", "1M", "--classes", "1"], 2, "--classes must be at least 2"),
    (["--macs", "1M", "--family", "vgg"], 2, "invalid choice 'vgg'"),
    (["--macs", "1M", "--penalty", "sum"], 2, "invalid choice 'sum'"),
    (["--template", "r19"], 2, "r18, r34"),
    (["--template", "29m", "--family", "resnet"], 2, "is of the family mobile"),
    (["--latency", "5"], 2, "write it like 5ms"),
    (["--latency", "5ms", "--on", "gpu"], 5, "needs a GPU"),
    (["--front", "macs"], 2, "no budget is given"),
    (["--front", "params", "--macs", "1M"], 2, "--front params needs --params"),
    (["--check", "nothing.json"], 2, "there is no certificate"),
    (["--macs", "1M", "--to", "."], 2, "name another folder with --to"),
    (["--macs", "1k", *SMALL], 3, "no design meets macs <= 1k"),
    (["--params", "1k", *SMALL, "--front", "params"], 3, "no design meets params <= 1k"),
]


@pytest.mark.parametrize(("args", "code", "words"), BAD, ids=[" ".join(b[0]) or "nothing" for b in BAD])
def test_bad_input_gets_one_line_and_the_right_code(args, code, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "gpu" in args and designing.device_of().type != "cpu":
        pytest.skip("there is a GPU")
    if "--to" in args:
        (tmp_path / "mine.txt").touch()
    got, out, err = typed(capsys, "design", *args)
    lines = [line for line in err.strip().splitlines() if line.startswith("nas: ")]
    assert (got, out, len(lines)) == (code, "", 1), err
    assert words in lines[0]
    assert "Traceback" not in err
    assert [f.name for f in tmp_path.iterdir()] == (["mine.txt"] if "--to" in args else [])


def test_the_nearest_design_is_named_and_its_budgets_do(capsys, tmp_path):
    args = ["--macs", "20k", "--params", "2k", *SMALL]
    told = said(capsys, "design", *args)
    assert (told["status"], told["code"]) == ("infeasible", 3)
    assert set(told) >= KEYS
    assert {told[k] for k in ("certificate", "arch", "export", "value")} == {None}
    flags = dict(zip(*[iter(told["fix"].removeprefix("give ").removesuffix(" or more").split())] * 2, strict=True))
    assert "times)" in told["error"]
    limits = {"macs": "20k", "params": "2k", **{k[2:]: v for k, v in flags.items()}}
    numbers = [float(v.rstrip("kM")) * {"k": 1e3, "M": 1e6}.get(v[-1], 1.0) for v in limits.values()]
    asked = replace(TINY, budgets=Budgets(**{"rho": 0.3, **dict(zip(limits, numbers, strict=True))}), seconds=1.0)
    assert design(asked, silent).found


def test_ctrl_c_asks_for_what_there_is_and_twice_ends():
    watching = Watching()
    with watching.shown():
        assert not watching.stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert watching.stopped()
        asked = replace(TINY, template=resnet((3, 224, 224)), budgets=Budgets(1e9, 5e6, 0.3), seconds=60.0)
        stopped = design(replace(asked, seconds=60.0), silent, watching.stopped)
        assert stopped.answer.seconds < 10
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_stopped_solver_has_an_honest_gap():
    calls = iter(range(10**9))
    made = design(replace(TINY, seconds=60.0), silent, lambda: next(calls) > 40)
    whole = design(TINY, silent)
    assert made.answer.seconds < 30
    if made.found:
        assert made.answer.value <= whole.answer.bound * (1 + 1e-9)
        assert not isfinite(made.answer.bound) or made.answer.bound >= whole.answer.value * (1 - 1e-9)


def test_a_front_rises_and_its_plot_opens_offline(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(designing, "POINTS", 3)
    told = said(capsys, "design", "--macs", "1M", "--front", "macs", *SMALL, "--to", tmp_path / "f")
    values = [p["value"] for p in told["points"]]
    assert [p["budget"] for p in told["points"]] == pytest.approx([1e6 / 8, 1e6 / 8**0.5, 1e6])
    assert values[-1] > values[-2]
    for point in told["points"]:
        if point["value"] is not None:
            assert point["macs"] <= point["budget"]
            assert said(capsys, "profile", point["architecture"])["macs"] == point["macs"]
    page = (tmp_path / "f" / "front.html").read_text()
    assert 'src="http' not in page
    assert "upper bound" in page
    assert json.loads((tmp_path / "f" / "front.json").read_text())["front"] == "macs"


def test_a_latency_is_kept_by_measuring(monkeypatch):
    monkeypatch.setattr(designing, "_timed", lambda made, on: made.used["macs"] / 1e9)
    asked = replace(TINY, budgets=Budgets(rho=0.5), latency=1e-3, seconds=3.0)
    made = design(asked, silent)
    assert made.found
    assert designing.NEAR * 1e-3 <= made.latency <= 1e-3
    assert designing.facts(made)["budgets"]["latency"]["used"] == made.latency
    monkeypatch.setattr(designing, "_timed", lambda made, on: 1.0)
    with pytest.raises(UserError, match="no design within 1 ms was found") as error:
        design(replace(asked, seconds=1.0), silent)
    assert error.value.code == 3


def test_percents_are_of_the_network_that_is_named():
    from nas.cli.design import Design

    total = plugins.published("resnet-18").profile(input=(3, 64, 64), classes=10).total
    asked = Design(like="resnet-18", macs="50%", input="3,64,64", classes=10).asked()
    assert (asked.budgets.macs, asked.budgets.params) == (total.macs / 2, total.params)
    assert asked.template.input == (3, 64, 64)
    asked = Design(template="29m", count="conv").asked()
    assert (asked.score, asked.budgets) == (replace(released("29m").score, count="conv"), released("29m").budgets)


@pytest.mark.parametrize("name", ["r18", "29m"])
def test_children_are_members_that_differ_in_two_parts(name):
    template, rng = released(name).template, np.random.default_rng(0)
    parents = Batch.of([first(template, Score(), Budgets())] * 50)
    for _ in range(20):
        young = children(template, parents, rng)
        for n in range(len(young)):
            assert broken(template, young.design(n, template.head)) == ""
        changed = sum(
            (a != b).astype(int).reshape(50, -1) for a, b in zip(parents.parts()[1:], young.parts()[1:], strict=True)
        )
        assert (changed.max(axis=1) <= 4).all()
        parents = young


def test_evolution_rises_is_reproducible_and_stays_below_the_bound():
    template, score, budgets = TINY.template, TINY.score, TINY.budgets
    one, two = (evolve(template, score, budgets, networks=5000, rng=np.random.default_rng(1)) for _ in range(2))
    assert one == two
    values = [value for _, value in one.curve]
    assert values == sorted(values)
    assert one.curve[-1] == (5000, one.value)
    assert broken(template, one.design) == ""
    found = measure(template, score, Batch.of([one.design]))
    assert feasible(found, budgets)[0]
    answer = design(TINY, silent).answer
    assert one.value <= answer.bound * (1 + 1e-9)
    walk = wander(template, score, budgets, np.random.default_rng(2), least=0.5, walks=64, steps=100)
    assert len(walk)
    assert feasible(measure(template, score, walk), budgets).all()
    assert measure(template, score, walk).value.max() <= answer.bound * (1 + 1e-9)
    assert Grid(template).members(walk).all()


def test_evolution_that_cannot_start_is_refused():
    with pytest.raises(UserError, match="evolution cannot start"):
        evolve(TINY.template, TINY.score, Budgets(macs=10), networks=10, rng=np.random.default_rng(0))


def test_the_strategy_keeps_the_best_and_its_rules():
    space = plugins.space("deepmad_resnet", input=(1, 16, 16), classes=10, strides=(2, 2))
    problem = Problem(space, (maximise("value"),), (at_most("params", 100e3),))

    def play(asks):
        strategy, told = DeepMAD(problem, population=20), []
        for n in range(asks):
            arch = strategy.ask(np.random.default_rng((0, n))).arch
            assert space.member(arch)
            metrics = dict(problem.screen(arch).metrics)
            told.append(Trial(n, _proposal(arch), State.DONE, {**metrics, "value": metrics["macs"]}))
            strategy.tell(told[-1])
        return strategy, told

    waits = DeepMAD(problem)
    asked = {waits.ask(np.random.default_rng(n)).arch for n in range(8)}
    assert len(asked) >= 4, "while nothing is rated, workers are given different networks"
    (strategy, told), (_, again) = play(150), play(150)
    assert [t.arch for t in told] == [t.arch for t in again]
    assert all(t.metrics["params"] <= 100e3 for t in told)
    best = sorted({t.arch: t.metrics["value"] for t in told}.values(), reverse=True)
    assert [t.metrics["value"] for t in strategy._alive] == best[:20]
    assert best[0] > 1.5 * told[0].metrics["value"]
    with pytest.raises(UserError, match="deepmad_resnet and deepmad_mobile, not mobile"):
        plugins.strategy("deepmad", Problem(plugins.space("mobile", input=(1, 8, 8), classes=10)))


def _proposal(arch):
    from nas.problem import Proposal

    return Proposal(arch)


def test_the_experiments_networks_are_what_they_say():
    scaling = plugins.experiment("fast_scaling")
    compound = plugins.experiment("efficientnet")
    base = scaling.residual((1, 16, 16), 10, 8, depth=2)
    macs = {}
    for rule in scaling.RULES:
        network, shape = scaling.scaled(base, (1, 16, 16), scaling.factors(rule, 4.0))
        total = profile(scaling._resized(network, shape), (1, 28, 28)).total
        macs[rule] = total.macs / profile(base, (1, 16, 16)).total.macs
    assert min(macs.values()) > 3
    assert max(macs.values()) < 6
    assert sum(compound._twice(*t) for t in compound.product(compound.ALPHA, compound.BETA, compound.GAMMA)) >= 5
    total = profile(scaling.residual((3, 32, 32), 10, 16, depth=3, shortcuts="padded"), (3, 32, 32)).total
    assert total.params == 269_722
    assert total.macs > 40e6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deepmad", "efficientnet", "fast_scaling"])
def test_an_experiment_runs(name, capsys, tmp_path):
    flags = ["--data", "digits", "--epochs", "1", "--images", "200", "--executor", "local", "--out", tmp_path / name]
    told = said(capsys, "run", name, *flags)
    assert told["experiment"] == name
    rows = [row for row in told.values() if isinstance(row, dict) and "accuracy" in row]
    rows += [row for group in ("grid", "scaled") for row in told.get(group, {}).values()]
    assert len(rows) >= 3
    assert all(0 < row["accuracy"] <= 1 for row in rows)
    assert inf not in rows
