"""The loop, the ledger, and going on after anything."""

import json
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.problem import Problem, State, Trial, at_most
from nas.run import Run
from nas.store import Store
from nas.strategies import STRATEGIES, Evolution, Random
from nas.study import FREE, Terms, search
from nas.testing import best_of_seeds, strategy_laws
from search_spaces import mobile, nasbench201
from tests.inline import Inline, Trouble, rated, worth

PROBLEM = Problem(nasbench201(cells=1))


def go(store, tmp_path, trials=40, *, strategy=Evolution, evaluate=rated, executor=None, problem=PROBLEM):
    runs = executor or Inline()
    return search(
        problem, strategy(problem), evaluate, runs, store, Terms("search", "t", tmp_path), trials=trials, seed=3
    )


def archs(store):
    return [(t.id, t.arch.key, t.state, dict(t.metrics)) for t in store.trials("search")]


SLOW = ("agents", "gp")
"""Their laws and what they find stand in tests of their own, at a smaller size."""


@pytest.mark.parametrize("law", list(strategy_laws()))
@pytest.mark.parametrize("name", [n for n in STRATEGIES if n not in SLOW])
def test_every_strategy_keeps_every_law(name, law):
    strategy_laws()[law](STRATEGIES[name])


PATIENT = ("asha", "halving", "hyperband")
"""Their candidates are random: they win by short trainings, which this table does not know (tests/test_halving.py)."""


UNORDERED = ("cmaes", "qmc")
"""They take options for numbers, which those of this table are not."""


@pytest.mark.parametrize("name", [n for n in STRATEGIES if n not in ("random", *PATIENT, *UNORDERED, *SLOW)])
def test_every_strategy_beats_random(name):
    assert best_of_seeds(STRATEGIES[name]) > best_of_seeds(Random)


def test_evolution_is_the_papers(tmp_path):
    store = Store(tmp_path / "a")
    go(store, tmp_path, 60)
    trials = store.trials("search")
    alive, told = [], {t.id: t for t in trials}
    for t in trials:
        if len(alive) < 10:
            assert not t.proposal.note
        else:
            parent = t.proposal.note["mutated"]
            assert parent in alive[-10:], "the parent was not among the 10 youngest"
            changed = {n for n, label in t.arch.choices if told[parent].arch.labels.get(n) != label}
            assert len(changed) == 1
        if "accuracy" in t.metrics:
            alive.append(t.id)


def test_a_run_of_n_ends_when_n_are_done_or_failed(tmp_path):
    store = Store(tmp_path / "a")
    made = go(store, tmp_path, 40, evaluate=Trouble())
    states = store.states("search")
    assert states["done"] + states["failed"] == 40 == made.finished
    assert states["repeat"]
    assert states["infeasible"]
    for t in store.trials("search"):
        if t.state is State.FAILED:
            assert t.reason in ("memory", "error")
            assert t.error
        if t.state is State.INFEASIBLE:
            assert "latency" in t.reason or "no path" in t.reason
        if t.state is State.DONE:
            assert t.metrics["accuracy"] == worth(t.arch)


def test_no_network_is_trained_twice(tmp_path):
    seen = []

    def evaluate(proposal, work):
        seen.append(PROBLEM.screen(proposal.arch).same)
        return rated(proposal, work)

    store = Store(tmp_path / "a")
    go(store, tmp_path, 120, evaluate=evaluate, executor=Inline(4, lambda tasks: len(tasks) // 2))
    assert len(seen) == len(set(seen)) == 120
    first = {PROBLEM.screen(t.arch).same: t for t in store.trials("search") if t.state is State.DONE}
    repeats = [t for t in store.trials("search") if t.state is State.REPEAT]
    assert repeats
    for t in repeats:
        one = first[PROBLEM.screen(t.arch).same]
        assert t.metrics["accuracy"] == one.metrics["accuracy"]
        assert t.metrics["params"] == PROBLEM.screen(t.arch).metrics["params"]


@pytest.mark.parametrize("cut", [1, 7, 23])
def test_going_on_equals_no_interruption(tmp_path, cut):
    whole, parts = Store(tmp_path / "a"), Store(tmp_path / "b")
    go(whole, tmp_path, 40)
    go(parts, tmp_path, cut)
    parts.close()
    go(again := Store(tmp_path / "b"), tmp_path, 40)
    assert archs(whole) == archs(again)


def test_many_workers_out_of_order_go_on_too(tmp_path):
    rng = random.Random(0)
    runs = Inline(4, lambda tasks: rng.randrange(len(tasks)))
    go(store := Store(tmp_path / "a"), tmp_path, 30, executor=runs)
    before = archs(store)
    store.close()
    go(again := Store(tmp_path / "a"), tmp_path, 60, executor=runs)
    assert archs(again)[: len(before)] == before
    assert again.states("search")["done"] == 60


DRIVER = """
import sys
from pathlib import Path
from nas.store import Store
from tests.inline import killed_at
from tests.test_study import go
folder, moment = Path(sys.argv[1]), int(sys.argv[2])
go(Store(folder / "ledger"), folder, 24, evaluate=killed_at(moment))
"""


def test_a_driver_killed_again_and_again_gets_the_same(tmp_path):
    home = Path(__file__).parent.parent
    for moment in (1, 2, 5, 3, 7, 1, 99):
        done = subprocess.run([sys.executable, "-c", DRIVER, str(tmp_path), str(moment)], cwd=home, check=False)
        assert done.returncode in (0, -9)
    assert done.returncode == 0
    go(whole := Store(tmp_path / "whole"), tmp_path, 24)
    assert archs(whole) == archs(Store(tmp_path / "ledger"))


def test_a_lost_trial_is_put_back_and_given_up_at_last(tmp_path):
    from nas.roles import Lost

    def always(proposal, work):
        raise Lost("no node")

    go(store := Store(tmp_path / "a"), tmp_path, 2, evaluate=always)
    for t in store.trials("search"):
        assert t.state in (State.FAILED, State.INFEASIBLE, State.REPEAT)
        assert t.state is not State.FAILED or (t.reason == "died" and "lost 4 times" in t.error)


def test_proposals_have_an_end(tmp_path):
    impossible = Problem(PROBLEM.space, constraints=(at_most("params", 10),))

    made = search(
        impossible,
        _Blind(impossible),
        rated,
        Inline(),
        Store(tmp_path / "a"),
        Terms("search", "t", tmp_path),
        trials=2,
        seed=0,
    )
    assert made.finished == 0
    assert made.states[State.INFEASIBLE] == 2 * FREE


class _Blind:
    """Proposes anything, limits or not."""

    def __init__(self, problem):
        self.problem = problem

    def ask(self, rng):
        from nas.problem import Proposal

        return Proposal(self.problem.space.sample(rng))

    def tell(self, trial):
        pass


def test_another_strategy_is_not_let_into_a_ledger(tmp_path):
    go(store := Store(tmp_path / "a"), tmp_path, 30)
    with pytest.raises(UserError, match="written by another strategy"):
        go(store, tmp_path, 40, strategy=Random)


def test_a_torn_ledger_is_said_in_one_line(tmp_path):
    go(store := Store(tmp_path / "a"), tmp_path, 10)
    store.close()
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole[: len(whole) // 2] + b"\0" * 64)
    (tmp_path / "a-wal").unlink(missing_ok=True)
    with pytest.raises(UserError, match="torn"):
        Store(tmp_path / "a").trials("search")
    (tmp_path / "b").write_text("no ledger at all, but a text that is long enough to be read as one")
    with pytest.raises(UserError, match="no ledger"):
        Store(tmp_path / "b")


def test_a_ledger_of_another_version_is_refused(tmp_path):
    Store(tmp_path / "a").close()
    db = sqlite3.connect(tmp_path / "a")
    db.execute("pragma user_version=99")
    db.commit()
    db.close()
    with pytest.raises(UserError, match="version 99"):
        Store(tmp_path / "a")


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    store = Store(tmp_path / "a")
    go(store, tmp_path, 10)
    (pages,) = store._db.execute("pragma page_count").fetchone()
    store._db.execute(f"pragma max_page_count={pages}")
    with pytest.raises(UserError, match="the disk is full") as caught:
        go(store, tmp_path, 400)
    assert caught.value.code == 5
    store.close()
    made = go(Store(tmp_path / "a"), tmp_path, 400)
    assert made.finished == 400


def test_two_drivers_on_one_folder_are_refused(tmp_path):
    run = Run.open(tmp_path / "run", {"format": 1})
    with pytest.raises(UserError, match="driven by another process"):
        Run.open(tmp_path / "run", {"format": 1})
    assert Run.read(tmp_path / "run").driven
    run.close()
    assert not Run.read(tmp_path / "run").driven


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is no run"):
        Run.open(tmp_path, {"format": 1})
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_does_a_thing_once(tmp_path):
    with Run.open(tmp_path / "run", {}) as run:
        assert run.once("thing", lambda: {"a": 1}) == {"a": 1}
    with Run.open(tmp_path / "run", {}) as run:
        assert run.once("thing", lambda: {"a": 2}) == {"a": 1}


def test_a_torn_settings_file_is_said(tmp_path):
    Run.open(tmp_path / "run", {"format": 1}).close()
    (tmp_path / "run" / "settings.json").write_text('{"format"')
    with pytest.raises(UserError, match="torn"):
        Run.read(tmp_path / "run")
    with pytest.raises(UserError, match="is no run"):
        Run.read(tmp_path)


def test_domination_is_debs():
    problem = Problem(mobile((1, 8, 8), 2), constraints=(at_most("params", 100),))
    fits, breaks, worse = ({"accuracy": a, "params": p} for a, p in ((0.5, 90), (0.9, 200), (0.8, 300)))
    assert problem.better(fits, breaks)
    assert problem.better(breaks, worse)
    assert not problem.better(fits, fits)
    trials = [Trial(n, None, State.DONE, m) for n, m in enumerate((fits, breaks, worse))]
    assert problem.front(trials) == [trials[0]]


def test_the_frame_has_a_row_a_trial(tmp_path):
    with Run.open(tmp_path / "run", {}) as run:
        go(run.store, tmp_path, 12)
        frame = run.frame()
        assert list(frame.id) == [t.id for t in run.trials()]
        assert set(json.loads(frame.arch[0])) == {"space", "choices"}
        assert frame["node1.from0"].notna().all()


def test_what_is_no_trials_fault_stops_the_search_and_loses_nothing(tmp_path):
    calls = [0]

    def full(proposal, work):
        calls[0] += 1
        if calls[0] == 4:
            raise UserError("the disk is full", code=5)
        return rated(proposal, work)

    store = Store(tmp_path / "a")
    with pytest.raises(UserError, match="the disk is full"):
        go(store, tmp_path, 20, evaluate=full)
    assert store.states("search")["failed"] == 0
    assert store.states("search")["running"] == 1
    go(store, tmp_path, 20)
    go(whole := Store(tmp_path / "b"), tmp_path, 20)
    assert archs(store) == archs(whole)
