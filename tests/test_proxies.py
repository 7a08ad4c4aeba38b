"""The formulas of zero-cost proxies: conservation, closed forms, and what degenerate networks come to."""

import gc
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.build import build
from nas.graph import graph
from nas.plugins import catalogue
from nas.programs.deepmad.measure import Batch, measure
from nas.programs.deepmad.presets import design_of, released
from nas.proxies import DATA_FREE, PROXIES, score
from nas.proxies.codes import agreeing, distinct, log_det
from nas.proxies.entropy import stages
from nas.proxies.facts import layers
from nas.proxies.jacobian import by_class, correlations, spectrum
from nas.proxies.kernel import NOTHING, condition
from nas.proxies.spread import of_gradients
from nas.proxies.synflow import LEAST, flow
from search_spaces import nasbench201

SPACE = nasbench201()
NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SKIP = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
RESIDUAL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"


def network(text, space=SPACE):
    return build(space.network(space.parse(text)), space.input)


def even(module):
    """Every weight one over its fan-in, no biases, in double precision."""
    module.double()
    with torch.no_grad():
        for layer in layers(module):
            layer.weight.fill_(1 / layer.weight[0].numel())
            if layer.bias is not None:
                layer.bias.zero_()
    return module


def images(count=8, seed=0, shape=(3, 8, 8), classes=3):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=rng), torch.arange(count) % classes


def small(seed=0):
    torch.manual_seed(seed)
    body = [nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 1)]
    return nn.Sequential(*body, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))


def value(module, name, *batches, **rest):
    return score(module, list(batches), [name], seed=0, **rest)[name].value


# measured with the official TinyNetwork of NAS-Bench-201, 16 channels, 5 cells a stage
@pytest.mark.parametrize(("cell", "total", "summed"), [(SKIP, 35_822_693_902.298, 176_648_094_002.32),
                                                       (RESIDUAL, 549_912.3708, 10_644_119.351)])  # fmt: skip
def test_synflow_of_even_weights_is_what_the_official_network_has(cell, total, summed):
    found = flow(even(network(cell)), SPACE.input)
    assert found.total == pytest.approx(total, rel=1e-10)
    assert math.fsum(found.layers) == pytest.approx(summed, rel=1e-10)


def test_what_flows_through_a_layer_that_all_passes_is_what_comes_out():
    found = flow(even(network(RESIDUAL)), SPACE.input)
    assert found.layers[0] == pytest.approx(found.total, rel=1e-12)
    assert found.layers[-1] == pytest.approx(found.total, rel=1e-12)


def test_nothing_flows_through_a_cell_of_none_and_its_log_is_finite():
    module = even(network(NONE))
    assert math.fsum(flow(module, SPACE.input).layers) == 0.0
    assert value(module.float(), "synflow", shape=SPACE.input) == math.log(LEAST)


def test_synflow_needs_double_precision_and_no_sign():
    deep = nn.Sequential(*[nn.Linear(100, 100, bias=False) for _ in range(30)])
    with torch.no_grad():
        for layer in deep:
            layer.weight.fill_(-10.0)  # 1000 a layer: 1e90 is far beyond what float32 can hold
    assert value(deep, "synflow", shape=(100,)) == pytest.approx(math.log(30 * 100) + 30 * math.log(1000), rel=1e-12)


def test_jacobians_with_nothing_in_common_come_to_minus_their_number():
    assert spectrum(np.eye(64)) == pytest.approx(-64 * (math.log1p(1e-5) + 1 / (1 + 1e-5)), rel=1e-12)
    assert spectrum(np.eye(64)) == pytest.approx(-64, abs=1e-4)
    assert spectrum(np.ones((8, 8))) < -7 * (1e5 - 20), "equal rows have seven eigenvalues of 0, not complex ones"


def test_jacob_cov_is_that_of_the_slopes_of_the_summed_logits():
    module, (x, y) = small(), images()
    run = small().eval()
    run[1].train()
    x.requires_grad_(True)
    run(x).sum().backward()
    slopes = x.grad.flatten(1).double().numpy()
    assert value(module, "jacob_cov", (x.detach(), y)) == pytest.approx(spectrum(np.corrcoef(slopes)), rel=1e-4)
    assert value(module, "epe_nas", (x.detach(), y)) == pytest.approx(by_class(slopes, y.numpy(), 3), rel=1e-4)


def test_epe_nas_adds_classes_up_to_a_hundred_and_compares_them_beyond():
    rows = np.array([[1.0, 2, 4], [2, 1, 0], [0, 1, 5], [1, 0, 0]])
    labels = np.array([0, 0, 1, 1])
    logs = [np.log(np.abs(np.corrcoef(rows[k : k + 2])) + 1e-5).sum() for k in (0, 2)]
    assert by_class(rows, labels, 2) == pytest.approx(sum(map(abs, logs)))
    assert by_class(rows, labels, 101) == pytest.approx(abs(logs[0] - logs[1]) / 2)


def test_a_constant_jacobian_is_named():
    with pytest.raises(ValueError, match="does not depend on some image"):
        correlations(np.array([[1.0, 2.0], [3.0, 3.0]]))


def test_agreement_counts_equal_signs():
    codes = torch.rand(5, 301) > 0.4
    ones = codes.double().numpy()
    assert np.array_equal(agreeing([codes[:, :100], codes[:, 100:]]), ones @ ones.T + (1 - ones) @ (1 - ones).T)


def test_nwot_is_the_plain_log_determinant_unless_two_codes_are_equal():
    codes = torch.rand(6, 400, generator=torch.Generator().manual_seed(0)) > 0.5
    assert log_det(agreeing([codes])) == pytest.approx(np.linalg.slogdet(agreeing([codes]))[1], rel=1e-12)
    twice = torch.cat([codes, codes[:1]])
    assert np.linalg.matrix_rank(agreeing([twice])) == 6
    assert math.isfinite(log_det(agreeing([twice])))
    assert log_det(agreeing([twice])) < log_det(agreeing([codes]))


def test_regions_are_one_for_equal_images_and_all_for_different_ones():
    same, y = images()
    same = same[:1].expand(8, -1, -1, -1)
    assert value(small(), "regions", (same, y)) == 1.0
    assert value(small(), "regions", images()) == 8.0
    assert distinct(np.array([[3.0, 3, 1], [3, 3, 1], [1, 1, 3]]), 3) == pytest.approx(2)


def test_zico_of_one_batch_is_zero_and_of_two_the_mean_over_the_spread():
    one = torch.tensor([[1.0, -2.0, 3.0]])
    assert of_gradients([one]) == 0.0
    two = torch.tensor([[1.0, -2.0, 3.0], [3.0, 2.0, 3.0]])  # means of sizes 2, 2, 3; deviations 1, 2, 0
    assert of_gradients([two]) == pytest.approx(math.log(2 / 1 + 2 / 2))
    assert of_gradients([two, two]) == pytest.approx(2 * math.log(3))
    batch = images()
    assert value(small(), "zico", batch, batch) == 0.0


def test_the_condition_number_of_a_kernel():
    assert condition(np.diag([4.0, 2.0, 0.5])) == pytest.approx(8)
    assert condition(np.zeros((3, 3))) == NOTHING
    assert 1e15 < condition(np.ones((3, 3))) < 1e16, "singular, as far as rounding can tell"


def test_the_kernel_is_that_of_the_gradients_of_each_images_logits():
    module, (x, y) = small(), images(4)
    run = small().eval()
    run[1].train()
    rows = []
    for k in range(4):
        run.zero_grad()
        run(x)[k].sum().backward()
        rows.append(torch.cat([p.grad.flatten() for n, p in run.named_parameters() if n.endswith("weight")]).double())
    slopes = torch.stack(rows).numpy()
    assert value(module, "ntk", (x, y)) == pytest.approx(-condition(slopes @ slopes.T), rel=1e-3)


def test_the_proxies_of_a_gradient_are_what_their_formulas_say():
    x, y = images()
    run = small().eval()
    run[1].train()
    outs = {}
    for part in (run[0], run[3], run[7]):
        part.register_forward_hook(lambda part, _, out: outs.setdefault(part, out).retain_grad() or out.clone())
    learnt = [part.weight for part in (run[0], run[3], run[7])]
    loss = functional.cross_entropy(run(x), y)
    loss.backward(retain_graph=True)
    found = score(small(), (x, y), ["grad_norm", "snip", "plain", "fisher", "l2_norm", "params"], seed=0)
    with torch.no_grad():
        assert found["grad_norm"].value == pytest.approx(sum(float(w.grad.norm()) for w in learnt), rel=1e-4)
        assert found["snip"].value == pytest.approx(sum(float((w * w.grad).abs().sum()) for w in learnt), rel=1e-4)
        assert found["plain"].value == pytest.approx(sum(float((w * w.grad).sum()) for w in learnt), rel=1e-3, abs=1e-6)
        assert found["l2_norm"].value == pytest.approx(sum(float(w.norm()) for w in learnt), rel=1e-6)
        weighed = 0.0
        for part, out in outs.items():
            product = (out * out.grad).flatten(2).sum(2) if out.dim() == 4 else out * out.grad
            weighed += float((0.5 * product.square().mean(0)).sum()) * part.weight[0].numel()
    assert found["fisher"].value == pytest.approx(weighed, rel=1e-4)
    assert found["params"].value == sum(p.numel() for p in run.parameters())


def test_grasp_is_minus_the_weights_times_the_hessian_times_the_gradient():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 4, bias=False), nn.Tanh(), nn.Linear(4, 3, bias=False))
    x, y = images(5, shape=(6, 1, 1))
    shapes = [module[1].weight.shape, module[3].weight.shape]
    start = torch.cat([module[1].weight.detach().flatten(), module[3].weight.detach().flatten()])

    def loss(flat):
        a, b = flat.split([s.numel() for s in shapes])
        hidden = torch.tanh(x.flatten(1) @ a.view(shapes[0]).T)
        return functional.cross_entropy(hidden @ b.view(shapes[1]).T, y)

    slope = torch.autograd.functional.jacobian(loss, start)
    curve = torch.autograd.functional.hessian(loss, start)
    assert value(module, "grasp", (x, y)) == pytest.approx(-float(start @ curve @ slope), rel=1e-4)


def test_zen_grows_with_depth_and_width_and_sees_no_weights():
    def chain(width, depth):
        parts = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        for _ in range(depth):
            parts += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3))

    def zen(module, seed=0):
        return score(module, [], ["zen"], seed=seed, shape=(3, 8, 8))["zen"].value

    assert zen(chain(4, 1)) < zen(chain(4, 4)) < zen(chain(16, 4))
    assert zen(chain(8, 2)) == zen(chain(8, 2)) != zen(chain(8, 2), seed=1)


# measured with the released modules of alibaba/lightweight-neural-architecture-search
@pytest.mark.parametrize(("name", "total"), [("deepmad-r18", 32120.203), ("deepmad-r50", 48919.277)])
def test_entropy_is_that_of_the_released_networks(name, total):
    space = catalogue()[name].alone()
    arch = next(iter(space))
    found = score(
        nn.Flatten(), [], ["entropy"], seed=0, shape=space.input, flat=graph(space.network(arch), space.input)
    )
    assert found["entropy"].value == pytest.approx(total, abs=1e-3)


def test_entropy_counts_the_longest_path_and_nothing_that_no_path_reaches():
    def of(text):
        return stages(graph(SPACE.network(SPACE.parse(text)), SPACE.input))

    short = of("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|")
    beside = of("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|skip_connect~2|")
    assert short == beside
    assert len(short) == 3
    assert of(NONE) == []


def test_a_module_is_left_as_it_came():
    module, batch = small().train(), images()
    module[7].weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    score(module, [batch, images(seed=1)], list(PROXIES), seed=0)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert module.training
    assert module[1].training
    assert module[0].weight.grad is None
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert not module[7].weight.requires_grad
    assert module[0].weight.requires_grad


def test_a_proxy_has_the_same_value_alone_and_beside_others():
    batches = [images(), images(seed=1)]
    together = score(small(), batches, list(PROXIES), seed=0)
    for name in PROXIES:
        alone = score(small(), batches, [name], seed=0)[name]
        assert alone.value == pytest.approx(together[name].value, rel=1e-4, nan_ok=True), name
        assert alone.seconds > 0
    assert together["entropy"].why
    assert not any(made.why for name, made in together.items() if name != "entropy")


def test_scoring_leaves_no_graph_behind():
    batches = [images(), images(seed=1)]
    score(small(), batches, list(PROXIES), seed=0)
    gc.collect()
    gc.disable()
    try:
        before = sum(issubclass(type(x), torch.Tensor) for x in gc.get_objects())
        score(small(), batches, list(PROXIES), seed=0)
        assert sum(issubclass(type(x), torch.Tensor) for x in gc.get_objects()) == before
    finally:
        gc.enable()


def test_a_cell_of_none_has_finite_scores_or_named_ones():
    space = nasbench201((3, 8, 8), 3, cells=1, channels=4)
    torch.manual_seed(0)
    found = score(network(NONE, space), [images(), images(seed=1)], list(PROXIES), seed=0)
    bad = {name for name, made in found.items() if math.isnan(made.value)}
    assert bad == {"zen", "jacob_cov", "epe_nas", "entropy"}
    assert all(found[name].why for name in bad)
    assert found["grad_norm"].value >= 0
    assert found["grasp"].value == 0.0
    assert found["ntk"].value == -NOTHING
    assert found["regions"].value == 1.0


def test_a_network_of_other_activations_has_no_code():
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Tanh(), nn.Linear(4, 3))
    found = score(module, images(), ["nwot", "snip"], seed=0)
    assert math.isnan(found["nwot"].value)
    assert "no activation" in found["nwot"].why
    assert found["snip"].value > 0


def test_what_a_proxy_lacks_is_said():
    with pytest.raises(ValueError, match="zico needs 2 batches"):
        score(small(), images(), ["zico"], seed=0)
    with pytest.raises(ValueError, match="shape of an image"):
        score(small(), [], ["synflow"], seed=0)
    with pytest.raises(KeyError):
        score(small(), images(), ["accuracy"], seed=0)
    assert set(DATA_FREE) == {"params", "macs", "l2_norm", "synflow", "zen", "entropy"}


def test_counts_without_a_graph_are_those_of_the_profile():
    space = nasbench201((3, 8, 8), 3, cells=1, channels=4)
    arch = space.parse(RESIDUAL)
    module, flat = network(RESIDUAL, space), graph(space.network(arch), space.input)
    bare = score(module, [], ["params", "macs"], seed=0, shape=space.input)
    read = score(module, [], ["params", "macs"], seed=0, shape=space.input, flat=flat)
    assert (bare["params"].value, bare["macs"].value) == (read["params"].value, read["macs"].value)


def test_entropy_is_the_objective_of_the_program():
    made, space = released("r18"), catalogue()["deepmad-r18"].alone()
    published = catalogue()["deepmad-r18"]
    found = stages(graph(space.network(next(iter(space))), space.input))
    levels = measure(made.template, made.score, Batch.of([design_of(published.arch.labels)])).entropies[0]
    assert [*found[:-1], 8 * found[-1]] == pytest.approx(list(levels), rel=1e-12)
