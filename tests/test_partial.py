"""Partial channels: one K-th goes through a relaxed choice, the rest round it, shuffled."""

import pytest
import torch
from torch.nn import functional

import nas
from nas.tree import Dag, Take, Zero
from nas.weights import Supernet, mixes
from search_spaces import darts, fbnet
from search_spaces.darts import SEVEN
from search_spaces.ops import AvgPool, Conv, ReluConvNorm
from tests.tiny import drawn, over, space


def one(stride):
    none = nas.Chain.seq(AvgPool(1, stride), Zero())
    ops = nas.Choice.over("op", a=Conv(8, 1, stride), b=Conv(8, 3, stride), pool=AvgPool(3, stride), none=none)
    return space(Conv(8), ops, head=False, shape=(2, 5, 6))


def shuffled(x, share):
    """By the rule, channel by channel: the i-th of group g goes to place i * share + g."""
    each = x.shape[1] // share
    return torch.stack([x[:, (k % share) * each + k // share] for k in range(x.shape[1])], 1)


@pytest.mark.parametrize("share", [2, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_one_part_of_the_channels_is_mixed_and_the_others_go_round(stride, share):
    some, x, few = one(stride), torch.randn(3, 2, 5, 6), 8 // share
    net, mix = Supernet(some, partial=share), torch.tensor([0.5, 2.0, -1.0, 7.0], requires_grad=True)
    held = dict(net.shared.named_parameters())
    a, b = (next(t for key, t in held.items() if f".{name}." in key) for name in "ab")
    assert (a.shape, b.shape) == ((few, few, 1, 1), (few, few, 3, 3))
    stem = functional.conv2d(x, held["0.weight"], padding=1)
    lead, rest = stem[:, :few], stem[:, few:]
    made = 0.5 * functional.conv2d(lead, a, stride=stride) + 2 * functional.conv2d(lead, b, stride=stride, padding=1)
    made = made - functional.avg_pool2d(lead, 3, stride, 1, count_include_pad=False)
    whole = torch.cat((made, rest if stride == 1 else functional.max_pool2d(rest, 2, ceil_mode=True)), 1)
    out = net.relaxed(x, {"op": mix})
    assert torch.allclose(out, shuffled(whole, share), atol=1e-5)
    out.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    assert mix.grad[:3].ne(0).all()


def test_the_edges_of_darts_are_as_narrow_as_in_pc_darts():
    some = darts((3, 8, 8), layers=3, operations=("none", *SEVEN))
    net = Supernet(some, affine=False, norm_after_pool=True, partial=4)
    whole = dict(Supernet(some, affine=False, norm_after_pool=True).shared.named_parameters())
    on_edges = {key: tensor for key, tensor in net.shared.named_parameters() if ".from" in key}
    for key, tensor in on_edges.items():
        wide = whole[key.replace(".mixed.", ".")]
        ratio = (4, 1) if "depthwise" in key else (4, 4)
        assert tuple(wide.shape[:2]) == tuple(a * b for a, b in zip(ratio, tensor.shape[:2], strict=True)), key
    assert len(on_edges) == sum(".from" in key for key in whole)
    rest = {key: tuple(tensor.shape) for key, tensor in net.shared.named_parameters() if ".from" not in key}
    assert rest == {key: tuple(tensor.shape) for key, tensor in whole.items() if ".from" not in key}
    means = {k: len(v) for k, v in net.mixed_statistics().items() if "pool" in k and k.endswith("mean")}
    # Cells 1 and 2 reduce: 32 and 64 channels; each of the 14 edges of a cell has two pools.
    assert sorted(set(means.values())) == [4, 8, 16]
    assert len(means) == 3 * 14 * 2
    out = net.relaxed(torch.randn(2, 3, 8, 8), {name: torch.ones(n) / n for name, n in mixes(some).items()})
    assert out.shape == (2, 10)


def test_choices_of_wiring_stay_whole():
    op = nas.Choice.over("op", conv=ReluConvNorm(4, 3), skip=nas.Identity())
    read = nas.Choice("from", (Take(0, op), Take(1, op)), ("0", "1"))
    inner = Dag.of(only=Take(0, ReluConvNorm(4, 1)))
    some = space(Conv(4), Dag.of(one=Take(0, op), two=read), nas.Choice.over("last", dag=inner, skip=nas.Identity()))
    shapes = {
        key: tuple(t.shape[:2]) for key, t in Supernet(some, partial=2).shared.named_parameters() if "conv.w" in key
    }
    assert set(shapes.values()) == {(2, 2)}
    assert len(shapes) == 4


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Supernet(one(1), partial=3), "8 channels of Conv do not divide by 3"),
        (
            lambda: Supernet(fbnet((1, 13, 16), 3, stages=((8, 2, 1), (16, 2, 2)), stem=8, head=16), partial=2),
            "must keep",
        ),
        (
            lambda: Supernet(space(nas.Choice.over("op", a=Conv(6), b=Conv(6)), shape=(4, 6, 6)), partial=4),
            "6 channels of",
        ),
        (lambda: Supernet(space(Conv(over("width", 4, 8))), partial=2), "cannot be relaxed: choice 'width'"),
    ],
)
def test_what_cannot_be_parted_is_refused_in_a_line(make, what):
    with pytest.raises(nas.UserError, match=what) as refused:
        make()
    assert "cannot be relaxed" in str(refused.value)


def test_a_supernet_of_partial_channels_has_no_single_networks():
    net = Supernet(one(1), partial=2)
    with pytest.raises(nas.UserError, match="has relaxed networks alone; give partial=1"):
        net(torch.randn(1, 2, 5, 6), drawn(net.space, 1)[0])
