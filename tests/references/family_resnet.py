"""Facts on residual networks: ResNets, Once-for-all's ResNet-50-D, DeepMAD, and where ResNet-20 pools."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

from nas.graph import Op, graph
from nas.plugins import published
from nas.profile import profile
from nas.tree import Cost
from search_spaces.deepmad import deepmad_mobile
from search_spaces.pooling import pooling
from search_spaces.resnet import resnet
from tests.references import deepmad
from tests.references.facts import Fact, Missed, counts, total

TIMM = "built from timm 1.0.31"
TINYNAS = "built from alibaba/lightweight-neural-architecture-search 8ccaf88"
OFA = "built from mit-han-lab/once-for-all f03b267"
AUTODL = "built from D-X-Y/AutoDL-Projects, xautodl/models/CifarResNet.py"
MIXTURE = "built from mehravehj/Balanced-Mixture-of-SuperNets, resnet20/Balanced Mixture/create_model.py"
TORCHVISION = "torchvision, models/resnet.py, num_params of its weights"
HE = "He et al. 2016, arXiv:1512.03385"
README = "alibaba/lightweight-neural-architecture-search, configs/classification/README.md"


def without_classifier(name: str) -> int:
    """The parameters that DeepMAD's tool counts: all but the classifier's."""
    own = published(name).profile()
    return own.total.params - next(layer for layer in own.layers if layer.op == "Linear").cost.params


def convolutions(name: str) -> int:
    """The MACs of everything but the classifier."""
    own = published(name).profile()
    return own.total.macs - next(layer for layer in own.layers if layer.op == "Linear").cost.macs


def tas(layers: int, block: str = "basic") -> Cost:
    """A ResNet of CIFAR as the code of TAS builds it: shortcuts that halve are a mean and a bare 1x1 convolution."""
    n = (layers - 2) // (6 if block == "basic" else 9)
    space = resnet((3, 32, 32), 10, block, "cifar", "bare", ((16,), (32,), (64,)), ((n,), (n,), (n,)))
    return profile(space.network(next(iter(space))), space.input).total


def operations(name: str) -> tuple[Op, ...]:
    """The operations of a published network."""
    own = published(name)
    return graph(own.network(), own.own.input).ops


def pooled(lengths: tuple[int, ...]) -> Cost:
    """The paper's ResNet-20 with rows of units of these lengths."""
    space = pooling(norm="plain")
    return profile(space.network(space.parse(str(list(lengths)))), space.input).total


def pooled_params() -> set[int]:
    """The parameters of all 36 placings."""
    space = pooling(norm="plain")
    return {profile(space.network(arch), space.input).total.params for arch in space}


def _resnets() -> list[Fact]:
    made = [
        *counts("resnet-18", TIMM, 11_689_512, 1_814_073_344),
        *counts("resnet-34", TIMM, 21_797_672, 3_663_761_408),
        *counts("resnet-50", TIMM, 25_557_032, 4_089_184_256),
        *counts("ofa-resnet50d-max", OFA, 48_105_992, 7_491_643_904),
    ]
    bases = ((20, 272_282, 40.8132), (32, 466_714, 69.1247), (56, 855_578, 125.7478), (110, 1_730_522, 253.1498))
    for layers, params, mmacs in (*bases, (164, 1_703_386, 247.6467)):
        found = _tas(layers, "bottleneck" if layers == 164 else "basic")
        made.append(Fact(f"TAS's ResNet-{layers} of CIFAR: params, 10^6 MACs", AUTODL, (params, mmacs), found))
    for layers, params in ((101, 44_549_160), (152, 60_192_808)):
        made.append(Fact(f"resnet-{layers}: params", TORCHVISION, params, _params(f"resnet-{layers}"), "P"))
    for layers, millions in ((20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)):
        found = _millions(f"resnet-{layers}-cifar")
        made.append(Fact(f"resnet-{layers}-cifar: 10^6 params, rounded", f"{HE}, table 6", millions, found, "P"))
    return made


def _tas(layers: int, block: str) -> Callable[[], tuple[int, float]]:
    def found() -> tuple[int, float]:
        cost = tas(layers, block)
        return cost.params, round(cost.macs / 1e6, 4)

    return found


def _params(name: str) -> Callable[[], int]:
    return lambda: total(name).params


def _millions(name: str) -> Callable[[], float]:
    return lambda: round(total(name).params / 1e6, 2)


def _poolings() -> list[Fact]:
    macs = {
        (1, 1, 8): 18_596_480,
        (4, 2, 4): 37_274_240,
        (4, 3, 3): 40_813_184,
        (5, 3, 2): 62_833_280,
        (7, 1, 2): 91_144_832,
        (8, 1, 1): 149_340_800,
    }
    made = [
        Fact(f"ResNet-20 pooled as {list(k)}: macs", MIXTURE, v, lambda k=k: pooled(k).macs)  # type: ignore[misc]  # the default binds the loop's value
        for k, v in macs.items()
    ]
    large = {"widths": (64, 128, 256, 512), "poolings": 3, "by": "stride"}
    paper = "Roshtkhari et al. 2023, arXiv:2306.11982, and the tables of its code"
    return [
        *made,
        Fact("ResNet-20, pooled anywhere: params", MIXTURE, {270_906}, pooled_params),
        Fact("placings of ResNet-20's 2 poolings", paper, comb(9, 2), lambda: pooling().size),
        Fact(
            "placings of ResNet-18's 3 poolings", paper, comb(8, 3), lambda: pooling(depths=(2, 2, 2, 2), **large).size
        ),
        Fact(
            "placings of ResNet-50's 3 poolings",
            paper,
            comb(16, 3),
            lambda: pooling(block="bottleneck", depths=(3, 4, 6, 3), **large).size,
        ),
    ]


def _deepmads() -> list[Fact]:
    rows = {
        "deepmad-r18": (11_153_088, 11_826_088, 1_810_902_016, 1_837_323_208),
        "deepmad-r50": (24_208_144, 25_441_144, 4_041_529_408, 4_087_263_656),
        "deepmad-29m": (26_876_956, 28_669_956, 4_321_976_752, 4_448_877_776),
        "deepmad-50m": (47_359_964, 49_408_964, 8_448_375_360, None),
        "deepmad-89m": (85_764_780, 88_325_780, 15_023_891_408, None),
    }
    made = []
    for name, (bare, params, macs, flops) in rows.items():
        made += counts(name, TINYNAS, params)
        made.append(Fact(f"{name}: params without the classifier", TINYNAS, bare, lambda n=name: without_classifier(n)))  # type: ignore[misc]  # the default binds the loop's value
        made.append(Fact(f"{name}: macs without the classifier", TINYNAS, macs, lambda n=name: convolutions(n)))  # type: ignore[misc]  # the same
        if flops:
            found = _tool(name)
            made.append(
                Fact(f"{name}: the tool's flops (norms, activations, projected sums too)", TINYNAS, flops, found)
            )
    return [*made, *deepmad.entropies(TINYNAS)]


def _tool(name: str) -> Callable[[], int]:
    return lambda: deepmad.tool_flops(operations(name))


def _program() -> list[Fact]:
    """The best network that an exact program found in the space of the 29M configuration."""
    depths, kernels = (3, 7, 10, 11, 3), (7, 7, 7, 7, 3)
    channels, inner = (152, 288, 464, 520, 528), (224, 432, 696, 784, 792)
    labels = {"stem.channels": 32}
    for s, row in enumerate(zip(channels, inner, kernels, depths, strict=True), 1):
        labels |= {f"stage{s}.{k}": v for k, v in zip(("channels", "bottleneck", "kernel", "depth"), row, strict=True)}

    def found() -> tuple[int, int, float, float]:
        space = deepmad_mobile()
        network = space.network(space.read(labels))
        ops = graph(network, space.input).ops
        rows = deepmad.stages(ops, sizes="released")
        score = deepmad.entropy(rows) - deepmad.penalty(depths)
        params = profile(network, space.input).total.params - 1793 * 1000
        return params, deepmad.tool_flops(ops), round(deepmad.effectiveness(rows), 6), round(score, 3)

    expected = (28_977_544, 4_499_753_104, 0.499491, 17_892.155)
    return [Fact("a program's network in DeepMAD's 29M: params, flops, rho, released score", TINYNAS, expected, found)]


FACTS: list[Fact] = [*_resnets(), *_poolings(), *_deepmads(), *_program()]

MIDDLE = "the paper's stride is that of a bottleneck's first convolution; here, as in today's code, of its 3x3 one"
BUDGET = (
    "the README prints the budgets of the search; ours are all convolutions and the classifier of the released text"
)
MISSED: list[Missed] = [
    *(
        Missed(f"{name}: FLOPs", f"{HE}, table 1", f"{theirs}e9", f"{total(name).macs:,} MACs", MIDDLE)
        for name, theirs in (("resnet-50", 3.8), ("resnet-101", 7.6), ("resnet-152", 11.3))
    ),
    *(
        Missed(
            f"{name}: params, FLOPs", README, theirs, f"{total(name).params:,} and {total(name).macs:,} MACs", BUDGET
        )
        for name, theirs in (
            ("deepmad-r18", "11.69M and 1.82G"),
            ("deepmad-r34", "21.80M and 3.68G"),
            ("deepmad-r50", "25.55M and 4.13G"),
            ("deepmad-29m", "29M and 4.5G"),
            ("deepmad-29m-288", "29M and 4.5G"),
            ("deepmad-50m", "50M and 8.7G"),
            ("deepmad-89m", "89M and 15.4G"),
        )
    ),
    Missed(
        "Once-for-all's specialised ResNet-50-D: params, MACs",
        "mit-han-lab/once-for-all, README",
        "30.9M and 4.1B",
        "none",
        "the structure lies in a file that the code downloads",
    ),
]
