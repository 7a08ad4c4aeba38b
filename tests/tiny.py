"""Small spaces that several tests of shared weights read."""

from dataclasses import dataclass

import numpy as np

import nas
from nas.tree import Dag, Node, Take, TrainHead, Zero
from search_spaces import mobile
from search_spaces.ops import Act, AvgPool, Classifier, Conv, ConvNormAct, Norm, ReluConvNorm

small = mobile((1, 8, 8), 3, widths=(8, 16), multipliers=(0.5, 1.0), depths=(1, 2), kernels=(3, 5), expands=(2, 3))


def over(name, *options):
    return nas.Choice(name, options)


def space(*items, head=True, shape=(2, 6, 6), **rest):
    return nas.Space("test", nas.Chain.seq(*items, *([Classifier(3)] if head else [])), shape, **rest)


def drawn(some, count, seed=0):
    rng = np.random.default_rng(seed)
    return [some.sample(rng) for _ in range(count)]


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
