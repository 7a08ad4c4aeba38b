"""RegNets, scaled networks, and the learning rates of architectures: counts and ratios."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from math import prod

from nas import plugins
from nas.graph import graph
from nas.profile import Profile, profile
from nas.space import Space
from nas.training.aware import kernels, paths, share
from nas.tree import Chain, Choice, Dag, Identity, Node, Shape, Sum, Take, Tree, Zero
from search_spaces.nasbench201 import OPERATIONS, nasbench201
from search_spaces.ops import Act, Classifier, Conv, ConvNormAct, Linear
from search_spaces.scaling import Factors, factors, scaled
from tests.references.facts import Fact, Missed

PYCLS = "counted by the scaler and the complexity counters of facebookresearch/pycls 5719de6"
ZOO = "facebookresearch/pycls 5719de6, dev/model_complexity.json"
AWARE = "computed by the authors' code VITA-Group/principled_scaling_lr_init 674f69b"
TIMM = "built from timm 1.0.31"


def pycls(made: Profile) -> tuple[int, int, int]:
    """Parameters, flops and activations as pycls counts them.

    Its flops are MACs and additions of biases (of linear layers and of the gates' convolutions); its activations are
    also those that linear layers and maximum poolings put out.
    """
    flops, activations = made.total.macs, made.total.activations
    for layer in made.layers:
        out = prod(layer.out)
        if layer.op == "SqueezeExcite":
            flops += layer.cost.activations
        elif layer.op == "Linear":
            flops, activations = flops + out, activations + out
        elif layer.op == "MaxPool":
            activations += out
    return made.total.params, flops, activations


@cache
def scale(name: str, rule: str, macs: float = 4) -> tuple[Node, Shape]:
    """A published network scaled as pycls does, which leaves the stem of RegNets alone."""
    own = plugins.published(name).own
    keep = ("stem",) if name.startswith("regnet") else ()
    return scaled(own.network(plugins.published(name).arch), own.input, factors(rule, macs), keep=keep)


@cache
def counted(name: str, rule: str) -> tuple[int, int, int]:
    """What pycls counts of a published network, scaled to four times its MACs or as it is ("")."""
    return pycls(profile(*scale(name, rule)) if rule else plugins.published(name).profile())


def facts_of(name: str, rule: str, source: str, tag: str, expected: tuple[int, int, int]) -> list[Fact]:
    """The three counts of a network."""
    at = f"{name} scaled to 4x by {rule}" if rule else name
    words = ("params", "flops", "activations")
    return [
        Fact(f"{at} by pycls: {word}", source, count, _item(name, rule, k), "P" if tag == "P" else "M")
        for k, (word, count) in enumerate(zip(words, expected, strict=True))
    ]


def _item(name: str, rule: str, k: int) -> Callable[[], object]:
    return lambda: counted(name, rule)[k]


def depths(name: str, rule: str) -> tuple[int, ...]:
    """The number of blocks in each stage of a scaled network."""
    return tuple(len(item.items) for part, item in _stages(name, rule))


def widths(name: str, rule: str) -> tuple[int, ...]:
    """The channels that each stage of a scaled network puts out."""
    tree, shape = scale(name, rule)
    flat = graph(tree, shape)
    last = {op.path.partition(".")[0]: op.shape[0] for op in flat.ops if op.path.startswith("stage")}
    return tuple(last.values())


def group_widths(name: str, rule: str) -> set[int]:
    """The channels of a group in a scaled network's grouped convolutions."""
    ops = graph(*scale(name, rule)).ops
    return {op.reads[0] // op.node.groups for op in ops if isinstance(op.node, Conv) and op.node.groups > 1}


def exponent(rule: str) -> float:
    """By which power of the MACs the activations of RegNetY-4GF grow, from 1x to 4x."""
    return math.log(counted("regnety-4gf", rule)[2] / counted("regnety-4gf", "")[2], 4)


def _stages(name: str, rule: str) -> list[tuple[str, Chain]]:
    tree, _ = scale(name, rule)
    pairs = zip(tree.names, tree.items, strict=True)
    return [(part, item) for part, item in pairs if part.startswith("stage")]


ZOO_COUNTS = {
    "regnetx-200mf": (2684792, 199040872, 2164056),
    "regnetx-400mf": (5157512, 397678568, 3143272),
    "regnetx-600mf": (6196040, 600891112, 3975096),
    "regnetx-800mf": (7259656, 799700712, 5148744),
    "regnetx-1.6gf": (9190136, 1602850792, 7933512),
    "regnetx-3.2gf": (15296552, 3176622952, 11367432),
    "regnetx-4gf": (22118248, 3964499816, 12201608),
    "regnetx-6.4gf": (26209256, 6460292264, 16369744),
    "regnetx-8gf": (39572648, 7995133416, 14059688),
    "regnetx-12gf": (46106056, 12086679016, 21366568),
    "regnetx-16gf": (54278536, 15940756456, 25515496),
    "regnetx-32gf": (107811560, 31735930792, 36302160),
    "regnety-200mf": (3162996, 199519076, 2168052),
    "regnety-400mf": (4344144, 401849056, 3892496),
    "regnety-600mf": (6055160, 601227608, 4334296),
    "regnety-800mf": (6263168, 797183328, 5249888),
    "regnety-1.6gf": (11202430, 1612087326, 8044814),
    "regnety-3.2gf": (19436338, 3176496162, 11263418),
    "regnety-6.4gf": (30583252, 6355221876, 16407188),
    "regnety-8gf": (39180068, 7963074196, 17968916),
    "regnety-12gf": (51822544, 12092395504, 21384496),
    "regnety-16gf": (83590140, 15911534044, 23041228),
    "regnety-32gf": (145046770, 32279583362, 30261570),
}
REGNETY = {
    "": (20646656, 3973301344, 12287200),
    "fast": (68144472, 15608249240, 26542408),
    "dwr": (49386616, 15778146424, 35777176),
    "w": (80236144, 15730033872, 24171984),
    "d": (80921984, 15247504096, 39475168),
    "r": (20646656, 15882474592, 49110112),
    "dw": (76378522, 14573775258, 29205146),
}
B0 = {
    "": (5288548, 385825092, 6748036),
    "fast": (15824374, 1381124070, 13328046),
    "dwr": (13234516, 1696567884, 21548476),
    "w": (18122720, 1449978528, 13495072),
    "d": (20091856, 1575176640, 22784704),
    "r": (5288548, 1537547748, 26961124),
}
EXPONENTS = {"fast": 0.556, "w": 0.488, "dw": 0.625, "dwr": 0.771, "d": 0.842, "r": 0.9994}
COMPOUNDS = {  # depth, width, side, params, MACs
    "b1": (1.1, 1.0, 240, 7794184, 686802832),
    "b2": (1.2, 1.1, 260, 9109994, 993561872),
    "b3": (1.4, 1.2, 300, 12233232, 1827141392),
    "b4": (1.8, 1.4, 380, 19341616, 4393771024),
    "b5": (2.2, 1.6, 456, 30389784, None),
    "b6": (2.6, 1.8, 528, 43040704, None),
    "b7": (3.1, 2.0, 600, 66347960, 37745884192),
}


def compounds() -> list[Fact]:
    """EfficientNet-B0 scaled tree to tree by the coefficients of B1 to B7."""
    made = []
    for to, (depth, width, side, params, macs) in COMPOUNDS.items():
        about = f"efficientnet-b0 scaled by the coefficients of {to}"
        found = lambda d=depth, w=width, s=side: grown(d, w, s).total  # noqa: E731  # bound to its row
        made.append(Fact(f"{about}: params", TIMM, params, lambda f=found: f().params))
        if macs:
            made.append(Fact(f"{about}: macs", TIMM, macs, lambda f=found: f().macs))
    return made


@cache
def grown(depth: float, width: float, side: int) -> Profile:
    """EfficientNet-B0 with other depths and widths, at an image's side."""
    own = plugins.published("efficientnet-b0").own
    tree = own.network(plugins.published("efficientnet-b0").arch)
    made, _ = scaled(tree, own.input, Factors(depth, width), rounding="efficientnet")
    return profile(made, (3, side, side))


def dag(code: str, width: int = 4) -> Node:
    """The graph of a code, "2_02_002": for each node the edges from all earlier ones, 0 none, 1 skip, 2 a layer."""
    edges: dict[str, Callable[[], Node]] = {
        "0": Zero,
        "1": Identity,
        "2": lambda: Chain.of(act=Act("relu"), linear=Linear(width)),
    }
    return dag_of({f"{n}.{k}": edges[e]() for n, row in enumerate(code.split("_"), 1) for k, e in enumerate(row)})


def dag_of(edges: dict[str, Tree]) -> Node:
    """Nodes that sum what their edges make of earlier nodes; an edge is named "to.from"."""
    nodes: dict[str, dict[str, Node]] = {}
    for name, edge in edges.items():
        to, _, source = name.partition(".")
        nodes.setdefault(f"node{to}", {})[f"from{source}"] = Take(int(source), edge)
    return Dag.of(**{name: Sum.of(**terms) for name, terms in nodes.items()})


def every_dag(nodes: int) -> Space:
    """All graphs of so many nodes, the input's included."""
    made = {}
    for to in range(1, nodes):
        for source in range(to):
            edge = {"none": Zero(), "skip": Identity(), "layer": Linear(4)}
            made[f"{to}.{source}"] = Choice.over(f"node{to}.from{source}", **edge)
    return Space("dags", dag_of(made), (4,))


def released(code: str) -> float:
    """The ratio of a graph as the released code counts it: three layers on each path, against three."""
    return _six(paths(graph(dag(code), (4,))).ratio(3, added=3))


def cell(code: str) -> float:
    """The ratio of a NAS-Bench-201 network: 0 none, 1 skip, 2 and 3 convolutions, 4 pooling."""
    rows = enumerate(code.split("_"), 1)
    labels = {f"node{n}.from{k}": OPERATIONS[int(e)] for n, row in rows for k, e in enumerate(row)}
    space = nasbench201()
    return _six(share(space.network(space.read(labels)), space.input))


def kernel(side: int) -> float:
    """The factor of convolutions of one kernel."""
    tree = Chain.of(stem=ConvNormAct(8, side), body=ConvNormAct(8, side), head=Classifier(10))
    return kernels(graph(tree, (3, 16, 16)))


def _six(value: float) -> float:
    return float(f"{value:.6g}")


DAGS = {
    "2": 0.649519,
    "2_02": 0.464758,
    "2_02_002": 0.353553,
    "2_02_002_0002": 0.280566,
    "2_22": 0.377964,
    "2_12": 0.421464,
    "2_22_222_2222": 0.137409,
}
CELLS = {"1_01_001": 1.0, "1_11_111": 0.5, "3_03_103": 0.124035, "3_33_333": 0.0890871, "3_33_132": 0.0916698}

FACTS: list[Fact] = [
    *(f for name, row in ZOO_COUNTS.items() for f in facts_of(name, "", ZOO, "P", row)),
    *(f for rule, row in REGNETY.items() for f in facts_of("regnety-4gf", rule, PYCLS, "M", row)),
    *(f for rule, row in B0.items() for f in facts_of("efficientnet-b0", rule, PYCLS, "M", row)),
    Fact("regnety-4gf 4x by fast: depths", PYCLS, (2, 7, 14, 2), lambda: depths("regnety-4gf", "fast")),
    Fact("regnety-4gf 4x by fast: widths", PYCLS, (224, 336, 896, 1904), lambda: widths("regnety-4gf", "fast")),
    Fact("regnety-4gf 4x by fast: group widths", PYCLS, {112}, lambda: group_widths("regnety-4gf", "fast")),
    Fact("regnety-4gf 4x by fast: input", PYCLS, (3, 240, 240), lambda: scale("regnety-4gf", "fast")[1]),
    Fact("regnety-4gf 4x by dwr: depths", PYCLS, (3, 10, 19, 3), lambda: depths("regnety-4gf", "dwr")),
    Fact("regnety-4gf 4x by dwr: widths", PYCLS, (160, 240, 640, 1360), lambda: widths("regnety-4gf", "dwr")),
    Fact("regnety-4gf 4x by dwr: group widths", PYCLS, {80}, lambda: group_widths("regnety-4gf", "dwr")),
    Fact("regnety-4gf 4x by dwr: input", PYCLS, (3, 284, 284), lambda: scale("regnety-4gf", "dwr")[1]),
    Fact("regnety-4gf 4x by r: input", PYCLS, (3, 448, 448), lambda: scale("regnety-4gf", "r")[1]),
    Fact("efficientnet-b0 4x by fast: depths", PYCLS, (1, 2, 2, 3, 3, 5, 1), lambda: depths("efficientnet-b0", "fast")),
    Fact(
        "efficientnet-b0 4x by fast: widths",
        PYCLS,
        (24, 40, 72, 136, 192, 336, 560),
        lambda: widths("efficientnet-b0", "fast"),
    ),
    Fact("efficientnet-b0 4x by fast: input", PYCLS, (3, 240, 240), lambda: scale("efficientnet-b0", "fast")[1]),
    Fact("efficientnet-b0 4x by dwr: input", PYCLS, (3, 284, 284), lambda: scale("efficientnet-b0", "dwr")[1]),
    *(
        Fact(
            f"regnety-4gf 4x by {rule}: exponent of the activations",
            PYCLS,
            power,
            lambda r=rule, n=4 if rule == "r" else 3: round(exponent(r), n),
        )
        for rule, power in EXPONENTS.items()
    ),
    *compounds(),
    *(
        Fact(f"dag {code}: learning rate ratio", AWARE, ratio, lambda c=code: released(c))
        for code, ratio in DAGS.items()
    ),
    *(Fact(f"cell {code}: learning rate ratio", AWARE, ratio, lambda c=code: cell(c)) for code, ratio in CELLS.items()),
    Fact("dags of 5 nodes: number", AWARE, 59049, lambda: every_dag(5).size),
    Fact("NAS-Bench-201 codes of the learning rates: number", AWARE, 15625, lambda: nasbench201().size),
    Fact("kernel 5 for 3: learning rate ratio", AWARE, 0.6, lambda: _six(kernel(5))),
    Fact("kernel 7 for 3: learning rate ratio", AWARE, _six(3 / 7), lambda: _six(kernel(7))),
]
MISSED: list[Missed] = []
