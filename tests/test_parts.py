"""The parts of a supernet that exist while it is searched alone: norms, norms behind pools, kernel transforms."""

import pickle

import pytest
import torch
from torch import nn

import nas
from nas.build import build
from nas.profile import profile
from nas.weights import Supernet, mixes, one_hot
from nas.weights.parts import SearchOnly
from search_spaces import darts, nasbench201, ofa, shufflenet
from search_spaces.darts import SEVEN
from search_spaces.ops import AvgPool, Conv, GlobalPool, Linear, MaxPool, Norm
from tests.tiny import drawn, over, small, space

OFFICIAL = 7_664_760
"""Once-for-all, MobileNetV3 of width 1: the network of kernels 7, expansions 6, depths 4 (released code)."""


def largest(some):
    return some.decide(lambda c: max(range(len(c.options)), key=lambda k: c.options[k]))


def learned(net):
    return sum(tensor.numel() for tensor in net.parameters())


# what the papers' search networks hold


def test_the_transforms_are_what_once_for_alls_supernet_has_beyond_its_largest_network():
    some = ofa()
    assert profile(some.network(largest(some)), some.input).total.params == OFFICIAL
    assert learned(Supernet(some)) == OFFICIAL
    assert learned(Supernet(some, kernels="transform")) == OFFICIAL + 20 * (25**2 + 9**2) == 7_678_880


def test_the_supernet_of_single_path_one_shot_learns_no_scales():
    assert learned(Supernet(shufflenet(), affine=False)) == 8_388_176


def test_the_search_network_of_darts():
    some = darts(operations=("none", *SEVEN))
    net = Supernet(some, affine=False, norm_after_pool=True)
    stem = 2 * 48  # the released search network's stem has the one norm that learns
    assert learned(net) == 1_930_618 - stem
    edges = [count for name, count in mixes(some).items() if not name.endswith("inputs")]
    assert edges == 2 * 14 * [8]
    assert [mixes(some)[f"{kind}.node{n}.inputs"] for kind in ("normal", "reduce") for n in (3, 4, 5)] == [3, 4, 5] * 2


# norms


class Nested(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, x):
        return self.inner(x)


def test_norms_that_learn_nothing_are_in_no_table_and_in_no_network():
    nested = nas.Module.of(Nested, channels=nas.CHANNELS)
    some = space(Conv(over("w", 2, 4)), Norm(), nested, GlobalPool(), nas.Chain.seq(Linear(3)), head=False)
    net = Supernet(some, affine=False)
    assert {key for key, _ in net.shared.named_parameters()} == {
        "0.weight",
        *(f"2.inner.0.{name}" for name in ("weight", "bias")),
        *(f"4.0.{name}" for name in ("weight", "bias")),
    }
    x = torch.randn(16, 2, 6, 6)
    for arch in some:
        made = net._network(arch).network
        assert not any(p.affine for p in made.modules() if isinstance(p, nn.BatchNorm2d))
        twin = build(some.network(arch), some.input)
        weights = net.weights(arch)
        with torch.no_grad():
            for name, tensor in twin.named_parameters():
                tensor.copy_(weights.get(name, torch.full_like(tensor, float(name.endswith("weight")))))
            assert torch.allclose(net.train()(x, arch), twin.train()(x), atol=1e-6)


def test_a_norm_stands_behind_each_pool_but_not_behind_a_global_one():
    pools = nas.Choice.over("pool", max=MaxPool(3), avg=AvgPool(3, 2), none=AvgPool(1, 2))
    some = space(Conv(4), pools, Conv(4), GlobalPool(), head=False)
    net, x = Supernet(some, norm_after_pool=True).train(), torch.randn(8, 2, 6, 6)
    assert learned(net) == learned(Supernet(some))
    for arch in some:
        means = {key for key in net.statistics(arch) if key.endswith("mean")}
        assert means == (set() if arch["pool"] == "none" else {f"1.{arch['pool']}.norm.running_mean"})
    arch = next(iter(some))
    given = net.calibrated(arch, [x])
    pooled = nn.functional.max_pool2d(nn.functional.conv2d(x, net.weights(arch)["0.weight"], padding=1), 3, 1, 1)
    assert torch.allclose(given["1.max.norm.running_mean"], pooled.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(given["1.max.norm.running_var"], pooled.var((0, 2, 3)), atol=1e-5)


def test_relaxed_and_single_networks_have_the_same_parts():
    some = nasbench201((1, 8, 8), 2, 1, 4)
    net, x = Supernet(some, affine=False, norm_after_pool=True).double().train(), torch.randn(4, 1, 8, 8).double()
    assert any("avg_pool" in key for key in net.mixed_statistics())
    for arch in drawn(some, 4):
        assert torch.allclose(net.relaxed(x, one_hot(some, arch)), net(x, arch))


# kernels


def test_identities_give_the_centre_crop():
    turned, cropped = Supernet(small, kernels="transform"), Supernet(small)
    added = turned.state_dict().keys() - cropped.state_dict().keys()
    depthwise = [f"stage{s}.block{b}.body.depthwise" for s in (1, 2) for b in (1, 2)]
    assert added == {f"shared.{path}.weight_5to3" for path in depthwise}
    for arch in drawn(small, 8):
        ours, theirs = turned.weights(arch), cropped.weights(arch)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], tensor) for key, tensor in theirs.items())


def test_a_5x5_kernel_is_at_first_the_centre_of_the_7x7_one():
    some = space(Conv(2, over("kernel", 3, 5, 7)), head=False, shape=(1, 6, 6))
    net = Supernet(some, kernels="transform")
    whole = net.shared.get_parameter("0.weight")
    made = {arch["kernel"]: net.weights(arch)["0.weight"] for arch in some}
    assert torch.equal(made[5], whole[:, :, 1:6, 1:6])
    assert torch.equal(made[3], whole[:, :, 2:5, 2:5])


def test_a_3x3_kernel_starts_from_the_transformed_5x5_one():
    some = space(Conv(over("width", 3, 4), over("kernel", 3, 5, 7)), head=False)
    net, draw = Supernet(some, kernels="transform"), torch.Generator().manual_seed(0)
    held = dict(net.shared.named_parameters())
    assert {key: tuple(tensor.shape) for key, tensor in held.items()} == {
        "0.weight": (4, 2, 7, 7),
        "0.weight_7to5": (25, 25),
        "0.weight_5to3": (9, 9),
    }
    with torch.no_grad():
        for tensor in held.values():
            tensor.copy_(torch.randn(tensor.shape, generator=draw))
    five = torch.einsum("oin,mn->oim", held["0.weight"][:3, :, 1:6, 1:6].flatten(2), held["0.weight_7to5"])
    centre = five.view(3, 2, 5, 5)[:, :, 1:4, 1:4].flatten(2)
    three = torch.einsum("oin,mn->oim", centre, held["0.weight_5to3"]).view(3, 2, 3, 3)
    made = {arch["kernel"]: net.weights(arch)["0.weight"] for arch in some if arch["width"] == 3}
    assert torch.equal(made[7], held["0.weight"][:3])
    assert torch.allclose(made[5], five.view(3, 2, 5, 5), atol=1e-4)
    assert torch.allclose(made[3], three, atol=1e-4)
    learns = {}
    for side, kernel in made.items():
        grads = torch.autograd.grad(kernel.square().sum(), list(held.values()), allow_unused=True)
        learns[side] = [key for key, grad in zip(held, grads, strict=True) if grad is not None]
    assert learns == {3: list(held), 5: ["0.weight", "0.weight_7to5"], 7: ["0.weight"]}


def test_a_kernel_is_transformed_only_where_it_is_a_choice_of_numbers():
    options = nas.Choice.over("op", three=Conv(4, 3), five=Conv(4, 5))
    sides = Conv(4, (over("high", 1, 3), 1))
    assert learned(Supernet(space(options, sides), kernels="transform")) == learned(Supernet(space(options, sides)))


@pytest.mark.parametrize("parts", [{}, {"kernels": "transform"}, {"affine": False}, {"norm_after_pool": True}])
def test_the_largest_network_is_the_standalone_one_after_the_same_calibration(parts):
    some, draw = ofa((3, 16, 16), 3, width=0.25, depths=(1, 2)), torch.Generator().manual_seed(0)
    net, arch = Supernet(some, **parts).double(), largest(some)
    batches = [torch.randn(8, 3, 16, 16, generator=draw, dtype=torch.float64) for _ in range(3)]
    twin = build(some.network(arch), some.input).double()
    weights = net.weights(arch)
    with torch.no_grad():
        for name, tensor in twin.named_parameters():
            tensor.copy_(weights.get(name, tensor))
        for part in twin.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = None
            part.train(isinstance(part, nn.BatchNorm2d))
        for x in batches:
            twin(x)
        ours = net.eval()(batches[0], arch, net.calibrated(arch, batches))
        assert torch.allclose(ours, twin.eval()(batches[0]), atol=1e-12)


# plain values


def test_the_parts_are_plain_values_from_which_the_same_supernet_is_made():
    some = nasbench201((1, 4, 4), 2, 1, 2)
    assert Supernet(some).parts == {"affine": True, "norm_after_pool": False, "kernels": "crop", "partial": 1}
    given = {"affine": False, "norm_after_pool": True, "kernels": "transform", "partial": 2}
    assert Supernet(some, **given).parts == given


def test_the_parts_travel_with_a_supernet():
    x, arch = torch.randn(4, 1, 8, 8), drawn(small, 1)[0]
    net = Supernet(small, affine=False, norm_after_pool=True, kernels="transform")
    again = pickle.loads(pickle.dumps(net))
    assert again.parts == net.parts
    assert torch.equal(again(x, arch), net(x, arch))


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ({"kernels": "learned"}, "kernels of a supernet is 'learned'; take one of crop, transform"),
        ({"partial": 0}, "partial of a supernet is 0; give a whole number"),
        ({"partial": 2.0}, "partial of a supernet is 2.0"),
        ({"affine": "no"}, "affine of a supernet is 'no'; give true or false"),
    ],
)
def test_parts_that_mean_nothing_are_refused_in_a_line(parts, what):
    with pytest.raises(nas.UserError, match=what) as refused:
        SearchOnly(**parts)
    assert "\n" not in str(refused.value)
