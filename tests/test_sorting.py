"""Sorting channels by importance: what stays the same, what comes first, and what is left alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import nas
from nas.testing.sharing import close, each, inputs
from nas.testing.widest import scatter
from nas.weights import Supernet
from nas.weights.sorting import sort, sortable
from search_spaces import mobile, nasbench201, ofa, regnet, resnet, shufflenet, vit_resnas
from search_spaces.ops import Classifier, Conv, ConvNormAct, Depthwise, Linear, MaxPool, Norm
from tests.tiny import drawn, over, small, space

SORTED = [
    small,
    ofa((3, 16, 13), 3, width=0.25, depths=(1, 2)),
    resnet((3, 8, 8), 3, stem="cifar", widths=((4, 6), (6, 8)), depths=((1, 2), (1, 2))),
    resnet((3, 9, 7), 2, "bottleneck", "cifar", "padded", ((4, 2), (2, 3)), ((1, 2), (2,))),
    regnet((1, 9, 8), 2, ((4, 8), (8,)), ((1, 2), (2,)), (4,), 0, 4, (1, 2, 2)),
    shufflenet((3, 33, 20), 3, (0.2, 0.5, 1.6), stem=4, widths=(12, 20), depths=(2, 2), head=8),
    vit_resnas(
        (1, 9, 7), 2, ((12, 8), (24, 16)), ((2, 1), (3, 2)), (4, 4), ((16, 8), (24, 16)), (2, 3), patch=2, stem=0
    ),
]


def widest(some, count, seed=0):
    """Networks of the largest numbers; what is no number, and each depth, is drawn."""
    draw = torch.Generator().manual_seed(seed)

    def pick(choice):
        number = isinstance(choice.options[0], int | float) and "depth" not in choice.name
        if number:
            return max(range(len(choice.options)), key=lambda k: choice.options[k])
        return int(torch.randint(len(choice.options), (), generator=draw))

    return [some.decide(pick) for _ in range(count)]


def groups(net):
    return sortable(net.space, {key: tuple(tensor.shape) for key, tensor in net.shared.named_parameters()})


def outputs(net, archs, batches):
    with torch.no_grad():
        return [out for a in archs for out in each(net.eval()(batches[0], a, net.calibrated(a, batches)))]


@pytest.mark.parametrize("some", SORTED, ids=lambda s: s.name)
def test_sorting_changes_the_order_and_no_network_of_the_largest_widths(some):
    net, draw = Supernet(some).double(), torch.Generator().manual_seed(0)
    scatter(net, draw, 1)
    batches, large, few = [inputs(some, draw) for _ in range(2)], widest(some, 4), drawn(some, 4)
    before, other = outputs(net, large, batches), outputs(net, few, batches)
    assert sort(net) > 0
    assert all(close(a, b) for a, b in zip(before, outputs(net, large, batches), strict=True))
    assert not all(close(a, b) for a, b in zip(other, outputs(net, few, batches), strict=True))
    assert sort(net) == 0


def test_channels_descend_by_the_norm_of_what_reads_them_next():
    some = ofa((3, 16, 16), 3, width=0.25, depths=(1, 2))
    net = Supernet(some)
    assert sort(net) == 2 * 5 + 2 * 3  # the insides of all blocks, and the gates of three units
    held = dict(net.shared.named_parameters())
    read = [tensor for key, tensor in held.items() if key.startswith("unit") and key.endswith("project.weight")]
    read += [tensor for key, tensor in held.items() if key.endswith("squeeze.expand.weight")]
    for weight in read:
        assert weight.abs().sum((0, 2, 3)).diff().le(1e-5).all()


def test_a_width_that_several_layers_read_is_sorted_by_all_of_them():
    net = Supernet(resnet((3, 8, 8), 3, stem="cifar", widths=((4, 6), (6, 8)), depths=((1, 2), (1, 2))))
    sort(net)
    held = dict(net.shared.named_parameters())
    reads = ("stage1.block1.sum.body.conv1", "stage1.block2.sum.body.conv1", "stage2.block1.sum.body.conv1")
    reads += ("stage2.block1.sum.shortcut.conv",)
    norms = sum(held[f"{path}.weight"].abs().sum((0, 2, 3)) for path in reads)
    assert norms.diff().le(1e-5).all()


def test_momenta_move_with_their_weights():
    for make in (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), lambda p: torch.optim.AdamW(p, lr=0.01)):
        net = Supernet(small)
        optimiser = make(net.parameters())
        net(torch.randn(4, 1, 8, 8), widest(small, 1)[0]).square().sum().backward()
        optimiser.step()
        state = optimiser.state
        moments = {
            key: [name for name, value in state[tensor].items() if torch.is_tensor(value) and value.dim()]
            for key, tensor in net.shared.named_parameters()
            if tensor in state
        }
        assert sum(map(len, moments.values())) >= 20
        with torch.no_grad():  # what an entry's moment is can be told from the entry
            for key, names in moments.items():
                for name in names:
                    state[net.shared.get_parameter(key)][name].copy_(net.shared.get_parameter(key).sin())
        assert sort(net, optimiser) > 0
        for key, names in moments.items():
            tensor = net.shared.get_parameter(key)
            assert all(torch.equal(state[tensor][name], tensor.sin()) for name in names), key


def test_a_narrow_network_that_keeps_all_channels_which_are_read_is_the_wide_one():
    """Of the channels inside of each block, a random half is read by nothing; behind the others, they can go."""
    some = mobile((1, 8, 8), 3, (8, 16), (1.0,), (2,), (3,), (2, 4), squeezes=(0,))
    net, draw, x = Supernet(some).double(), torch.Generator().manual_seed(0), torch.randn(16, 1, 8, 8).double()
    with torch.no_grad():
        for key, tensor in net.shared.named_parameters():
            if key.startswith("stage") and key.endswith("project.weight"):
                tensor[:, torch.randperm(tensor.shape[1], generator=draw)[: tensor.shape[1] // 2]] = 0
    narrow, wide = (some.decide(lambda c, n=n: c.options.index(n) if n in c.options else 0) for n in (2, 4))
    before, whole = outputs(net, [narrow, wide], [x])
    sort(net)
    after, still = outputs(net, [narrow, wide], [x])
    assert close(whole, still)
    assert close(whole, after)
    assert not torch.allclose(whole, before, atol=1e-2)


def test_sorting_lowers_the_loss_of_narrow_networks_of_a_trained_wide_one():
    some = mobile((1, 8, 8), 4, (8, 16), (1.0,), (2,), (3,), (1, 2, 3, 6), squeezes=(0, 0.25))
    net, draw = Supernet(some).train(), torch.Generator().manual_seed(0)
    centres = torch.randn(4, 1, 8, 8, generator=draw)
    labels = torch.randint(4, (128,), generator=draw)
    images = centres[labels] + torch.randn(128, 1, 8, 8, generator=draw)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-2)
    large = widest(some, 1)[0]
    for k in range(40):
        part = slice(32 * (k % 4), 32 * (k % 4) + 32)
        optimiser.zero_grad()
        functional.cross_entropy(net(images[part], large), labels[part]).backward()
        optimiser.step()

    def losses():
        few = drawn(some, 12, seed=1)
        made = [net.eval()(images, a, net.calibrated(a, [images])) for a in few]
        return torch.stack([functional.cross_entropy(logits, labels) for logits in made])

    with torch.no_grad():
        before = losses()
        sort(net, optimiser)
        after = losses()
    assert (after < before).sum() >= 10
    assert after.mean() < 0.7 * before.mean()


# what keeps its order


@pytest.mark.parametrize(
    "some",
    [
        nasbench201((1, 4, 4), 2, 1, 2),
        space(Conv(4), ConvNormAct(4)),
        space(Conv(over("width", 4, 8)), head=False),
        space(nas.Concat.of(a=Conv(over("width", 4, 8), 1), b=nas.Identity())),
        space(
            Conv(over("width", 4, 8)),
            nas.Chain.of(pool=MaxPool(2, 2), flat=nas.Module.of(nn.Flatten), out=Linear(3)),
            head=False,
        ),
        space(Conv(over("width", 4, 8)), nas.Module.of(nn.GroupNorm, num_groups=2, num_channels=nas.CHANNELS), Conv(4)),
        space(nas.Choice.over("op", a=Conv(over("width", 4, 8)), b=Conv(6)), Conv(3)),
    ],
    ids=["nothing", "fixed", "output", "concat", "flatten", "unknown", "unequal"],
)
def test_channels_whose_order_matters_are_left_alone(some):
    net = Supernet(some)
    before = {key: tensor.detach().clone() for key, tensor in net.shared.named_parameters()}
    assert groups(net) == []
    assert sort(net) == 0
    assert all(torch.equal(before[key], tensor) for key, tensor in net.shared.named_parameters())


class Gate(nn.Module):
    """A user's own module of layers that are known, which shapes of the tree cannot see into."""

    def __init__(self, channels):
        super().__init__()
        self.a, self.b = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.b(self.a(x)))


class Branching(Gate):
    """The same, in a way that only running it tells."""

    def forward(self, x):
        return super().forward(x) if x.shape[1] > 2 else x


def test_layers_within_a_users_own_module_move_too():
    def made(cls):
        return space(ConvNormAct(over("width", 4, 8)), nas.Module.of(cls, channels=nas.CHANNELS), Depthwise(), Conv(4))

    (axes,) = groups(Supernet(made(Gate)))
    assert {(axis.key, axis.axis) for axis in axes} == {
        *((f"0.{name}", 0) for name in ("conv.weight", "norm.weight", "norm.bias")),
        *((f"1.{name}", 0) for name in ("b.weight", "b.bias")),
        ("1.a.weight", 1),
        ("2.weight", 0),
        ("3.weight", 1),
    }
    assert groups(Supernet(made(Branching))) == []


def test_channels_of_options_and_of_depths_that_meet_stand_in_one_order():
    width = over("width", 4, 8)
    ops = nas.Choice.over("op", a=Conv(width), b=nas.Chain.seq(Conv(width, 1), Norm(), depth=over("depth", 1, 2)))
    (axes,) = groups(Supernet(space(ops, Classifier(3), head=False)))
    assert {axis.key for axis in axes} == {
        *("0.a.weight", "0.b.0.weight", "0.b.1.weight", "0.b.1.bias", "1.linear.weight"),
    }


def test_a_supernet_without_single_networks_is_left_alone():
    assert sort(Supernet(nasbench201((1, 4, 4), 2, 1, 4), partial=2)) == 0


def test_transforms_and_norms_that_learn_nothing_do_not_hinder():
    net, draw = Supernet(small, affine=False, kernels="transform").double(), torch.Generator().manual_seed(0)
    scatter(net, draw, 1)
    batches, large = [inputs(small, draw)], widest(small, 3)
    before = outputs(net, large, batches)
    assert sort(net) > 0
    assert all(close(a, b) for a, b in zip(before, outputs(net, large, batches), strict=True))
