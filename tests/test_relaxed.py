"""Relaxed networks: weighed sums of all options, and which spaces have them."""

import pytest
import torch

import nas
from nas.testing import space_laws
from nas.tree import Dag, Take, TrainHead, Zero
from nas.weights import Supernet, mixes, one_hot
from nas.weights.relaxed import unmixed
from search_spaces import SPACES, nasbench201
from search_spaces.ops import Classifier, Conv, ConvNormAct, ReluConvNorm
from tests.tiny import drawn, over, small, space, wired

RELAXING = {
    "dartopti",
    "darts",
    "ddarts",
    "dna",
    "fbnet",
    "nasbench201",
    "nasbench_macro",
    "pnasnet",
    "scaled",
    "shufflenet",
}
RELAXED = "7 relaxed, one-hot weights are the discrete network"


def test_relaxed_is_the_weighed_sum_of_its_options():
    """On linear layers, where a sum of outputs can be had from the discrete networks."""
    options = nas.Choice.over("op", a=Conv(3), b=Conv(3, 1), none=Zero(), skip=nas.Identity())
    some = space(Conv(3), options, head=False, shape=(2, 4, 4))
    net, x = Supernet(some), torch.randn(2, 2, 4, 4)
    mix = torch.tensor([0.5, 2.0, 7.0, -1.0], requires_grad=True)
    out = net.relaxed(x, {"op": mix})
    alone = torch.stack([net(x, arch) for arch in some])
    assert mixes(some) == {"op": 4}
    assert torch.allclose(out, torch.einsum("o,obchw->bchw", mix, alone), atol=1e-5)
    out.sum().backward()
    assert torch.allclose(mix.grad, alone.sum((1, 2, 3, 4)), atol=1e-4)
    assert all(p.grad is not None for p in net.parameters())


def test_each_kept_item_has_a_weight_of_its_own():
    sets = nas.Sum.of(nas.Choice.sets("sets", ("a", "b", "c"), 2), a=Conv(3), b=Conv(3, 1), c=nas.Identity())
    each = nas.Sum(("p", "q"), (Conv(3, 1), nas.Identity()), (over("p", 0, 1), None))
    some = space(Conv(3), sets, each, head=False, shape=(2, 4, 4))
    assert mixes(some) == {"sets": 3, "p": 2}
    space_laws()[RELAXED](some)
    net, x = Supernet(some).double(), torch.randn(2, 2, 4, 4, dtype=torch.float64)
    one = {"p": torch.tensor([0.0, 1.0])}
    whole = net.relaxed(x, {"sets": torch.ones(3), **one})
    parts = sum(net.relaxed(x, {"sets": row, **one}) for row in torch.eye(3))
    assert torch.allclose(whole, parts)


def test_relaxed_runs_what_every_step_may_read():
    some = wired()
    op = nas.Choice.over("op", sep=ReluConvNorm(4, 3), none=Zero(), skip=nas.Identity())
    read = nas.Choice("from", (Take(0, op), Take(1, op)), ("0", "1"))
    cell = Dag.of(output="all", one=Take(0, op), two=nas.Sum.of(a=read, b=Take(1, op)))
    space_laws()[RELAXED](space(ConvNormAct(4), cell, Conv(4, 1), cell, TrainHead(Classifier(2))))
    with pytest.raises(nas.UserError, match="'kernel' is no choice of nodes"):
        Supernet(some).relaxed(torch.randn(2, 2, 3, 3), {})


def test_relaxed_statistics_are_written_into_what_is_given():
    some = nasbench201((1, 8, 8), 2, 1, 4)
    net, mix = Supernet(some), one_hot(some, drawn(some, 1)[0])
    given = net.mixed_statistics()
    net.relaxed(torch.randn(4, 1, 8, 8), mix, given)
    assert any(v.any() for k, v in given.items() if "running_mean" in k)
    assert not any("weights" in k for k in given)


def test_a_space_that_cannot_be_relaxed_says_why():
    with pytest.raises(nas.UserError, match="cannot be relaxed: widths"):
        Supernet(small).relaxed(torch.randn(2, 1, 8, 8), {})
    net, x = Supernet(space(nas.Choice.over("op", a=Conv(2), b=Conv(2)))), torch.randn(2, 2, 6, 6)
    with pytest.raises(KeyError, match="does not say how choice 'op' is weighed"):
        net.relaxed(x, {})
    with pytest.raises(ValueError, match=r"choice 'op' needs a mix of shape \(2,\), got \(3,\)"):
        net.relaxed(x, {"op": torch.ones(3)})


def test_the_spaces_that_relax_are_these():
    assert {name for name, make in SPACES.items() if not make().relaxes} == RELAXING
    assert not any(unmixed(SPACES[name]()) for name in RELAXING)
