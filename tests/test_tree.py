"""The tree, its filling, and the readings of its structure."""

from dataclasses import dataclass

import pytest
import torch

from nas.build import build
from nas.fill import fill
from nas.graph import graph, signature
from nas.profile import profile
from nas.space import Space
from nas.testing import space_laws
from nas.tree import Call, Chain, Choice, Concat, Cost, Dag, Each, Identity, Node, Refused, Scan, Sum, Take, Zero
from search_spaces.ops import Act, AvgPool, Classifier, Conv, ConvNormAct, Flatten, Linear, Norm


def first(choice):
    return 0


def test_a_choice_refuses_what_it_cannot_be():
    with pytest.raises(ValueError, match="no options"):
        Choice("a", ())
    with pytest.raises(ValueError, match="mixes"):
        Choice("a", (1, "x"))
    with pytest.raises(ValueError, match="different labels"):
        Choice("a", (1, 1))
    with pytest.raises(ValueError, match="letters, digits and _"):
        Choice("a", ("x y",))
    with pytest.raises(ValueError, match="needs labels"):
        Choice("a", (Identity(), Zero()))
    with pytest.raises(KeyError, match="has no option 20"):
        Choice("stage2.width", (16, 24)).index(20)


def test_a_node_is_composite_or_primitive_and_final():
    with pytest.raises(TypeError, match="composite defines lower"):

        class Both(Node):
            def lower(self, shape):
                return None

            def out(self, shape):
                return shape

    with pytest.raises(TypeError, match="final"):

        class Wider(Conv):
            pass


def test_items_need_names_of_letters_and_all_different():
    with pytest.raises(ValueError, match="one name for each"):
        Chain(("a", "a"), (Identity(), Identity()))
    with pytest.raises(ValueError, match="letters"):
        Sum(("a.b",), (Identity(),))


def test_what_is_cut_off_is_never_asked():
    asked = []
    tree = Chain.seq(Conv(Choice("w1", (4, 8))), Conv(Choice("w2", (4, 8))), depth=Choice("depth", (1, 2)))

    def pick(choice):
        asked.append(choice.name)
        return 0

    assert len(fill(tree, pick).items) == 1
    assert asked == ["depth", "w1"]


def test_two_choices_of_one_name_are_one_decision():
    small, large = (Choice("w", (c, 2 * c), labels=("thin", "wide")) for c in (4, 8))
    space = Space("tied", Chain.of(a=Conv(small), b=Conv(large)), (3, 8, 8))
    assert space.size == 2
    assert {tuple(profile(space.network(a), space.input).out) for a in space} == {(8, 8, 8), (16, 8, 8)}
    broken = Space("torn", Chain.of(a=Conv(Choice("w", (1, 2))), b=Conv(Choice("w", (1, 3)))), (3, 8, 8))
    with pytest.raises(ValueError, match="two choices named 'w'"):
        _ = broken.choices


def keep_spaces():
    steps = {f"s{k}": Chain.of(conv=Conv(4, Choice(f"k{k}", (1, 3)))) for k in range(3)}
    two = Choice.sets("keep", tuple(steps), 2)
    each = tuple(Choice(f"on{k}", (0, 1)) if k else None for k in range(3))
    head, moves = Classifier(3), "a concatenation of a variable set moves channels"
    yield Space("two_of", Chain.of(stem=Conv(4), sum=Sum.of(two, **steps), head=head), (3, 8, 8)), 3 * 4
    yield (
        Space("any_of", Chain.of(stem=Conv(4), cat=Concat.of(each, **steps), head=head), (3, 8, 8), shares=moves),
        2 * 3 * 3,
    )


@pytest.mark.parametrize(("space", "size"), list(keep_spaces()), ids=lambda v: getattr(v, "name", ""))
def test_keep_asks_for_what_is_kept_alone(space, size):
    assert space.size == size == len(set(space))
    for law in space_laws().values():
        law(space)


def test_a_sum_that_keeps_nothing_is_refused():
    with pytest.raises(Refused, match="keeps nothing"):
        fill(Sum.of((Choice("on", (0, 1)),), a=Identity()), first)


def structure():
    dag = Dag.of("loose", a=Take(0, Conv(4)), b=Take(0, AvgPool()), c=Take(1, Conv(2, 1)))
    pair = Dag.of(a=Take(0, Conv(4)), b=Take(0, Conv(4)), both=Take((1, 2), Chain.of(each=Each(Norm()), sum=_Add())))
    scan = Chain.of(flat=_Rows(), scan=Scan(_Cell(5), (5,)), last=Flatten(), out=Linear(3))
    yield "dag_loose", Chain.of(dag=dag, head=Classifier(3)), (3, 6, 6)
    yield "dag_all", Chain.of(dag=Dag(["a", "b"], dag.items[:2], "all"), head=Classifier(3)), (3, 6, 6)
    yield "concat", Chain.of(cat=Concat.of(a=Conv(2), b=Identity()), head=Classifier(3)), (3, 6, 6)
    yield "each", Chain.of(dag=pair, head=Classifier(3)), (3, 6, 6)
    yield "scan", scan, (1, 6, 7)


class _Added(torch.nn.Module):
    def forward(self, a, b):
        return a + b


@dataclass(frozen=True)
class _Add(Node):
    def call(self, shape):
        return Call.of(_Added)

    def out(self, shape):
        return shape[0]

    def cost(self, shape):
        return Cost()


class _Squeezed(torch.nn.Module):
    def forward(self, x):
        return x[:, 0]


@dataclass(frozen=True)
class _Rows(Node):
    def call(self, shape):
        return Call.of(_Squeezed)

    def out(self, shape):
        return shape[1:]

    def cost(self, shape):
        return Cost()


@dataclass(frozen=True)
class _Cell(Node):
    """An Elman cell: tanh of a linear layer of the input and one of the state."""

    width: int

    def lower(self, shape):
        parts = Dag.of(
            x=Take(0, Linear(self.width)),
            h=Take(1, Linear(self.width)),
            new=Sum.of(a=Take(2, Identity()), b=Take(3, Identity())),
        )
        return Chain.of(parts=parts, act=Act("tanh"))


@pytest.mark.parametrize(("tree", "shape"), [p[1:] for p in structure()], ids=[p[0] for p in structure()])
def test_every_structure_is_read_alike(tree, shape):
    module = build(tree, shape).eval()
    said = profile(tree, shape)
    assert tuple(module(torch.randn(2, *shape)).shape[1:]) == said.out
    assert said.total.params == sum(p.numel() for p in module.parameters())


def test_each_and_scan_have_one_set_of_weights():
    keys = dict(build(_Cell(5), ((7,), (5,))).named_parameters())
    tree, shape = next((t, s) for n, t, s in structure() if n == "scan")
    scanned = build(tree, shape)
    assert {k.removeprefix("scan.") for k, _ in scanned.named_parameters() if k.startswith("scan.")} == set(keys)
    x = torch.randn(2, 1, 6, 7)
    state = torch.zeros(2, 5)
    seen = []
    cell = scanned.scan.parts
    for t in range(6):
        state = torch.tanh(cell.x(x[:, 0, t]) + cell.h(state))
        seen.append(state)
    torch.testing.assert_close(scanned(x), scanned.out(torch.stack(seen, 1).flatten(1)))


def test_a_scan_costs_its_work_each_time_and_its_weights_once():
    said = profile(Scan(_Cell(5), (5,)), (6, 7))
    assert said.total == Cost((7 + 1) * 5 + (5 + 1) * 5, 6 * (7 + 5) * 5, 0)


def test_the_paths_of_the_tree_are_the_keys():
    tree = Chain.of(stem=ConvNormAct(4), mid=Choice.over("op", conv=Conv(4), none=Zero()), head=Classifier(2))
    keys = set(build(fill(tree, first), (3, 8, 8)).state_dict())
    assert {"stem.conv.weight", "mid.conv.weight", "head.linear.bias"} <= keys


def test_an_error_names_the_path_and_the_shapes():
    with pytest.raises(ValueError, match=r"body: a Sum needs equal shapes, got \(4, 8, 8\), \(3, 8, 8\)"):
        graph(Chain.of(body=Sum.of(a=Conv(4), b=Identity())), (3, 8, 8))
    with pytest.raises(ValueError, match="'op' is still open"):
        graph(Chain.of(a=Choice.over("op", one=Identity(), none=Zero())), (3, 8, 8))
    with pytest.raises(ValueError, match="needs an image"):
        graph(Conv(3), (7,))


def test_a_signature_knows_equal_networks():
    def name(tree):
        return signature(graph(tree, (4, 8, 8)))

    a, b = Conv(4), AvgPool()
    assert name(Sum.of(x=a, y=b)) == name(Sum.of(x=b, y=a))
    assert name(Chain.of(a=a)) == name(Chain.of(skip=Identity(), a=a))
    assert name(Sum.of(x=a, y=Chain.of(z=Zero(), b=b))) == name(a)
    assert name(Sum.of(x=Sum.of(x=a, y=b), y=a)) == name(Sum.of(x=a, y=a, z=b))
    assert name(Sum.of(x=a, y=a)) != name(a)
    assert name(Conv(4)) != name(Conv(4, 1))
    assert name(Chain.of(z=Zero(), a=a))[1] is False
    assert name(Dag.of(dead=Take(0, b), live=Take(0, a))) == name(a)


def test_a_value_is_zero_where_all_terms_are():
    out = build(Sum.of(x=Zero(), y=Chain.of(z=Zero())), (4, 2, 2))(torch.ones(3, 4, 2, 2))
    assert out.shape == (3, 4, 2, 2)
    assert not out.any()
