"""Screened: what passes, what the strategy inside is told, and what it finds."""

import numpy as np
import pytest

from nas.problem import Problem, Proposal, State, Trial, maximise, minimise
from nas.strategies import NSGA2, Evolution, Generations, Random
from nas.strategies.screened import Screened
from nas.testing import strategy_laws
from nas.testing.strategies import best_of_seeds, play, table
from predictors.gp import GP
from predictors.ridge import Ridge
from tests.test_bananas import Counted

MAKERS = {
    "evolution": lambda p: Screened(p, Evolution(p), GP),
    "generations": lambda p: Screened(p, Generations(p), Ridge),
    "nsga2": lambda p: Screened(p, NSGA2(p), Ridge, candidates=8, every=10),
}


class Heard:
    """A strategy that proposes what it is given, and keeps what it is told."""

    def __init__(self, proposals):
        self.proposals, self.told = list(proposals), []

    def ask(self, rng):
        return self.proposals.pop(0) if self.proposals else None

    def tell(self, trial):
        self.told.append(trial)


def screened(inside, value, **numbers):
    space, _ = table()
    model = Counted(value)
    return Screened(Problem(space), inside, lambda: model, **{"first": 4, "candidates": 5, **numbers}), model


def rated(strategy, archs, value):
    for number, arch in enumerate(archs, 1):
        strategy.tell(Trial(number, Proposal(arch), State.DONE, {"accuracy": value(arch)}))


@pytest.mark.parametrize("law", list(strategy_laws()))
@pytest.mark.parametrize("name", list(MAKERS))
def test_every_screened_strategy_keeps_every_law(name, law):
    strategy_laws()[law](MAKERS[name])


def test_screening_finds_more_than_the_strategy_alone():
    for inside in (Random, Evolution):
        alone = best_of_seeds(inside, asks=40, seeds=9)
        assert best_of_seeds(lambda p, i=inside: Screened(p, i(p), Ridge), asks=40, seeds=9) > alone


def test_a_strategy_that_waits_for_a_generation_goes_on():
    space, value = table()
    trials = play(lambda p: Screened(p, NSGA2(p, population=8), Ridge), Problem(space), value, asks=80, seed=0)
    assert len(trials) == 80


def test_the_best_of_the_candidates_passes_and_the_others_are_told_infeasible():
    space, value = table()
    archs = list(space)
    inside = Heard(Proposal(a, note={"n": k}) for k, a in enumerate(archs[50:55]))
    strategy, model = screened(inside, value)
    rated(strategy, archs[:4], value)
    best = max(archs[50:55], key=value)
    proposal = strategy.ask(np.random.default_rng(0))
    assert proposal.arch == best
    assert proposal.note == {"n": archs[50:55].index(best)}
    dropped = inside.told[4:]
    assert {t.arch for t in dropped} == set(archs[50:55]) - {best}
    assert {t.state for t in dropped} == {State.INFEASIBLE}
    assert [t.id for t in dropped] == [-1, -2, -3, -4]
    assert len(model.fits) == 1


def test_before_enough_is_known_everything_passes():
    space, value = table()
    archs = list(space)
    inside = Heard(map(Proposal, archs[20:30]))
    strategy, model = screened(inside, value)
    rated(strategy, archs[:3], value)
    assert [strategy.ask(np.random.default_rng(0)).arch for _ in range(3)] == archs[20:23]
    assert not model.fits


def test_a_candidate_that_was_asked_for_is_passed_over():
    space, value = table()
    archs = sorted(space, key=value)
    inside = Heard(map(Proposal, (archs[-1], archs[3], archs[-1], archs[4])))
    strategy, _ = screened(inside, value, candidates=2)
    rated(strategy, archs[5:9], value)
    assert strategy.ask(np.random.default_rng(0)).arch == archs[-1]
    assert strategy.ask(np.random.default_rng(0)).arch == archs[4]


def test_a_promotion_passes_at_once():
    space, value = table()
    archs = list(space)
    promoted = Proposal(archs[2], budget=9, parent=3)
    inside = Heard([Proposal(archs[40]), promoted, Proposal(archs[41])])
    strategy, _ = screened(inside, value)
    rated(strategy, archs[:4], value)
    assert strategy.ask(np.random.default_rng(0)) == promoted
    assert [t.arch for t in inside.told[4:]] == [archs[40]]


def test_nothing_to_propose_changes_nothing():
    space, value = table()
    inside = Heard([])
    strategy, model = screened(inside, value)
    assert strategy.ask(np.random.default_rng(0)) is None
    rated(strategy, list(space)[:5], value)
    assert strategy.ask(np.random.default_rng(0)) is None
    assert len(inside.told) == 5
    assert not model.fits


def test_the_predictor_learns_anew_after_every_so_many():
    space, value = table()
    strategy, model = screened(Random(Problem(space)), value, first=4, every=3)
    for number, arch in enumerate(list(space)[:12], 1):
        strategy.tell(Trial(number, Proposal(arch), State.DONE, {"accuracy": value(arch)}))
        strategy.ask(np.random.default_rng(number))
    assert [len(known) for known in model.fits] == [4, 7, 10]


def test_what_it_cannot_do_is_refused():
    space, _ = table()
    two = Problem(space, (maximise("accuracy"), minimise("cost")))
    with pytest.raises(ValueError, match="one objective"):
        Screened(two, NSGA2(two), Ridge)
    with pytest.raises(ValueError, match="3 or more"):
        Screened(Problem(space), Random(Problem(space)), Ridge, first=2)
