"""First weights and learning rates by the architecture."""

import math

import numpy as np
import pytest
import torch

import nas
from nas.build import build
from nas.evaluators.scratch import prepared
from nas.graph import graph
from nas.problem import Proposal
from nas.training import Recipe, seeded
from nas.training.aware import Paths, aware, cells, degrees, initialise, kernels, paths, readouts, share
from nas.training.recipe import AWARE
from search_spaces import mobile, nasbench201
from search_spaces.ops import Act, Classifier, Conv, ConvNormAct, Linear, Norm
from tests.references.family_scaling import dag

WIDTH = 512


def listed(code):
    """The weight layers of every path of a code, by going along all of them."""
    rows = code.split("_")

    def lengths(node):
        if node == 0:
            return [0]
        edges = enumerate(rows[node - 1])
        return [(e == "2") + deep for k, e in edges if e != "0" for deep in lengths(k)]

    return lengths(len(rows))


def codes(count, nodes, letters="012", seed=0):
    rng = np.random.default_rng(seed)
    rows = ["_".join("".join(rng.choice(list(letters), n)) for n in range(1, nodes + 1)) for _ in range(count)]
    return [code for code in rows if listed(code)]


def test_the_recursion_is_the_enumeration():
    for code in codes(60, 5):
        found, known = paths(graph(dag(code), (4,))), listed(code)
        assert found == Paths(len(known), *(sum(deep**k for deep in known) for k in (1, 2, 3))), code
        assert found.longer(3).sum3 == sum((deep + 3) ** 3 for deep in known)
    with pytest.raises(ValueError, match="no path"):
        paths(graph(dag("0_00"), (4,))).ratio(3)


def test_paths_beyond_count_are_counted():
    found = paths(graph(dag("_".join("2" * n for n in range(1, 41))), (4,)))
    assert found.count == 2**39
    assert 0 < found.ratio(3) < 1e-6


def test_a_chain_goes_down_with_its_depth():
    def chain(depth):
        return nas.Chain.seq(*[Linear(4)] * depth)

    assert share(chain(3), (4,)) == pytest.approx(1)
    assert share(chain(12), (4,)) == pytest.approx((3 / 12) ** 1.5)


def test_kernels_are_meant_geometrically():
    tree = nas.Chain.of(a=Conv(4, 3), b=Conv(4, (1, 9)), head=Classifier(2))
    assert kernels(graph(tree, (3, 9, 9))) == pytest.approx(1)
    assert kernels(graph(nas.Chain.of(a=Linear(3)), (4,))) == 1


def test_cells_are_the_innermost_graphs():
    space = nasbench201(cells=2, channels=4)
    arch = space.sample(np.random.default_rng(0))
    assert len(cells(space.network(arch), space.input)) == 6, "the residual blocks between the stages are none"
    blocks = mobile((3, 32, 32), 4)
    flat = cells(blocks.network(blocks.sample(np.random.default_rng(1))), blocks.input)
    assert all(isinstance(node, nas.Sum) for node, _ in flat)


def test_degrees_are_the_terms_of_the_sum_that_a_layer_feeds():
    def edge(source):
        return nas.Take(source, nas.Chain.of(act=Act("relu"), linear=Linear(4), norm=Norm()))

    tree = nas.Chain.of(
        stem=Linear(4),
        body=nas.Dag.of(
            node1=nas.Sum.of(from0=edge(0)),
            node2=nas.Sum.of(from0=edge(0), from1=edge(1), skip=nas.Take(0, nas.Identity())),
            node3=nas.Sum.of(from1=nas.Take(1, nas.Zero()), from2=edge(2), from0=edge(0)),
        ),
        head=Linear(2),
    )
    flat = graph(tree, (4,))
    found = degrees(flat)
    assert {path: found[path] for path in ("stem", "head", "body.node1.from0.linear")} == {
        "stem": 1,
        "head": 1,
        "body.node1.from0.linear": 1,
    }
    assert found["body.node2.from1.linear"] == 3
    assert found["body.node3.from2.linear"] == 2
    assert readouts(flat) == {"head"}


def moments(code, draws=16, by_degree=True):
    """The second moment of each node's values against the first's, on Gaussian input, over several draws of weights."""
    tree = nas.Chain.of(stem=Linear(WIDTH, bias=False), body=dag(code, WIDTH), last=Act("relu"), head=Linear(2))
    flat, module, g = graph(tree, (WIDTH,)), build(tree, (WIDTH,)), torch.Generator().manual_seed(len(code))
    stem, parts, made = module.get_submodule("stem"), module.get_submodule("body"), []
    for _ in range(draws):
        initialise(module, flat, g)
        with torch.no_grad():
            values = [stem(torch.randn(64, WIDTH, generator=g))]
            for to, row in enumerate(code.split("_"), 1):
                edges = [(k, parts.get_submodule(f"node{to}.from{k}.linear")) for k, e in enumerate(row) if e == "2"]
                grown = 1 if by_degree else math.sqrt(len(edges))
                values.append(sum(layer(values[k].relu()) for k, layer in edges) * grown)
        made.append([float(v.square().mean() / values[0].square().mean()) for v in values[1:]])
    return np.mean(made, axis=0)


@pytest.mark.parametrize("code", [c for c in codes(60, 4, "02", seed=4) if all("2" in row for row in c.split("_"))][:3])
def test_values_keep_their_second_moment_in_random_graphs(code):
    assert moments(code) == pytest.approx(1, abs=0.05)


def test_without_the_degrees_they_grow():
    assert moments("2_22_222", 4, by_degree=False) == pytest.approx([1, 2, 4], rel=0.1)
    assert moments("2_22_222", 4) == pytest.approx(1, abs=0.1)


def test_the_first_weights_are_as_the_rule_says():
    tree = nas.Chain.of(stem=ConvNormAct(64, 3), mid=Conv(64, 3, bias=True), head=Classifier(10))
    module = build(tree, (3, 8, 8))
    initialise(module, graph(tree, (3, 8, 8)), torch.Generator().manual_seed(0))
    assert float(module.get_submodule("mid").weight.detach().std()) == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.02)
    linear = module.get_submodule("head.linear")
    assert float(linear.weight.detach().std()) == pytest.approx(2 / 64, rel=0.05), "the readout has the square"
    assert not linear.bias.detach().any()
    assert not module.get_submodule("mid").bias.detach().any()


def test_a_recipe_says_whether():
    space = nasbench201((3, 8, 8), 4, cells=1, channels=4)
    proposal = Proposal(space.sample(np.random.default_rng(5)))
    network = space.network(proposal.arch)
    with seeded(3):
        plain = build(network, space.input).state_dict()
    module, recipe = prepared(space, proposal, Recipe(), seed=3)
    assert recipe == Recipe()
    assert all(torch.equal(v, plain[k]) for k, v in module.state_dict().items())
    module, recipe = prepared(space, proposal, Recipe(scaling="aware"), seed=3)
    assert recipe.lr == pytest.approx(AWARE * share(network, space.input))
    assert not torch.equal(module.state_dict()["stem.conv.weight"], plain["stem.conv.weight"])
    again, _ = prepared(space, proposal, Recipe(scaling="aware"), seed=3)
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in module.state_dict().items())
    assert aware(module, network, space.input, Recipe(scaling="aware", lr=1.0), seed=0).lr == share(
        network, space.input
    )


def test_a_recipe_refuses_what_the_rule_does_not_hold_for():
    with pytest.raises(nas.UserError, match="scaling=aware is a rule for sgd"):
        Recipe(scaling="aware", optimiser="adamw")
    with pytest.raises(nas.UserError, match="there are: none, aware"):
        Recipe(scaling="mup")
