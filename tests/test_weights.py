"""Shared weights: cropping, the table of a space, its networks, relaxing, and laws that can fail."""

import copy
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

import nas
from nas.build import build
from nas.graph import graph
from nas.testing import space_laws
from nas.testing.widest import sizes
from nas.tree import Cost, Dag, Node, Take, TrainHead, Zero
from nas.weights import Supernet, mixes, one_hot
from nas.weights.crop import crop
from nas.weights.relaxed import unmixed
from search_spaces import SPACES, mobile, nasbench201
from search_spaces.ops import Act, AvgPool, Classifier, Conv, ConvNormAct, Linear, Norm, ReluConvNorm

NOT_SHARING = {
    "conv_chain": "a layer reads a concatenation of layers that vary",
    "enas": "how many values a cell joins depends on what its blocks read",
    "nasbench101": "the channels of a vertex follow from which vertices feed the output",
    "nasnet": "how many values a cell joins depends on what its blocks read",
    "nats_size": "the skip of a cell has weights only where the channels before and in it differ",
    "tabular": "the input of a dense layer is as wide as what was picked before it",
}
"""The spaces that do not share weights as their papers have them, and how their reason begins."""
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
WIDEST, APART, LEARNS = (
    "6 a path is the widest network whose unused channels and outer taps are zero",
    "6 a path reads nothing outside its part of the shared tensors",
    "6 every entry of a path's part learns",
)
LIES, RELAXED = (
    "5 every network's tensors lie within the shared ones",
    "7 relaxed, one-hot weights are the discrete network",
)
small = mobile((1, 8, 8), 3, widths=(8, 16), multipliers=(0.5, 1.0), depths=(1, 2), kernels=(3, 5), expands=(2, 3))


def over(name, *options):
    return nas.Choice(name, options)


def space(*items, head=True, shape=(2, 6, 6), **rest):
    return nas.Space("test", nas.Chain.seq(*items, *([Classifier(3)] if head else [])), shape, **rest)


def drawn(some, count, seed=0):
    rng = np.random.default_rng(seed)
    return [some.sample(rng) for _ in range(count)]


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


# the table


@dataclass(frozen=True)
class Halved(Node):
    """A node whose projection depends on the image that reaches it, as in NASNet's cells."""

    channels: int
    size: int

    def lower(self, shape):
        stride = max(1, shape[1] // self.size)
        return nas.Chain.of(act=Act(), reduce=Conv(self.channels, 1, stride) if stride > 1 else None, norm=Norm())


def wired():
    """Sources, depth, kept items, nested holes and options of different widths, in 1,008 networks."""

    def step(n):
        ops = nas.Choice.over(
            f"step{n}.op", sep=ReluConvNorm(4, over("kernel", 1, 3)), halved=Halved(4, 3), none=Zero()
        )
        return nas.Choice(f"step{n}.from", tuple(Take(k, ops) for k in range(n)), tuple(range(n)))

    nested = nas.Choice.over(
        "tail",
        deep=nas.Chain.seq(ConvNormAct(3), ConvNormAct(5), ConvNormAct(4), depth=over("tail.depth", 0, 1, 3)),
        wide=nas.Choice.over("tail.wide", six=ConvNormAct(6), two=ConvNormAct(over("two", 1, 2))),
    )
    keeps = nas.Choice.sets("keep", ("a", "b", "c"), 2)
    kept = nas.Sum.of(keeps, a=Conv(4), b=Conv(4, 1), c=AvgPool(3))
    yes = nas.Sum((*"pq",), (Conv(4), nas.Identity()), (over("p", 0, 1), None))
    cell = Dag.of(**{f"step{n}": step(n) for n in (1, 2)})
    return space(ConvNormAct(4, 3), cell, kept, yes, nested, TrainHead(Classifier(2)), shape=(2, 3, 3))


@pytest.mark.parametrize("some", [wired(), small, nasbench201((1, 4, 4), 2, 1, 2)], ids=lambda s: f"{s.name}-{s.size}")
def test_the_table_holds_what_some_network_has_and_nothing_else(some):
    most = {}
    archs = list(some) if some.size < 2000 else drawn(some, 200)
    for arch in archs:
        for key, shape in sizes(graph(some.network(arch), some.input)).items():
            most[key] = tuple(map(max, shape, most.get(key, shape)))
    assert {key: tuple(t.shape) for key, t in Supernet(some).shared.named_parameters()} == most


def test_a_table_of_sides_that_differ_holds_what_each_layer_uses():
    """No option is the largest on every axis: one has more outputs, the other more inputs."""
    table = nas.Choice.over("way", up=Conv(3, 1), down=Conv(6, 1))
    some = space(table, Rows(), head=False)
    net = Supernet(some)
    shapes = [tuple(net.weights(arch)["1.weight"].shape) for arch in some]
    assert shapes == [(3, 12), (6, 9)]
    assert tuple(net.shared.get_parameter("1.weight").shape) == (6, 12)
    assert all(net.weights(arch)["1.weight"].abs().min() > 0 for arch in some)


@dataclass(frozen=True)
class Rows(Node):
    def call(self, shape):
        return nas.Call.of(nn.Linear, {3: 12, 6: 9}[shape[0]], shape[0], bias=False)

    def out(self, shape):
        return shape

    def cost(self, shape):
        return Cost()


def test_first_weights_depend_on_the_seed_and_the_layers_name_alone():
    before = torch.random.get_rng_state()
    one = Supernet(space(ConvNormAct(4), nas.Choice.over("op", conv=Conv(4))))
    two = Supernet(space(ConvNormAct(4), nas.Choice.over("op", more=Conv(4, 5), conv=Conv(4))))
    other = Supernet(one.space, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    mine, theirs = one.shared.state_dict(), two.shared.state_dict()
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in mine.items())
    assert not torch.equal(mine["0.conv.weight"], other.shared.state_dict()["0.conv.weight"])
    assert mine["0.conv.weight"].std() == pytest.approx(1 / (3 * 2 * 9) ** 0.5, rel=0.15)
    assert mine["0.norm.weight"].eq(1).all()


# networks


def test_gradients_reach_the_shared_tensors_and_no_others():
    net, arch = Supernet(small), drawn(small, 1)[0]
    net(torch.randn(4, 1, 8, 8), arch).square().sum().backward()
    have = {key for key, tensor in net.shared.named_parameters() if tensor.grad is not None}
    assert have == set(net.weights(arch))
    assert {id(t) for t in net.parameters()} == {id(t) for t in net.shared.parameters()}


def test_statistics_are_fresh_for_each_pass_unless_they_are_given():
    net, arch, x = Supernet(small), drawn(small, 1)[0], torch.randn(16, 1, 8, 8)
    given = net.statistics(arch)
    with torch.no_grad():
        first = net.train()(x, arch)
        assert torch.equal(first, net(x, arch, given))
        assert {int(v) for k, v in given.items() if k.endswith("num_batches_tracked")} == {1}
        assert all(torch.equal(v, net.statistics(arch)[k]) == (not v.any()) for k, v in given.items() if "mean" in k)
        assert torch.equal(net.eval()(x, arch), net(x, arch))
        assert not torch.equal(net(x, arch), net(x, arch, given))
    with pytest.raises(ValueError, match="of another network"):
        net(x, arch, {})


def test_a_supernet_is_saved_copied_and_cast():
    net, arch, x = Supernet(small).eval(), drawn(small, 1)[0], torch.randn(2, 1, 8, 8)
    out = net(x, arch)
    fresh = Supernet(small, seed=1).eval()
    fresh.load_state_dict(net.state_dict())
    for other in (fresh, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(x, arch), out)
    assert torch.allclose(net.double()(x.double(), arch).float(), out, atol=1e-5)
    assert set(net.weights(arch)) == {k for k, _ in build(small.network(arch), small.input).named_parameters()}


def test_many_architectures_do_not_stay_built(monkeypatch):
    monkeypatch.setattr("nas.weights.supernet.KEPT", 32)
    net = Supernet(nasbench201((1, 4, 4), 2, 1, 2))
    for arch in drawn(net.space, 40):
        net.weights(arch)
    assert len(net._ready) <= 32


def test_an_architecture_of_another_space_is_refused():
    with pytest.raises(ValueError, match="does not belong to the space 'mobile'"):
        Supernet(small).weights(drawn(nasbench201(), 1)[0])


def test_a_space_that_does_not_share_says_why():
    with pytest.raises(nas.UserError, match="cannot share weights: its channels move"):
        Supernet(space(Conv(4), shares="its channels move"))


# relaxed


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


# what shares, relaxes


def test_the_spaces_that_do_not_share_are_these_with_these_reasons():
    reasons = {name: made.shares for name, make in SPACES.items() if (made := make()).shares}
    assert reasons.keys() == NOT_SHARING.keys()
    for name, reason in NOT_SHARING.items():
        assert reasons[name].startswith(reason), name


def test_the_spaces_that_relax_are_these():
    assert {name for name, make in SPACES.items() if not make().relaxes} == RELAXING
    assert not any(unmixed(SPACES[name]()) for name in RELAXING)


def test_sharing_can_be_barred_for_any_space():
    barred = replace(small, shares="it is barred")
    for name, law in space_laws().items():
        if name[0] in "567":
            law(barred)
