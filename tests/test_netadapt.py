"""NetAdapt: what each round proposes, what it accepts, where it ends; and what a smaller network inherits."""

from itertools import pairwise
from math import prod

import numpy as np
import pytest
import torch

from experiments import mobilenetv3
from experiments._narrowed import narrowed
from nas import experiment
from nas.build import build
from nas.decision import decisions
from nas.evaluators.shrunk import inherit
from nas.experiment import Experiment
from nas.options import Silent
from nas.problem import Problem, Proposal, State, Trial, at_most, maximise, minimise
from nas.profile import profile
from nas.space import Space
from nas.strategies.netadapt import NetAdapt, largest
from nas.testing import table
from search_spaces import mobile
from tests.inline import Here

WEIGHTS = {"a": (10.0, 4.0), "b": (5.0, 3.0), "c": (2.0, 0.1), "d": (1.0, 0.9)}
"""What a unit of each hole costs, and is worth."""
SIZES = tuple(range(1, 9))


def toy(limit=None):
    def costs(arch):
        return {"time": sum(unit * arch[name] for name, (unit, _) in WEIGHTS.items())}

    space = Space("toy", decisions({**dict.fromkeys(WEIGHTS, SIZES), "word": ("x", "y")}), (1,), costs=costs)
    return Problem(space, constraints=(at_most("time", limit),) if limit else ())


def worth(arch):
    return sum(unit * np.sqrt(arch[name]) for name, (_, unit) in WEIGHTS.items())


def time_of(arch):
    return sum(unit * arch[name] for name, (unit, _) in WEIGHTS.items())


def adapted(strategy, value=worth, order=lambda some: some, at_most=500):
    """All trials of a run, a round told at a time."""
    trials, n = [], 0
    while n < at_most:
        out = []
        while (proposal := strategy.ask(np.random.default_rng(n))) is not None:
            n += 1
            out.append(Trial(n, proposal, State.DONE, {"accuracy": value(proposal.arch)}))
        if not out:
            break
        for trial in order(out):
            strategy.tell(trial)
        trials += out
    return trials


def rounds(strategy, trials):
    """Pairs of what was accepted last and what was proposed from it."""
    for k, parent in enumerate(strategy.accepted):
        yield parent, [t for t in trials if t.proposal.note.get("round") == k + 1], strategy.accepted[k + 1 : k + 2]


# the rounds


def test_the_seed_is_the_largest_and_the_cost_and_target_are_those_of_the_limit():
    strategy = NetAdapt(toy(70.0))
    trials = adapted(strategy)
    assert time_of(trials[0].arch) == 8 * 18
    assert trials[0].proposal.note == {"cost": 144.0}
    costs = [time_of(t.arch) for t in strategy.accepted]
    assert costs[-1] <= 70 < costs[-2]
    assert strategy.ask(np.random.default_rng(0)) is None


@pytest.mark.parametrize("step", [0.01, 0.03, 0.1])
def test_each_proposal_shrinks_one_hole_by_as_little_as_saves_a_step_of_the_seeds_cost(step):
    strategy = NetAdapt(toy(60.0), step=step)
    trials = adapted(strategy)
    assert strategy.accepted[0].arch == trials[0].arch
    for parent, proposals, _ in rounds(strategy, trials):
        wanted = {}
        for name, (unit, _) in WEIGHTS.items():
            enough = [k for k in SIZES if unit * (parent.arch[name] - k) >= step * 144]
            if enough:
                wanted[name] = max(enough)
        made = {}
        for t in proposals:
            (name,) = [name for name in t.arch.labels if t.arch[name] != parent.arch[name]]
            made[name] = t.arch[name]
            assert t.proposal.parent == parent.id
        if proposals and wanted:
            assert made == wanted


@pytest.mark.parametrize("seed", range(5))
def test_the_accepted_proposal_has_the_largest_accuracy_change_for_its_cost_change(seed):
    rng = np.random.default_rng(seed)
    noise = {}

    def value(arch):
        return worth(arch) + noise.setdefault(arch, float(rng.normal()) / 5)

    strategy = NetAdapt(toy(50.0), step=0.02)
    trials, checked = adapted(strategy, value), 0
    for parent, proposals, then in rounds(strategy, trials):
        ratios = {
            t.id: (value(t.arch) - value(parent.arch)) / (time_of(parent.arch) - time_of(t.arch)) for t in proposals
        }
        if then:
            checked += 1
            assert then[0].id == max(ratios, key=ratios.get)
    assert checked > 5


def test_a_round_whose_best_proposal_is_known_beforehand():
    # One unit of c saves 2 for nearly nothing; one of a or b costs much more for each unit of time.
    strategy = NetAdapt(toy(120.0), step=0.01)
    adapted(strategy)
    assert [t.arch["c"] for t in strategy.accepted][:8] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert strategy.accepted[7].arch["a"] == 8


def test_it_beats_shrinking_everything_alike_at_no_more_cost():
    strategy = NetAdapt(toy(72.0), step=0.01)
    adapted(strategy)
    final, alike = strategy.accepted[-1].arch, dict.fromkeys(WEIGHTS, 4)
    assert time_of(final) <= time_of(alike) == 72
    assert worth(final) > worth(alike) * 1.05


def test_holes_that_are_tied_shrink_together():
    strategy = NetAdapt(toy(60.0), holes=("a", ("b", "c", "d")))
    for t in adapted(strategy):
        assert t.arch["b"] == t.arch["c"] == t.arch["d"]
    uneven = strategy = NetAdapt(
        toy(60.0), holes=(("b", "c"),), start=toy().space.decide(lambda c: {"b": 7, "c": 2}.get(c.name, 0)), step=0.2
    )
    archs = [t.arch for t in adapted(uneven)]
    assert (archs[0]["b"], archs[0]["c"]) == (8, 3)
    assert all(a["c"] == min(3, a["b"]) for a in archs)  # the larger one first, down to the smaller one, then both


def test_a_latency_by_a_table_is_a_cost_like_any_other():
    latency = {(name, k): unit * k**1.5 for name, (unit, _) in WEIGHTS.items() for k in SIZES}

    def cost(arch):
        return sum(latency[name, arch[name]] for name in WEIGHTS)

    strategy = NetAdapt(toy(), cost=cost, target=150.0, budget=3)
    trials = adapted(strategy)
    assert cost(strategy.accepted[-1].arch) <= 150 < cost(strategy.accepted[-2].arch)
    assert [t.proposal.budget for t in trials] == [None, *[3] * (len(trials) - 1)]


def test_the_order_of_the_results_within_a_round_does_not_matter():
    strategies = [NetAdapt(toy(60.0)) for _ in range(3)]
    for strategy, order in zip(
        strategies, (list, lambda some: some[::-1], lambda some: some[1:] + some[:1]), strict=True
    ):
        adapted(strategy, order=order)
    assert [t.arch for t in strategies[0].accepted] == [t.arch for t in strategies[1].accepted]
    assert [t.arch for t in strategies[0].accepted] == [t.arch for t in strategies[2].accepted]


@pytest.mark.parametrize("cut", [1, 2, 7, 20])
def test_from_any_prefix_of_its_trials_it_goes_on_as_before(cut):
    whole, again = adapted(NetAdapt(toy(60.0))), NetAdapt(toy(60.0))
    waiting = []
    for trial in whole:
        proposal = again.ask(np.random.default_rng(1))
        if proposal is None:
            for told in waiting:
                again.tell(told)
            waiting, proposal = [], again.ask(np.random.default_rng(1))
        assert proposal == trial.proposal
        waiting.append(trial)
        if trial.id > cut and trial.id % 3 == 0:
            again.tell(Trial(999, Proposal(whole[0].arch), State.DONE, {"accuracy": 9.0}))  # nobody asked for it


@pytest.mark.parametrize("state", [State.FAILED, State.INFEASIBLE])
def test_rounds_in_which_some_or_all_failed_go_on(state):
    strategy, n = NetAdapt(toy(100.0)), 0
    while (proposal := strategy.ask(np.random.default_rng(0))) is not None:
        n += 1
        good = n % 5 == 0 and state is State.FAILED
        strategy.tell(
            Trial(n, proposal, State.DONE if good else state, {"accuracy": worth(proposal.arch)} if good else {})
        )
        assert n < 300
    assert time_of(strategy.accepted[-1].arch) <= 100


def test_where_no_single_hole_saves_a_step_any_more_it_still_comes_to_the_target():
    strategy = NetAdapt(toy(20.0), step=0.45)  # no hole saves 65 but a
    adapted(strategy)
    assert time_of(strategy.accepted[-1].arch) <= 20


def test_an_unreachable_target_ends_at_the_smallest():
    strategy = NetAdapt(toy(3.0))
    adapted(strategy)
    assert all(strategy.accepted[-1].arch[name] == 1 for name in WEIGHTS)


def test_what_it_cannot_shrink_is_refused():
    with pytest.raises(ValueError, match="no hole of numbers that could shrink"):
        NetAdapt(Problem(table()[0]))
    with pytest.raises(ValueError, match="'word' is no hole of numbers"):
        NetAdapt(toy(1.0), holes=("a", "word"))
    with pytest.raises(ValueError, match="no cost of 'toy' is known"):
        NetAdapt(Problem(Space("toy", decisions({"a": SIZES}), (1,), costs=lambda arch: {})))
    with pytest.raises(ValueError, match="share of the seed's cost"):
        NetAdapt(toy(1.0), step=0)
    with pytest.raises(ValueError, match="one objective"):
        NetAdapt(Problem(toy().space, (maximise("accuracy"), minimise("time"))))


# on networks


def small_mobile():
    return mobile((1, 16, 16), 10, widths=(8, 16, 24), depths=(1, 2), kernels=(3, 5), head=32)


def test_on_a_mobile_space_the_macs_fall_to_the_target():
    problem = Problem(small_mobile())
    whole = problem.screen(largest(problem, lambda a: problem.screen(a).metrics["macs"])).metrics["macs"]
    drawn = [problem.screen(problem.space.sample(np.random.default_rng(n))).metrics["macs"] for n in range(50)]
    assert whole > max(drawn)
    strategy = NetAdapt(Problem(problem.space, constraints=(at_most("macs", whole / 4),)), step=0.1)
    trials = adapted(strategy, lambda arch: float(np.log(problem.screen(arch).metrics["params"])))
    assert problem.screen(strategy.accepted[-1].arch).metrics["macs"] <= whole / 4
    assert all(problem.space.member(t.arch) for t in trials)
    falls = [t.proposal.note["cost"] for t in strategy.accepted]
    assert all(a - b >= 0.1 * whole for a, b in pairwise(falls[:5]))


def test_a_shrunk_network_inherits_the_leading_part_of_every_tensor():
    space = small_mobile()
    big = largest(Problem(space), lambda a: 0.0)
    less = {**big.labels, "stage2.width": 8, "stage3.block1.expand": 2}
    one, other = build(space.network(big), space.input), build(space.network(space.read(less)), space.input)
    larger = {name: torch.randn_like(t) if t.is_floating_point() else t + 7 for name, t in one.state_dict().items()}
    inherit(other, larger)
    smaller = 0
    for name, tensor in other.state_dict().items():
        have = larger[name]
        assert torch.equal(tensor, have[tuple(slice(n) for n in tensor.shape)])
        smaller += prod(tensor.shape) < prod(have.shape)
    assert smaller > 10


def test_what_the_larger_network_has_nothing_for_keeps_its_first_weights():
    one, other = torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(4, 4))
    before = {name: t.clone() for name, t in other.state_dict().items()}
    inherit(other, {f"0.{name}": t for name, t in one.state_dict().items()})
    assert all(torch.equal(t, before[name]) for name, t in other.state_dict().items())


def test_a_network_narrowed_throughout_comes_near_to_the_macs():
    space = mobile((1, 16, 16), 10, widths=(64, 96), depths=(1,), squeezes=(0,))
    network = space.network(space.sample(np.random.default_rng(0)))
    whole = profile(network, space.input).total.macs
    near = profile(narrowed(network, space.input, whole / 2), space.input).total.macs
    assert near == pytest.approx(whole / 2, rel=0.1)


def test_the_experiment_searches_adapts_and_compares(monkeypatch, tmp_path):
    monkeypatch.setattr(experiment, "make_executor", lambda *args, **more: Here())
    monkeypatch.setitem(mobilenetv3.SPACE, "widths", (8, 16))
    monkeypatch.setitem(mobilenetv3.SPACE, "depths", (1,))
    Here.names = []
    tiny = {"data": "digits", "side": 0, "images": 64, "epochs": 1, "alone": 1, "trials": 2, "seeds": 1}
    config = mobilenetv3.Config(**tiny, macs=1e6, share=0.9, step=0.05)

    def ran():
        run = Experiment.open("mobilenetv3", config, tmp_path / "m", executor="local", workers=1, screen=Silent())
        try:
            return mobilenetv3.main(run, config)
        finally:
            run.close()

    said = ran()
    macs = [step["macs"] for step in said["rounds"]]
    assert macs[-1] <= 0.9 * macs[0] < macs[-2]
    assert {"found", "adapted", "narrowed", "random"} < set(said)
    assert said["adapted"]["macs"] == macs[-1]
    assert said["random"]["macs"] <= 0.9 * macs[0]
    before = len(Here.names)
    assert ran() == said
    assert len(Here.names) == before  # a second start does nothing twice
