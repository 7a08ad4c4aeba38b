"""The supernet: its table of shared tensors, its networks, their running statistics."""

import copy
import pickle
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional

import nas
from nas.build import build
from nas.graph import graph
from nas.testing.widest import sizes
from nas.tree import Cost, Node
from nas.weights import Supernet
from search_spaces import nasbench201
from search_spaces.ops import Conv, ConvNormAct, Dropout, Norm
from tests.tiny import drawn, small, space, wired

# the table


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


# running statistics


def test_calibrated_statistics_are_those_of_a_plain_module_with_a_cumulative_mean():
    for arch in drawn(small, 3):
        net, batches = Supernet(small).train(), [torch.randn(n, 1, 8, 8) for n in (8, 8, 5)]
        twin = build(small.network(arch), small.input).train()
        weights = net.weights(arch)
        with torch.no_grad():
            for name, tensor in twin.named_parameters():
                tensor.copy_(weights[name])
            norms = [part for part in twin.modules() if isinstance(part, nn.BatchNorm2d)]
            for norm in norms:
                norm.momentum = None
            for x in batches:
                twin(x)
        given = net.calibrated(arch, iter(batches))
        theirs = dict(twin.named_buffers())
        assert given.keys() == theirs.keys()
        assert {int(v) for k, v in given.items() if k.endswith("tracked")} == {3}
        assert all(torch.allclose(given[key], theirs[key], atol=1e-5) for key in given)
        assert all(norm.momentum == 0.1 for norm in net._network(arch).network.modules() if hasattr(norm, "momentum"))


def test_calibration_draws_nothing_and_leaves_the_weights():
    some = space(ConvNormAct(4), Dropout(0.5), Norm())
    net, arch, x = Supernet(some), next(iter(some)), torch.randn(8, 2, 6, 6)
    before, state = copy.deepcopy(net.shared.state_dict()), torch.random.get_rng_state()
    first = net.calibrated(arch, [x])
    assert all(torch.equal(tensor, first[key]) for key, tensor in net.calibrated(arch, [x]).items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[key], tensor) for key, tensor in net.shared.state_dict().items())


def test_without_calibration_the_accuracy_of_a_path_collapses():
    net, draw = Supernet(small).train(), torch.Generator().manual_seed(0)
    labels = torch.randint(3, (96,), generator=draw)
    images = torch.randn(3, 1, 8, 8, generator=draw)[labels] + 0.7 * torch.randn(96, 1, 8, 8, generator=draw) + 2
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    archs = drawn(small, 48)
    for k, arch in enumerate(archs):
        part = slice(32 * (k % 3), 32 * (k % 3) + 32)
        optimiser.zero_grad()
        functional.cross_entropy(net(images[part], arch), labels[part]).backward()
        optimiser.step()

    def accuracy(arch, statistics):
        return float((net.eval()(images, arch, statistics).argmax(1) == labels).float().mean())

    with torch.no_grad():
        calibrated = [accuracy(arch, net.calibrated(arch, [images])) for arch in archs[:6]]
        fresh = [accuracy(arch, net.statistics(arch)) for arch in archs[:6]]
    assert min(calibrated) > 0.8
    assert max(fresh) < 0.6
