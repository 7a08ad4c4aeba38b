from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from nas.export import prove
from nas.profile import profile
from nas.tree import (
    Call,
    Chain,
    Concat,
    Cost,
    Dag,
    Each,
    Identity,
    Node,
    Scan,
    Shape,
    Sum,
    Take,
    TrainHead,
    Zero,
)
from search_spaces.ops import (
    Act,
    AvgPool,
    Classifier,
    Conv,
    ConvNormAct,
    DropPath,
    Linear,
    MaxPool,
    MBConv,
    Norm,
    SqueezeExcite,
)
from tests.exports import IMAGE, macs, tidy, written


@dataclass(frozen=True)
class Join(Node):
    """Two branches and the input, joined."""

    channels: int

    def lower(self, shape: Shape) -> Node:
        wide = Chain.of(pool=MaxPool(3), conv=Conv(self.channels, 3))
        return Concat.of(thin=Conv(self.channels, 1), wide=wide, same=Identity())


@dataclass(frozen=True)
class Steps(Node):
    output: str
    channels: int

    def lower(self, shape: Shape) -> Node:
        both = Sum.of(left=Take(0, Conv(self.channels, 1)), right=Take(1, Identity()))
        none = Sum.of(left=Take(2, Zero()), right=Take(3, Zero()))
        return Dag.of(
            self.output, first=Take(0, ConvNormAct(self.channels)), both=both, pool=Take(1, AvgPool()), none=none
        )


@dataclass(frozen=True)
class From(Node):
    """A composite that sees all values and takes one."""

    source: int

    def lower(self, shape: Shape) -> Node:
        return Chain.of(take=Take(self.source, Identity()), act=Act("silu"), conv=Conv(6, 1))


@dataclass(frozen=True)
class Bilinear(Node):
    def call(self, shape: Shape) -> Call:
        return Call.of(nn.Bilinear, shape[0][0], shape[1][0], 5)

    def out(self, shape: Shape) -> Shape:
        return (5,)

    def cost(self, shape: Shape) -> Cost:
        return Cost(shape[0][0] * shape[1][0] * 5 + 5)


@dataclass(frozen=True)
class Recurrent(Node):
    width: int

    def lower(self, shape: Shape) -> Node:
        mixed = Take((0, 1), Concat.of(new=Take(0, Identity()), old=Take(1, Identity())))
        return Dag.of(mixed=mixed, out=Take(2, Chain.of(linear=Linear(self.width), act=Act("tanh"))))


@dataclass(frozen=True)
class Pair(Node):
    """The next two states, by one set of weights."""

    width: int

    def lower(self, shape: Shape) -> Node:
        return Take((0, 2), Each(Chain.of(linear=Linear(self.width), act=Act("tanh"))))


@dataclass(frozen=True)
class Wasteful(Node):
    """A next state beside which something is computed that nothing reads, from the old state and from that."""

    def lower(self, shape: Shape) -> Node:
        twice = Take(2, Chain.of(linear=Linear(3), act=Act("tanh")))
        return Dag.of(idle=Take(1, Linear(2)), twice=twice, state=Take(0, Linear(4)))


@dataclass(frozen=True)
class Fitting(Node):
    """Another wiring for a small image, with the same weights."""

    def lower(self, shape: Shape) -> Node:
        conv = Conv(shape[0], 3)
        return Sum.of(conv=conv, skip=Identity()) if shape[1] > 4 else Chain.of(conv=conv)


@dataclass(frozen=True)
class Nest(Node):
    depth: int

    def lower(self, shape: Shape) -> Node:
        return Sum.of(inner=Nest(self.depth - 1) if self.depth else Conv(shape[0], 1), skip=Identity())


def residual(kernel: int) -> Node:
    return Sum.of(body=Chain.of(norm=Norm(), conv=Conv(6, kernel), act=Act("gelu")), skip=Identity())


HEADS = Concat.of(a=Take(0, Classifier(3)), b=Take(1, Classifier(2)))
WIDE = {f"a_rather_long_branch_name{k}": Conv(4, 1 + 2 * (k % 2)) for k in range(9)}
DEAD = Dag.of(
    one=Take(0, Conv(4, 3)),
    two=Take(1, ConvNormAct(4)),
    join=Sum.of(a=Take(0, Norm()), b=Take(2, Conv(4, 1))),
    three=Take(3, MBConv(4)),
    out=Take(0, Conv(4, 1)),
)
LONG = Sum.of(
    **{f"a_long_name_{k}": Sum.of(first_of_them=Conv(4, 1), second_of_them=Conv(4, 3), third=Norm()) for k in range(3)}
)
ODD: dict[str, tuple[Node, Shape]] = {
    "concat": (Chain.of(a=Join(4), b=Join(6), c=Join(6), head=Classifier(3)), IMAGE),
    "dags": (Chain.of(a=Steps("loose", 6), b=Steps("all", 6), c=Steps("last", 6), head=Classifier(3)), IMAGE),
    "takes": (Chain.of(s=Conv(6, 1), d=Dag.of("all", u=From(0), v=From(1), w=Sum.of(a=From(0), b=From(2)))), IMAGE),
    "bare": (Chain.seq(Conv(6), *[residual(3)] * 3, residual(5), Classifier(2)), IMAGE),
    "each": (Chain.of(each=Each(Chain.of(linear=Linear(6), act=Act())), join=Bilinear()), ((4,), (4,))),
    "shared": (Chain.of(each=Each(MBConv(6, 3, 2)), heads=Dag.of(out=HEADS)), ((6, 8, 8), (6, 4, 4))),
    "rewired": (Chain.of(each=Each(Fitting()), heads=Dag.of(out=HEADS)), ((6, 8, 8), (6, 4, 4))),
    "several": (Each(ConvNormAct(6)), (IMAGE, IMAGE)),
    "scan": (Chain.of(embed=Linear(5), scan=Scan(Recurrent(7), (7,)), again=Scan(Recurrent(4), (4,))), (6, 4)),
    "states": (Chain.of(scan=Scan(Pair(7), (7, 7)), head=Linear(3)), (6, 7)),
    "unread": (Chain.of(scan=Scan(Take((0, 1), Each(Linear(7))), (7, 7)), head=Linear(3)), (6, 7)),
    "wasteful": (Chain.of(scan=Scan(Wasteful(), (4,)), head=Linear(3)), (6, 7)),
    "dead": (Chain.of(stem=Conv(4), a=DEAD, b=DEAD, c=Sum.of(body=DEAD, skip=Identity()), head=Classifier(2)), IMAGE),
    "heads": (Chain.of(stem=Conv(4), aux=TrainHead(Classifier(3)), drop=DropPath(0.2), head=Classifier(2)), IMAGE),
    "sums": (Chain.of(sums=LONG, head=Classifier(2)), IMAGE),
    "zeros": (Chain.of(a=Zero(), b=ConvNormAct(4), c=Zero(), head=Classifier(2)), IMAGE),
    "nested": (Chain.of(x=Nest(3), self=Nest(3), c=Nest(2), head=Classifier(2)), IMAGE),
    "leaf": (Conv(3), IMAGE),
    "composite": (MBConv(4, squeeze=SqueezeExcite(), act="silu"), IMAGE),
    "nothing": (Identity(), IMAGE),
    "wide": (Chain.of(a=Sum.of(**WIDE), b=Concat.of(**WIDE)), IMAGE),
}


def test_every_structure_is_exported_rightly(tmp_path: Path) -> None:
    made = [(written(network, shape, tmp_path / name, name), network, shape) for name, (network, shape) in ODD.items()]
    for (folder, network, shape), found in zip(made, prove([f for f, _, _ in made]), strict=True):
        assert found["model.py"] <= 1e-5, folder.name
        assert found["params"] == profile(network, shape).total.params, folder.name
        assert found["macs"] == macs(network, shape) == profile(network, shape).total.macs, folder.name
    tidy(tmp_path)
