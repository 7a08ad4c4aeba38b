"""Evolution in generations: the published numbers, who breeds, and what a generation waits for."""

from dataclasses import replace

import numpy as np
import pytest

from nas.problem import Problem, State, Trial, at_most, minimise
from nas.space import Space
from nas.strategies import Generations
from nas.strategies.generations import redrawn
from nas.testing.strategies import _Step, table
from nas.tree import Chain, Choice
from search_spaces import mobile

SMALL = {"first": 8, "size": 8, "parents": 3, "mutations": 4, "crossovers": 3, "probability": 0.3}


def long_space(choices=20, options=4):
    steps = {f"o{k}": _Step(f"step{k}") for k in range(options)}
    return Space("long", Chain.seq(*(Choice.over(f"c{n}", **steps) for n in range(choices))), (1,))


def worth(arch):
    return sum(int(label[1:]) for _, label in arch.choices) / 100


def played(strategy, count, value=worth):
    trials = []
    for number in range(1, count + 1):
        proposal = strategy.ask(np.random.default_rng((1, number)))
        if proposal is None:
            break
        trials.append(Trial(number, proposal, State.DONE, {"accuracy": value(proposal.arch)}))
        strategy.tell(trials[-1])
    return trials


def kinds(trials):
    made = [t.proposal.note.get("by", "random") for t in trials]
    return {by: made.count(by) for by in dict.fromkeys(made)}


def test_spos_rates_1000_networks_in_20_rounds_of_50():
    trials = played(Generations.spos(Problem(long_space())), 2000)
    assert len(trials) == 1000
    assert kinds(trials[:50]) == {"random": 50}
    rounds = [kinds(trials[start : start + 50]) for start in range(50, 1000, 50)]
    assert rounds[:4] == [{"mutated": 25, "crossed": 25}] * 4
    assert all(found.get(by, 0) <= 25 for found in rounds for by in ("mutated", "crossed"))
    assert any("random" in found for found in rounds)  # ten parents that are nearly alike have few new children
    assert len({t.arch for t in trials}) == 1000


@pytest.mark.parametrize(
    ("preset", "first", "later"),
    [("vit_resnas", 500, {"mutated": 75, "crossed": 75}), ("ofa", 100, {"mutated": 50, "crossed": 50})],
)
def test_the_other_published_numbers_are_presets(preset, first, later):
    size = sum(later.values())
    trials = played(getattr(Generations, preset)(Problem(long_space())), first + 2 * size)
    assert kinds(trials[:first]) == {"random": first}
    assert kinds(trials[first : first + size]) == kinds(trials[first + size :]) == later


def test_only_the_best_of_all_history_breed():
    trials = played(Generations(Problem(long_space())), 400)
    for start in range(50, 400, 50):
        best = sorted(trials[:start], key=lambda t: (-t.metrics["accuracy"], t.id))[:10]
        bred = {k for t in trials[start : start + 50] for k in t.proposal.note.get("of", [])}
        assert bred <= {t.id for t in best}
        assert len(bred) >= 8  # 75 draws of 10 leave more than two out with probability 1e-7


def test_a_child_has_its_parents_labels_and_a_mutation_few_others():
    trials = played(Generations(Problem(long_space())), 150)
    known = {t.id: t.arch for t in trials}
    for t in trials:
        parents = [known[k] for k in t.proposal.note.get("of", [])]
        if t.proposal.note.get("by") == "crossed":
            assert all(label in {p[name] for p in parents} for name, label in t.arch.choices)
        if t.proposal.note.get("by") == "mutated":
            assert t.arch != parents[0]
            assert sum(label != parents[0][name] for name, label in t.arch.choices) <= 8


def test_a_mutation_draws_each_choice_anew_with_its_probability():
    space, rng = long_space(), np.random.default_rng(0)
    arch = space.sample(rng)
    changed = [sum(a != b for a, b in zip(redrawn(space, arch, 0.1, rng).choices, arch.choices, strict=True))
               for _ in range(2000)]  # fmt: skip
    assert abs(np.mean(changed) - 20 * 0.1 * 3 / 4) < 0.1  # 4 standard errors; a quarter of the draws change nothing
    assert redrawn(space, arch, 1e-12, rng) == arch


def test_a_generation_waits_for_all_its_results_and_asking_meanwhile_changes_nothing():
    problem = Problem(long_space())
    one, two = Generations(problem, **SMALL), Generations(problem, **SMALL)
    for strategy, nagging in ((one, True), (two, False)):
        asked = [Trial(n, strategy.ask(np.random.default_rng(n)), State.DONE) for n in range(1, 9)]
        for trial in reversed(asked):
            if nagging:
                assert strategy.ask(np.random.default_rng(99)) is None
            strategy.tell(replace(trial, metrics={"accuracy": worth(trial.arch)}))
    assert one.ask(np.random.default_rng(7)) == two.ask(np.random.default_rng(7))


def test_failures_and_repeats_end_a_generation_and_never_breed():
    strategy = Generations(Problem(long_space()), **SMALL)
    states = [State.FAILED, State.INFEASIBLE, State.REPEAT, State.DONE]
    for n in range(1, 9):
        proposal, state = strategy.ask(np.random.default_rng(n)), states[n % 4]
        rated = state in (State.REPEAT, State.DONE)
        strategy.tell(Trial(n, proposal, state, {"accuracy": 0.5} if rated else {}))
    bred = [strategy.ask(np.random.default_rng(n)).note["of"] for n in range(9, 16)]
    assert {k for pair in bred for k in pair} <= {3, 7}


def test_every_proposal_keeps_the_limits_and_those_that_break_them_breed_last():
    space = mobile(input=(1, 8, 8), classes=3, widths=(8, 8), depths=(1, 2))
    free = Problem(space)
    costs = [free.screen(space.sample(np.random.default_rng(n))).metrics["macs"] for n in range(60)]
    problem = Problem(space, constraints=(at_most("macs", float(np.quantile(costs, 0.2))), at_most("latency_s", 1.0)))
    strategy = Generations(problem, **SMALL)
    for n in range(1, 41):
        proposal = strategy.ask(np.random.default_rng(n))
        assert not problem.screen(proposal.arch).broken
        assert not {k for k in proposal.note.get("of", []) if k % 2}
        # odd ones are the more accurate ones and too slow
        told = {"accuracy": n % 2 + n / 100, "latency_s": 1.0 + n % 2}
        strategy.tell(Trial(n, proposal, State.DONE, told))


def test_an_exhausted_space_ends_in_random_members_not_in_a_loop():
    space = long_space(choices=2, options=3)
    trials = played(Generations(Problem(space), **SMALL), 60)
    assert len(trials) == 60
    assert {t.arch for t in trials} == set(space)


def test_it_finds_more_than_random_search_with_as_many_trials():
    space = long_space()
    rng = np.random.default_rng(0)
    random = max(worth(space.sample(rng)) for _ in range(300))
    assert max(t.metrics["accuracy"] for t in played(Generations(Problem(space)), 300)) > random + 0.05


@pytest.mark.parametrize(
    "numbers", [{"size": 40}, {"first": 0}, {"parents": 0}, {"mutations": -1}, {"probability": 0.0}, {"rounds": -1}]
)
def test_numbers_that_make_no_generation_are_refused(numbers):
    with pytest.raises(ValueError, match=r"generation|probability"):
        Generations(Problem(table()[0]), **numbers)


def test_several_objectives_are_refused():
    problem = Problem(table()[0])
    with pytest.raises(ValueError, match="NSGA2"):
        Generations(replace(problem, objectives=(*problem.objectives, minimise("macs"))))
