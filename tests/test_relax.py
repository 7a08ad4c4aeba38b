"""Relaxed search: the gradients of two levels, the mix, what is derived, when it stops, and that it goes on exactly."""

import itertools
import json
import math
import pickle

import numpy as np
import pytest
import torch

from nas.data import Data
from nas.derive import derive, uses
from nas.errors import UserError
from nas.problem import Problem, at_most
from nas.space import Space
from nas.strategies.argmax import Argmax
from nas.training import Recipe
from nas.training.carry import carry
from nas.training.relax import FOUND, Descent, Relaxed, Sharpness, Skips, bilevel
from nas.training.relax.mixing import Mixing, plain
from nas.training.relax.searching import halves
from nas.training.relax.stop import Seen, largest_eigenvalue
from nas.tree import Chain, Choice, Sum
from nas.weights import Supernet, mixes
from search_spaces.darts import SEVEN, darts
from search_spaces.nasbench201 import OPERATIONS, nasbench201
from search_spaces.ops.conv import Conv
from search_spaces.ops.pool import AvgPool, Classifier
from tests.trainings import CPU, INFO, TRAIN, VALIDATION, Stop, silent, stop_after

RECIPE = Recipe(epochs=3, batch_size=16)
SMALL = nasbench201(input=(1, 8, 8), classes=3, cells=1, channels=2)
DARTS = darts(input=(1, 8, 8), classes=3, layers=3, channels=2, operations=("none", *SEVEN))
QUICK = Descent(alpha_rate=0.1, alpha_least=0.1)


def kept_edges():
    """Three edges into one node, which keeps two; each has one of three operations."""
    edges = {f"from{k}": Choice.over(f"node.from{k}", a=Conv(2, 1), b=Conv(2, 3), c=AvgPool(3, 1)) for k in range(3)}
    node = Sum.of(Choice.sets("node.inputs", tuple(edges), 2), **edges)
    return Space("kept", Chain.of(stem=Conv(2, 1), node=node, head=Classifier(3)), (1, 8, 8))


TINY = kept_edges()


class Closed:
    """Validation images that nothing may look at."""

    labels = VALIDATION.labels

    def __len__(self):
        raise AssertionError("a search looked at validation images")

    def take(self, index):
        raise AssertionError("a search looked at validation images")


def begun(method, space=TINY, recipe=RECIPE, seed=3):
    return method.begin(Problem(space), Data(INFO, TRAIN, Closed()), TRAIN, recipe, seed=seed, device=CPU)


def test_the_difference_of_second_order_is_the_analytic_gradient_of_a_toy_problem():
    # L_train = (w - a)^2 + a w^2 / 2, L_held = (w - 2)^2 + a^2 w / 2, one step of rate e with momentum and decay.
    w, a, rate, momentum, decay, m = 0.7, 0.4, 0.1, 0.9, 0.05, -0.3
    stepped = w - rate * (momentum * m + 2 * (w - a) + a * w + decay * w)
    held_by_w = 2 * (stepped - 2) + a**2 / 2
    analytic = a * stepped + held_by_w * -rate * (-2 + w)
    weight, alpha = (torch.tensor([x], requires_grad=True) for x in (w, a))

    def train():
        return ((weight - alpha) ** 2 + alpha * weight**2 / 2).sum()

    def held():
        return ((weight - 2) ** 2 + alpha**2 * weight / 2).sum()

    settings = {"rate": rate, "momentum": momentum, "decay": decay, "moments": [torch.tensor([m])]}
    found, loss = bilevel.second_order(alpha, [weight], train, held, **settings)
    assert found.item() == pytest.approx(analytic, abs=1e-3)
    assert loss.item() == pytest.approx((stepped - 2) ** 2 + a**2 * stepped / 2, rel=1e-5)
    assert weight.item() == pytest.approx(w)
    first, _ = bilevel.first_order(alpha, held)
    assert first.item() == pytest.approx(a * w)
    assert abs(first.item() - analytic) > 0.1


def test_second_order_is_the_gradient_through_the_step_of_a_supernet(monkeypatch):
    monkeypatch.setattr(bilevel, "RADIUS", 1e-6)  # the loss of so few images bends too much for the paper's 0.01
    supernet, mixing = Supernet(SMALL, seed=1).double().train(), Mixing(SMALL)
    alphas = mixing.first(0, 0.5).double().requires_grad_()
    weights, draw = list(supernet.parameters()), torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 8, 1, 8, 8, dtype=torch.float64, generator=draw), torch.arange(16).reshape(2, 8) % 3

    def loss(k):
        return torch.nn.functional.cross_entropy(supernet.relaxed(x[k], mixing(alphas)), y[k])

    def slopes(of, *inputs, **rest):
        return torch.autograd.grad(of, inputs, allow_unused=True, materialize_grads=True, **rest)

    found, _ = bilevel.second_order(alphas, weights, lambda: loss(0), lambda: loss(1), rate=0.05)
    steps, before = slopes(loss(0), *weights, create_graph=True), [w.detach().clone() for w in weights]
    for weight, step in zip(weights, steps, strict=True):
        weight.data = weight.data - 0.05 * step.detach()
    direct, *v = slopes(loss(1), alphas, *weights)
    for weight, value in zip(weights, before, strict=True):
        weight.data = value
    steps = slopes(loss(0), *weights, create_graph=True)
    (through,) = slopes(sum((s * some).sum() for s, some in zip(steps, v, strict=True)), alphas)
    exact = direct - 0.05 * through
    assert float((found - exact).norm()) < 1e-3 * float(exact.norm())
    assert float((direct - exact).norm()) > 1e-2 * float(exact.norm())


def test_a_softmax_mix_has_the_shape_that_the_supernet_wants_and_keeps_every_edge():
    mixing = Mixing(DARTS)
    mix = mixing(mixing.first(0, 1.0))
    assert {name: len(weights) for name, weights in mix.items()} == mixes(DARTS)
    assert mixing.size == 2 * 14 * 8
    for name, weights in mix.items():
        assert float(weights.sum()) == pytest.approx(len(weights) if name.endswith("inputs") else 1)


def test_edge_weights_multiply_the_options_of_every_node_the_first_one_too():
    mixing = Mixing(DARTS, edges=True)
    assert mixing.size == 2 * (14 * 8 + 14)
    mix = mixing(mixing.first(0, 1.0))
    for kind, n in itertools.product(("normal", "reduce"), (2, 3, 4, 5)):
        edges = [float(mix[f"{kind}.node{n}.from{k}"].sum()) for k in range(n)]
        assert sum(edges) == pytest.approx(1)
        assert len({round(edge, 5) for edge in edges}) == n


def by_hand(mix, kind, n):
    """DARTS's rule as the paper has it: the two edges whose best operation weighs most, `none` apart."""
    best = {k: max(zip(mix[f"{kind}.node{n}.from{k}"][1:], SEVEN, strict=True)) for k in range(n)}
    return {f"from{k}": best[k][1] for k in sorted(best, key=lambda k: -best[k][0])[:2]}


@pytest.mark.parametrize("edges", [False, True])
def test_the_derived_cells_are_those_of_the_papers_rule(edges):
    mixing = Mixing(DARTS, edges=edges)
    for seed in range(5):
        mix = plain(mixing(mixing.first(seed, 2.0)))
        arch = derive(DARTS, mix, never=("none",))
        for kind, n in itertools.product(("normal", "reduce"), (2, 3, 4, 5)):
            kept = {f"from{k}": arch.labels.get(f"{kind}.node{n}.from{k}") for k in range(n)}
            assert {edge: op for edge, op in kept.items() if op} == by_hand(mix, kind, n)
        assert not uses(arch, "none")


def test_none_is_derived_where_it_may_be():
    mix = {name: [0.5, 0.2, 0.1, 0.1, 0.1] for name in SMALL.choices}
    assert set(derive(SMALL, mix).labels.values()) == {"none"}
    assert set(derive(SMALL, mix, never=("none",)).labels.values()) == {"skip_connect"}
    assert uses(derive(SMALL, mix, never=("none",)), "skip_connect", "node3") == 3


def test_a_mix_of_another_space_is_refused_by_the_choice():
    with pytest.raises(KeyError, match=r"node1\.from0"):
        derive(SMALL, {})
    with pytest.raises(ValueError, match=r"node1\.from0.*needs 5 numbers"):
        derive(SMALL, {name: [1.0] for name in SMALL.choices})


@pytest.mark.parametrize("space", [TINY, SMALL])
def test_argmax_asks_for_every_member_in_the_order_of_its_weight(space):
    rng = np.random.default_rng(4)
    mix = {name: rng.random(count).tolist() for name, count in mixes(space).items()}

    def weight(arch):
        total = 0.0
        for name, label in arch.choices:
            items = [f"from{k}" for k in range(3)]
            some = str(label).split("_") if name.endswith("inputs") else [label]
            where = items if name.endswith("inputs") else space.choices[name].labels
            total += sum(math.log(mix[name][list(where).index(one)]) for one in some)
        return total

    strategy, count = Argmax(Problem(space), mix), min(space.size, 30)
    asked = [strategy.ask(rng).arch for _ in range(count)]
    best = sorted(map(weight, space), reverse=True)[:count]
    assert [weight(arch) for arch in asked] == pytest.approx(best)
    assert len(set(asked)) == count
    assert asked[0] == derive(space, mix)
    if count == space.size:
        assert strategy.ask(rng) is None


def test_argmax_keeps_the_limits():
    mix = {name: [0.01, 0.01, 0.01, 0.9, 0.01] for name in SMALL.choices}
    limit = Problem(SMALL).screen(derive(SMALL, mix)).metrics["params"] - 1
    asked = Argmax(Problem(SMALL, constraints=(at_most("params", limit),)), mix).ask(np.random.default_rng(0))
    assert Problem(SMALL).screen(asked.arch).metrics["params"] <= limit
    assert OPERATIONS[3] in asked.arch.labels.values()


@pytest.mark.parametrize(
    ("values", "largest"), [([3.0, 1.0, -2.0], 3.0), ([-5.0, 1.5, 0.1], 1.5), ([0.0, 0.0, 0.0], 0)]
)
def test_the_largest_eigenvalue_is_that_of_the_hessian(values, largest):
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))
    matrix = turn @ torch.diag(torch.tensor(values)) @ turn.T
    draw = torch.Generator().manual_seed(0)
    found = largest_eigenvalue(lambda a: a @ matrix @ a / 2 + (a**3).sum() / 6, torch.zeros(3), draw)
    assert found == pytest.approx(largest, abs=0.05 * max(1, largest))


def test_growing_sharpness_returns_the_alphas_from_before_it_grew():
    stop = Sharpness(window=3, back=2, ratio=0.75, start=1)

    def said(values):
        seen = [Seen({})]
        for epoch, value in enumerate(values, 1):
            seen.append(Seen({}, value))
            if (found := stop(SMALL, seen)) is not None:
                return epoch, found
        return None

    assert said([1.0] * 20) is None
    assert said([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]) is None
    # At epoch 6 the means are 1 and 4/3, whose ratio is 0.75; at epoch 7 they are 1 and 5/3.
    assert said([1.0] * 5 + [2.0, 2.0]) == (7, 4)
    assert Sharpness(start=10)(SMALL, [Seen({}, float(k)) for k in range(17)]) is None


def test_two_skips_return_the_epoch_before():
    skip, conv = [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]
    one, two = ({n: skip if k < m else conv for k, n in enumerate(SMALL.choices)} for m in (1, 2))
    assert Skips()(SMALL, [Seen(one), Seen(one)]) is None
    assert Skips()(SMALL, [Seen(one), Seen(one), Seen(two)]) == 1
    assert Skips(start=3)(SMALL, [Seen(one), Seen(one), Seen(two)]) is None


def test_a_stop_ends_the_search_and_leaves_the_alphas_of_its_epoch(tmp_path):
    session = begun(Relaxed(stop=Skips(limit=0, start=2), descent=QUICK))
    carry(session, seed=3, device=CPU, folder=tmp_path, report=silent)
    made = json.loads((tmp_path / FOUND).read_text())
    assert (session.epoch, made["epoch"], made["stopped"], len(made["mixes"])) == (2, 1, True, 3)
    assert made["mix"] == made["mixes"][1] != made["mixes"][2]
    carry(begun(Relaxed(descent=QUICK)), seed=3, device=CPU, folder=tmp_path / "whole", report=silent)
    assert json.loads((tmp_path / "whole" / FOUND).read_text())["mixes"][:3] == made["mixes"]


@pytest.mark.parametrize(
    "method",
    [Relaxed(order=2, descent=QUICK), Relaxed(edges=True, warmup=1, descent=QUICK, stop=Sharpness(start=1))],
)
def test_a_search_that_was_stopped_goes_on_with_the_same_numbers(method, tmp_path):
    straight = begun(pickle.loads(pickle.dumps(method)))
    carry(straight, seed=3, device=CPU, folder=tmp_path / "a", report=silent)
    with pytest.raises(Stop):
        carry(begun(method), seed=3, device=CPU, folder=tmp_path / "b", report=stop_after(1))
    again = begun(method)
    carry(again, seed=3, device=CPU, folder=tmp_path / "b", report=silent)
    assert (tmp_path / "a" / FOUND).read_text() == (tmp_path / "b" / FOUND).read_text()
    assert all(torch.equal(a, b) for a, b in zip(straight.weights, again.weights, strict=True))
    assert torch.equal(straight.alphas, again.alphas)


def test_alphas_are_frozen_while_the_weights_warm_up():
    session = begun(Relaxed(warmup=1, descent=QUICK))
    before, weights = session.alphas.detach().clone(), [w.detach().clone() for w in session.weights]
    session.run_epoch()
    assert torch.equal(session.alphas, before)
    assert any(not torch.equal(a, b) for a, b in zip(weights, session.weights, strict=True))
    session.run_epoch()
    assert not torch.equal(session.alphas, before)


def test_the_halves_are_equal_apart_and_within_the_training_images():
    one, other = halves(TRAIN, 5)
    assert len(one) == len(other) == len(TRAIN) // 2
    assert not set(one.index.tolist()) & set(other.index.tolist())
    assert not torch.equal(halves(TRAIN, 6)[0].index, one.index)


def test_the_rates_fall_as_the_released_schedule():
    assert Descent().rates(0, 50) == pytest.approx((0.025, 3e-4))
    assert Descent().rates(25, 50)[0] == pytest.approx(0.013)
    assert Descent().rates(49, 50)[0] == pytest.approx(0.001 + 0.024 * (1 + math.cos(math.pi * 0.98)) / 2)


def test_parts_of_the_search_reach_the_supernet():
    session = begun(Relaxed(parts={"affine": False, "norm_after_pool": True, "partial": 2}), SMALL)
    assert session.supernet.parts["partial"] == 2
    assert not any("norm" in name and "head" not in name for name, _ in session.supernet.named_parameters())
    session.run_epoch()


def test_bad_input_is_refused_in_one_line():
    holes = Space("holes", Chain.of(conv=Conv(Choice("width", (2, 4)), 1), head=Classifier(3)), (1, 8, 8))
    with pytest.raises(UserError, match="'holes' cannot be relaxed: .*'width'"):
        begun(Relaxed(), holes)
    with pytest.raises(UserError, match="order 1 or 2, not 3"):
        Relaxed(order=3)
    with pytest.raises(UserError, match="no node of the space 'holes' has several edges"):
        begun(Relaxed(edges=True), holes)
    with pytest.raises(UserError, match="no squash 'tanh'"):
        begun(Relaxed(squash="tanh"))
