"""BossNAS: blocks of a space, ensemble bootstrapping, the population's centre, and the exact choice by sums."""

import json
import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from torch import nn

from nas.data import Data
from nas.errors import UserError
from nas.evaluators.summed import Summed
from nas.problem import Problem, Proposal, at_most
from nas.roles import Infeasible
from nas.space import Space
from nas.testing.sharing import sharing_laws
from nas.training import Recipe
from nas.training.blocks import Blockwise, Scores, blocks, rating
from nas.training.blocks.bootstrap import Learner, Neck, byol, centre, momentum
from nas.training.blocks.lars import Lars
from nas.training.blocks.split import fair, few, merged, paths
from nas.training.carry import carry
from nas.weights import Supernet
from search_spaces import dna, hytra, nats_size
from tests.trainings import CPU, INFO, TRAIN, VALIDATION, Stop, silent, stop_after

DATA = Data(INFO, TRAIN, VALIDATION)
SPACE = dna((1, 8, 8), 3, channels=(4, 6), layers=(2, 1), strides=(1, 2), expands=(2,), stem=4, first=4, last=8, head=8)
ENDS = ("stage1", "stage2")
FABRIC = hytra((1, 8, 8), 3, channels=(4, 8), scales=(2, 2), layers=2, attention=1, head_dim=2, stem=4)
TIED = ("layer2", "layer4")
METHOD = Blockwise(ENDS, hidden=8, size=4, images=20, calibration=32)
RECIPE = Recipe(epochs=4, batch_size=32, precision="fp32")


def begun(space=SPACE, method=METHOD, recipe=RECIPE):
    return method.begin(Problem(space), DATA, TRAIN, recipe, seed=3, device=CPU)


def learner(single=False, lars=False):
    block = blocks(SPACE, ENDS)[0]
    return Learner(
        block, paths(block), RECIPE, hidden=8, size=4, first=0.9, single=single, lars=lars, steps=4, seed=0, device=CPU
    )


def rows(space, ends, keep=1.0):
    """Made-up scores of a share of the paths of each block, whatever stands before it."""
    rng, bare = np.random.default_rng(0), [Space(space.name, b.root, space.input) for b in every(space, ends)[0]]
    return [[(arch, float(rng.random())) for arch in paths(block) if rng.random() < keep] for block in bare]


def every(space, ends, take=0):
    """All blocks, and in each the first or last path that fits those before it."""
    best = []
    for k in range(len(ends)):
        found = blocks(space, ends, best)
        best.append(paths(found[k], list(zip(found, best, strict=False)))[take])
    return found, best


def test_the_centre_is_the_mean_of_normalised_projections():
    made = centre([torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]])])
    assert torch.allclose(made, torch.tensor([[0.3, 0.9]]))


def test_the_loss_is_the_squared_distance_of_two_directions():
    a, b = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([[1.0, -2.0, 0.5]] * 5)
    apart = (a / a.norm(dim=1, keepdim=True) - b / b.norm(dim=1, keepdim=True)).square().sum(1)
    assert torch.allclose(byol(a, b), apart, atol=1e-6)


def test_the_targets_momentum_rises_from_099_to_1_along_half_a_cosine():
    course = [momentum(step, 100) for step in range(101)]
    assert course[0] == pytest.approx(0.99)
    assert course[50] == pytest.approx(0.995)
    assert course[25] == pytest.approx(1 - 0.01 * (math.sqrt(0.5) + 1) / 2)
    assert course[100] == 1
    assert course == sorted(course)


def test_a_score_is_the_loss_to_the_populations_centre_in_both_orders():
    """Three paths that each turn all images to one direction, of lengths that must not matter."""
    turns = {"x": (3.0, 0.0), "y": (0.0, 1.0), "z": (0.0, 7.0)}

    class Fixed(nn.Module):
        neck = nn.Identity()
        block = property(lambda self: self)
        calibrated = staticmethod(lambda arch, seen: {})

        def forward(self, x, arch, statistics):
            return torch.tensor([turns[arch]]).expand(len(x), 2)

    images = [(torch.zeros(2, 1), torch.zeros(2, 1)), (torch.zeros(3, 1), torch.zeros(3, 1))]
    found = rating.rate(Fixed(), nn.Identity(), Fixed(), list(turns), [torch.zeros(4, 1)], images)
    middle = np.array([1.0, 2.0]) / 3  # of the directions (1, 0), (0, 1), (0, 1)
    cosines = [middle[k] / np.linalg.norm(middle) for k in (0, 1, 1)]
    assert found == pytest.approx([4 - 4 * cosine for cosine in cosines], abs=1e-6)


def test_lars_is_its_formula_and_plain_descent_for_what_does_not_adapt():
    weight, bias = torch.tensor([[3.0, 4.0]], requires_grad=True), torch.tensor([2.0], requires_grad=True)
    groups = [{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "adapts": False}]
    lars = Lars(groups, lr=2.0, momentum=0.5, trust=0.01)
    w, v, b, u = np.array([3.0, 4.0]), np.zeros(2), 2.0, 0.0
    for slope in (np.array([0.6, 0.8]), np.array([-1.0, 0.0])):
        weight.grad, bias.grad = torch.tensor(slope[None], dtype=torch.float32), torch.tensor([0.5])
        lars.step()
        own = 0.01 * np.linalg.norm(w) / (np.linalg.norm(slope) + 0.1 * np.linalg.norm(w))
        v = 0.5 * v + 2.0 * own * (slope + 0.1 * w)
        u = 0.5 * u + 2.0 * 0.5
        w, b = w - v, b - u
        assert np.allclose(weight.detach().numpy()[0], w, atol=1e-6)
        assert bias.item() == pytest.approx(b)


def test_blocks_have_the_keys_and_choices_of_the_whole():
    (found, _), whole = every(SPACE, ENDS), Supernet(SPACE)
    assert [name for block in found for name in block.choices] == list(SPACE.choices)
    assert found[1].input == (4, 4, 4)
    keys = {key for block in found for key, _ in Supernet(block).shared.named_parameters()}
    assert keys == {k for k, _ in whole.shared.named_parameters() if not k.startswith(("last", "head", "classifier"))}


def test_what_the_blocks_decide_together_is_a_member_of_the_whole():
    for space, ends in ((SPACE, ENDS), (FABRIC, TIED)):
        found, best = every(space, ends, -1)
        arch = merged(space, best)
        assert space.member(arch)
        assert set(arch.labels) <= set(space.choices)
        assert all(block.network(arch) == block.network(one) for block, one in zip(found, best, strict=True))


def test_a_fair_set_has_each_option_once_a_layer():
    block, rng = blocks(dna((1, 8, 8), 3), ("stage1", "stage2"), ())[0], np.random.default_rng(1)
    for _ in range(5):
        some = fair(block, rng)
        assert len(some) == 4
        for name, choice in block.choices.items():
            assert sorted(arch[name] for arch in some) == sorted(choice.labels)


def test_the_first_block_of_the_fabric_has_the_released_paths_that_lead_on():
    """51 are listed; 24 of them end at the coarsest scale, which the next block's first layer cannot follow."""
    ops = (1, 1, 2, 2)
    walks = [w for w in product((0, 1), *[range(4)] * 3) if all(b - a in (0, 1) for a, b in pairwise(w))]
    listed = {end: sum(math.prod(ops[s] for s in w) for w in walks if w[-1] == end) for end in range(4)}
    assert sum(listed.values()) == 51
    assert len(paths(blocks(hytra(), ("layer4", "layer8"))[0])) == 51 - listed[3] == 27


def test_the_paths_of_a_later_block_follow_the_ones_that_were_chosen():
    first = blocks(FABRIC, TIED)[0]
    for chosen in paths(first):
        after = blocks(FABRIC, TIED, [chosen])[1]
        for arch in paths(after, [(first, chosen)]):
            whole = merged(FABRIC, [chosen, arch])
            assert first.network(whole) == first.network(chosen)


def test_blocks_that_cannot_be_are_refused_in_one_line():
    wide = dna((1, 8, 8), 3, channels=(4,), layers=(9,), strides=(1,))
    for call, said in (
        (lambda: blocks(replace(SPACE, root=SPACE.root.items[0]), ENDS), "cut from a chain .* the root is a Conv"),
        (lambda: blocks(SPACE, ("stage3",)), "no block can end with 'stage3'; the items are stem, first, stage1"),
        (lambda: blocks(SPACE, ("stage2", "stage1")), "the block that ends with 'stage1' is empty"),
        (lambda: few(blocks(wide, ("stage1",))[0]), "262,144 paths, at most 100,000"),
        (lambda: begun(FABRIC, replace(METHOD, ends=TIED)), "no fair set of paths"),
        (lambda: begun(recipe=replace(RECIPE, epochs=3)), "3 epochs cannot be shared out among 2 blocks"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_paths_learn_from_the_mean_of_the_steps_targets_or_from_their_own():
    views = [(torch.randn(8, 1, 8, 8), torch.randn(8, 1, 8, 8)) for _ in range(2)]
    for single in (False, True):
        one = learner(single)
        archs = fair(one.space, np.random.default_rng(0))
        made = [
            [nn.functional.normalize(one.target(x, arch), dim=1) for x in pair]
            for pair, arch in zip(views, archs, strict=True)
        ]
        goals = one.goals(views, archs)
        for k, goal in enumerate(goals):
            for v in (0, 1):
                wanted = made[k][v] if single else (made[0][v] + made[1][v]) / 2
                assert torch.allclose(goal[v], wanted, atol=1e-6)


@pytest.mark.parametrize("lars", [False, True])
def test_the_target_follows_the_online_network_slowly(lars):
    one, views = learner(lars=lars), [(torch.randn(8, 1, 8, 8), torch.randn(8, 1, 8, 8)) for _ in range(2)]
    before = [p.clone() for p in one.target.parameters()]
    one.step(views, fair(one.space, np.random.default_rng(0)), 2)
    keep, moved = momentum(2, 4, 0.9), 0.0
    for old, new, online in zip(before, one.target.parameters(), one.online.parameters(), strict=True):
        assert torch.allclose(new, keep * old + (1 - keep) * online, atol=1e-6)
        moved += float((new - old).abs().sum())
    assert moved > 0


def test_a_neck_takes_paths_of_different_shapes():
    neck = Neck([(4, 8, 6), (8, 4, 3), (4, 8, 6)], 5, 3)
    assert list(neck.fits) == ["4x8x6"]
    assert neck(torch.randn(4, 4, 8, 6)).shape == neck(torch.randn(4, 8, 4, 3)).shape == (4, 3)


def test_later_blocks_leave_earlier_ones_as_they_are_and_a_killed_training_goes_on_exactly(tmp_path):
    whole, half = tmp_path / "whole", tmp_path / "half"
    session, kept = begun(), []

    def watch(epoch, metrics):
        assert math.isfinite(metrics["train_loss"])
        done = session.done[0] if session.done else None
        held = {**done.supernet.state_dict(), **done.statistics} if done else {}
        kept.append({name: value.clone() for name, value in held.items()})

    carry(session, seed=3, device=CPU, folder=whole, report=watch)
    assert not kept[0]
    assert all(kept[1].keys() == later.keys() for later in kept[2:])
    assert all(torch.equal(kept[1][name], later[name]) for later in kept[2:] for name in later)
    for last in (1, 3):  # both in the middle of a block
        with pytest.raises(Stop):
            carry(begun(), seed=3, device=CPU, folder=half, report=stop_after(last))
    carry(begun(), seed=3, device=CPU, folder=half, report=silent)
    files = sorted(file.name for file in whole.iterdir())
    assert files == ["block1.safetensors", "block2.safetensors", "blocks.json"]
    assert all((whole / name).read_bytes() == (half / name).read_bytes() for name in files)
    said = json.loads((whole / "blocks.json").read_text())
    assert SPACE.member(SPACE.read(said["best"]))
    assert [len(block["paths"]) for block in said["blocks"]] == [4, 2]
    assert Scores.read(SPACE, whole).best()[0] == SPACE.read(said["best"])


def test_a_fabric_is_rated_behind_what_was_chosen(tmp_path):
    method = replace(METHOD, ends=TIED, pairs=2, population=3, single=True)
    session = begun(FABRIC, method, replace(RECIPE, epochs=2))
    carry(session, seed=0, device=CPU, folder=tmp_path, report=silent)
    assert session.done[1].space.input == tuple(session.done[0](torch.zeros(2, 1, 8, 8)).shape[1:])
    scores = Scores.read(FABRIC, tmp_path)
    rated = replace(FABRIC, accepts=scores.covers)
    assert 0 < rated.size < FABRIC.size
    assert {scores(arch) for arch in rated} >= {scores.best()[1]}
    with pytest.raises(UserError, match="is of the space hytra"):
        Scores.read(hytra((1, 8, 8), 3), tmp_path)
    with pytest.raises(UserError, match="no scores of blocks"):
        Scores.read(FABRIC, tmp_path / "nowhere")


@pytest.mark.parametrize(("space", "ends", "keep"), [(SPACE, ENDS, 1.0), (FABRIC, TIED, 0.8)], ids=["dna", "hytra"])
def test_the_least_sum_under_a_limit_is_that_of_brute_force(space, ends, keep):
    scores, problem = Scores.of(space, ends, rows(space, ends, keep)), Problem(space)
    known = {}
    for arch in space:
        if scores.covers(space.network(arch)):
            known[arch] = (scores(arch), problem.screen(arch).metrics["macs"])
    limits = sorted({macs for _, macs in known.values()})
    for limit in (*limits[:: max(1, len(limits) // 4)], math.inf):
        least = min(score for score, macs in known.values() if macs <= limit)
        arch, score = scores.best([at_most("macs", limit)])
        assert score == pytest.approx(least)
        assert known[arch] == (score, problem.screen(arch).metrics["macs"])
        assert known[arch][1] <= limit
    with pytest.raises(UserError, match="no network whose blocks were all rated keeps macs <= 10"):
        scores.best([at_most("macs", 10)])
    with pytest.raises(UserError, match="latency_s is no sum over layers"):
        scores.best([at_most("latency_s", 10)])


def test_an_evaluator_gives_minus_the_sum_and_refuses_what_was_not_rated(tmp_path):
    half = [some[1:] for some in rows(SPACE, ENDS)]
    rate, seen = Summed(SPACE, tmp_path), set()
    rate.kept["scores"] = Scores.of(SPACE, ENDS, half)
    for arch in SPACE:
        parts = [next((s for a, s in some if set(a.choices) <= set(arch.choices)), None) for some in half]
        seen.add(None in parts)
        if None in parts:
            with pytest.raises(Infeasible, match="was not rated"):
                rate(Proposal(arch), None)
        else:
            assert rate(Proposal(arch), None) == {"score": pytest.approx(-sum(parts))}
    assert seen == {True, False}


def test_the_size_space_shares_where_its_skips_always_project():
    assert nats_size().shares
    assert nats_size(project=True).size == nats_size().size == 8**5
    space = nats_size((1, 8, 5), 3, channels=(2, 4), project=True)
    assert not space.shares
    for law in sharing_laws().values():
        law(space)
    arch = nats_size().parse("8:8:8:8:8")
    plain, projected = (Problem(nats_size(project=p)).screen(arch).metrics["params"] for p in (False, True))
    assert plain == 11_714
    assert projected - plain == 3 * (8 * 8 + 2 * 8)
