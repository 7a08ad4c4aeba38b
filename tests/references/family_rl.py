"""Sizes of the spaces that were searched by reinforcement learning, and what mirrored towers count."""

from __future__ import annotations

from nas.profile import profile
from search_spaces import conv_chain, recurrent, tabular
from tests.references.facts import Fact, Missed

RL = "Zoph and Le 2017, arXiv:1611.01578, sections 3.1 and 3.3; the product counted by hand"
HYPER = "Balaprakash et al. 2019, arXiv:1909.00311; the product counted by hand"


def mirrored() -> bool:
    """Whether a tower that two inputs share counts its parameters once and its work twice."""
    shapes = ((5,), (7,), (7,))
    space = tabular(shapes, 3, mirrored=(1, 2), nodes=1, cells=0, widths=(6,))
    arch = space.decide(lambda c: c.index("dense6_relu"))
    layers = {x.name: x.cost for x in profile(space.network(arch), shapes).layers}
    tower = layers["body.mirrored.tower.node1.dense6_relu.dense"]
    return (tower.params, tower.macs) == (7 * 6 + 6, 2 * 7 * 6)


FACTS = [
    Fact("conv_chain: one layer without strides", RL, 64, lambda: conv_chain(layers=1).size),
    Fact("conv_chain: one layer with strides", RL, 576, lambda: conv_chain(layers=1, strides=(1, 2, 3)).size),
    Fact("conv_chain: six layers, all skips, fixed strides", RL, 2**51, lambda: conv_chain(layers=6).size),
    Fact("recurrent: cells of base 8, 8^16 x 15^2", RL, 8**16 * 15**2, lambda: recurrent().size),
    Fact("tabular: three blocks of three nodes with 13 options", HYPER, 13**9, lambda: tabular(nodes=9, cells=0).size),
    Fact("tabular: a mirrored tower counts once", HYPER, True, mirrored),
]
MISSED = [
    Missed(
        "tabular: sizes of Combo small, Combo large, Uno small, NT3 small",
        "Balaprakash et al. 2019, arXiv:1909.00311",
        "2.0968e14, 2.987e44, 2.3298e13, 6.3504e8",
        "not built",
        "the lists of operations and skips of each are printed only in part",
    )
]
