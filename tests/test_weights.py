"""Shared weights: cropping, laws that can fail, and which spaces share."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

import nas
from nas.testing import space_laws
from nas.tree import Node
from nas.weights.crop import crop
from search_spaces import SPACES
from search_spaces.ops import Act, Conv, ConvNormAct, Linear, Norm
from tests.tiny import over, small, space

NOT_SHARING = {
    "accel_nasbench": "it only decides",
    "conv_chain": "a layer reads a concatenation of layers that vary",
    "enas": "how many values a cell joins depends on what its blocks read",
    "nasbench101": "the channels of a vertex follow from which vertices feed the output",
    "nasbench_graph": "it only decides",
    "nasnet": "how many values a cell joins depends on what its blocks read",
    "nats_size": "the skip of a cell has weights only where the channels before and in it differ",
    "tabular": "the input of a dense layer is as wide as what was picked before it",
}
"""The spaces that do not share weights as their papers have them, and how their reason begins."""
WIDEST, APART, LEARNS = (
    "6 a path is the widest network whose unused channels and outer taps are zero",
    "6 a path reads nothing outside its part of the shared tensors",
    "6 every entry of a path's part learns",
)
LIES, RELAXED = (
    "5 every network's tensors lie within the shared ones",
    "7 relaxed, one-hot weights are the discrete network",
)


# crop


def test_a_crop_has_leading_channels_and_central_taps():
    tensor = torch.arange(4 * 3 * 7 * 5.0).view(4, 3, 7, 5)
    assert torch.equal(crop(tensor, (2, 1, 3, 5)), tensor[:2, :1, 2:5])
    assert torch.equal(crop(torch.arange(5), (3,)), torch.arange(3))
    assert torch.equal(crop(torch.arange(5), (3,), ("central",)), torch.arange(1, 4))
    assert crop(tensor, tensor.shape) is tensor


def test_a_crop_is_a_view_through_which_gradients_pass():
    tensor = torch.zeros(4, 4, 5, 5, requires_grad=True)
    part = crop(tensor, (2, 3, 3, 1))
    assert part.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
    part.sum().backward()
    assert tensor.grad.sum() == part.numel()
    assert tensor.grad[:2, :3, 1:4, 2].all()


@pytest.mark.parametrize(("shape", "what"), [((3, 9, 3), "axis 1 .* too small"), ((3, 3), "other axes")])
def test_a_crop_that_does_not_fit_names_the_axis(shape, what):
    with pytest.raises(ValueError, match=what):
        crop(torch.zeros(4, 4, 3), shape)


# laws that can fail


def trailing(tensor, shape, axes=()):
    for axis, (have, want) in enumerate(zip(tensor.shape, shape, strict=True)):
        tensor = tensor.narrow(axis, (have - want) // 2 if axis > 1 else have - want, want)
    return tensor


def corner(tensor, shape, axes=()):
    return tensor[tuple(slice(n) for n in shape)]


@pytest.mark.parametrize("wrong", [trailing, corner])
def test_a_wrong_crop_breaks_law_6(wrong, monkeypatch):
    space_laws()[WIDEST](small)
    monkeypatch.setattr("nas.weights.crop.crop", wrong)
    with pytest.raises(AssertionError, match="is not the widest network"):
        space_laws()[WIDEST](small)


def test_a_crop_that_copies_breaks_law_6(monkeypatch):
    monkeypatch.setattr("nas.weights.crop.crop", lambda tensor, shape, axes: crop(tensor, shape, axes).detach())
    with pytest.raises(AssertionError, match="never learn"):
        space_laws()[LEARNS](small)


@dataclass(frozen=True)
class Two(Node):
    """Two convolutions of one width side by side: a wider first one moves the second one's channels."""

    width: int

    def lower(self, shape):
        return nas.Chain.of(both=nas.Concat.of(a=Conv(self.width), b=Conv(self.width)), mix=Conv(4, 1))


@dataclass(frozen=True)
class Project(Node):
    """A projection where two widths differ: its key depends on whether two numbers are equal."""

    width: int

    def lower(self, shape):
        return Conv(self.width, 1) if shape[0] != self.width else nas.Identity()


class FusedAttention(nn.Module):
    """Two matrices in one: the second one starts in the middle."""

    def __init__(self, inputs, width):
        super().__init__()
        self.both = nn.Conv2d(inputs, 2 * width, 1)

    def forward(self, x):
        a, b = self.both(x).chunk(2, 1)
        return a * b.sigmoid()


def fused():
    return nas.Module.of(FusedAttention, inputs=nas.CHANNELS, width=over("width", 2, 4))


@pytest.mark.parametrize(
    ("some", "law", "what"),
    [
        (space(Two(over("width", 2, 4))), WIDEST, "is not the widest network"),
        (space(fused(), Conv(4, 1)), WIDEST, "is not the widest network"),
        (space(Conv(over("w", 2, 4)), Project(over("v", 2, 4))), LIES, "is no shared tensor"),
        (space(Conv(over("w", 4, 8)), Conv(8, groups=2)), LIES, "make the groups a choice of nodes"),
        (space(Conv(4), nas.Choice.over("op", a=Conv(4), b=Conv(2)), head=False), RELAXED, "options of equal shapes"),
    ],
    ids=["concat", "fused", "key", "groups", "shapes"],
)
def test_a_space_that_wrongly_says_that_it_can_breaks_a_law(some, law, what):
    with pytest.raises(AssertionError, match=what):
        space_laws()[law](some)


class Place(nn.Module):
    """A learned image added to what comes; its axes are no convolution's."""

    crops = (("place", ("leading", "central", "central")),)

    def __init__(self, channels, side):
        super().__init__()
        self.place = nn.Parameter(torch.randn(channels, side, side))

    def forward(self, x):
        return x + self.place


class Silent(Place):
    """The same without a word about its axes."""

    crops = ()


def test_a_tensor_of_other_axes_says_how_it_is_cropped():
    def made(cls):
        return space(Conv(over("width", 2, 4)), nas.Module.of(cls, channels=nas.CHANNELS, side=6))

    for law in (LIES, WIDEST, APART, LEARNS):
        space_laws()[law](made(Place))
    with pytest.raises(AssertionError, match=r"1.place: nothing says how .* give its class `crops`"):
        space_laws()[LIES](made(Silent))
    for law in (LIES, WIDEST, APART, LEARNS):
        space_laws()[law](
            space(Conv(4), ConvNormAct(over("w", 2, 4)), Conv(4), nas.Module.of(Silent, channels=4, side=6))
        )


def test_a_part_that_does_nothing_is_found():
    class Idle(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv, self.spare = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)

        def forward(self, x):
            return self.conv(x)

    with pytest.raises(AssertionError, match="spare.weight does nothing"):
        space_laws()[LEARNS](space(Conv(4), nas.Module.of(Idle, channels=nas.CHANNELS)))


def test_shared_weights_of_a_table_of_features():
    """(F,) inputs and linear layers, of which a width is a number."""
    some = nas.Space(
        "rows", nas.Chain.seq(Linear(over("a", 3, 7)), Norm(), Act(), Linear(over("b", 2, 5)), Linear(2)), (6,)
    )
    for law in (LIES, WIDEST, APART, LEARNS):
        space_laws()[law](some)


# what shares


def test_the_spaces_that_do_not_share_are_these_with_these_reasons():
    reasons = {name: made.shares for name, make in SPACES.items() if (made := make()).shares}
    assert reasons.keys() == NOT_SHARING.keys()
    for name, reason in NOT_SHARING.items():
        assert reasons[name].startswith(reason), name


def test_sharing_can_be_barred_for_any_space():
    barred = replace(small, shares="it is barred")
    for name, law in space_laws().items():
        if name[0] in "567":
            law(barred)
