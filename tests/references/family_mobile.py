"""MobileNets, MnasNets, EfficientNets, FBNet-C, Single-Path NAS, and Once-for-all over mobile blocks."""

from __future__ import annotations

from nas import plugins
from nas.count import count
from nas.plan import plan
from nas.space import Space
from search_spaces.ofa import RESOLUTIONS, ofa
from tests.references.facts import Fact, Missed, counts, total

TIMM = "built from timm 1.0.31"
TF = "built from timm 1.0.31, the port of the TensorFlow weights, at their resolution"
OFA = "counted from the authors' code mit-han-lab/once-for-all f03b267, get_active_subnet"
README = "mit-han-lab/once-for-all f03b267, README.md, table of specialised networks"
US = "JiahuiYu/slimmable_networks, README.md, US-MobileNet v2"

BUILT = {
    "mobilenet-v2": (3_504_872, 300_774_272),
    "mobilenet-v3-large": (5_483_032, 216_589_760),
    "mobilenet-v3-large-0.75": (3_993_528, 154_560_624),
    "mobilenet-v3-large-minimal": (3_924_288, 209_136_704),
    "mobilenet-v3-small": (2_542_856, 56_510_400),
    "mobilenet-v3-small-0.75": (2_041_872, 43_399_344),
    "mnasnet-a1": (3_887_038, 311_579_072),
    "mnasnet-b1": (4_383_312, 314_415_872),
    "mnasnet-small": (2_030_264, 68_339_184),
    "fbnet-c": (5_572_200, 384_960_160),
    "spnasnet": (4_421_616, 333_467_072),
}
SCALED = {
    "b0": (5_288_548, 385_814_752),
    "b1": (7_794_184, 686_802_832),
    "b2": (9_109_994, 993_561_872),
    "b3": (12_233_232, 1_827_141_392),
    "b4": (19_341_616, 4_393_771_024),
    "b5": (30_389_784, None),
    "b6": (43_040_704, None),
    "b7": (66_347_960, 37_745_884_192),
}
SUBNETS = {
    "ofa-w1.0-k7e6d4": (7_664_760, {224: 566_170_656, 160: 291_318_048, 128: 188_248_320}),
    "ofa-w1.0-k3e3d2": (3_410_792, {224: 121_278_672, 160: 63_240_528, 128: 41_476_224}),
    "ofa-w1.0-k7e3d2": (3_493_352, {224: 151_290_192, 160: 78_552_528}),
    "ofa-w1.0-k3e6d4": (7_299_960, {224: 433_141_536, 160: 223_446_048}),
    "ofa-w1.2-k7e6d4": (10_701_632, {224: 843_101_040}),
    "ofa-w1.2-k3e3d2": (4_602_456, {224: 193_078_200}),
    "ofa-w1.2-k5e4d3": (6_245_312, {224: 385_659_168}),
    "ofa-proxyless-w1.3-k7e6d4": (7_942_056, {224: 1_004_908_032}),
    "ofa-proxyless-w1.3-k3e3d2": (3_718_832, {224: 265_526_256}),
}
SUPERNETS = {
    "ofa-w1.0-k7e6d4": 7_678_880,
    "ofa-w1.2-k7e6d4": 10_715_752,
    "ofa-proxyless-w1.3-k7e6d4": 7_956_882,
}
RELEASED = {
    "ofa-595m": (9.1, 595),
    "ofa-482m": (9.1, 482),
    "ofa-389m": (8.4, 389),
    "ofa-lg-24": (5.8, 230),
    "ofa-note10-64": (9.1, 743),
}
WIDTHS = (
    "1.0 .975 .95 .925 .9 .875 .85 .825 .8 .775 .75 .725 .7 .675 .65 .625 .6 .575 .55 .525 .5 .475 .45 .425 .4 .375 .35"
)
MEGA = "300 299 284 274 269 268 254 235 222 213 209 185 173 165 161 161 151 150 106 100 97 96 88 88 80 80 59"


def classifier(name: str) -> int:
    """The parameters of a published network's last linear layer."""
    return next(
        layer.cost.params for layer in reversed(plugins.published(name).profile().layers) if layer.op == "Linear"
    )


def transforms(space: Space) -> int:
    """What the kernel transforms of an OFA supernet learn: a matrix over the k x k places for each smaller kernel k.

    They belong to the supernet alone: no network that is taken out of it has them.
    """
    kernels = [choice.options for name, choice in space.choices.items() if name.endswith(".kernel")]
    return sum((k * k) ** 2 for options in kernels for k in options if k < max(options))


def one_unit() -> int:
    """How many forms the first unit of OFA has."""
    return count(plan(ofa().root.items[2]))  # type: ignore[attr-defined]  # a Chain: stem, first, unit1


def supernet(name: str) -> int:
    """The parameters of an OFA supernet: its largest network's and the kernel transforms'."""
    return total(name).params + transforms(plugins.published(name).own)


def millions(name: str) -> tuple[float, int]:
    """Parameters in millions, to one place, and MACs in millions: as the authors print them."""
    cost = total(name)
    return round(cost.params / 1e6, 1), round(cost.macs / 1e6)


def _subnets() -> list[Fact]:
    made: list[Fact] = []
    for name, (params, macs) in SUBNETS.items():
        made += counts(name, OFA, params=params, macs=macs[224])
        made += [f for side in macs if side != 224 for f in counts(name, OFA, macs=macs[side], input=(3, side, side))]
    return made


def _widths() -> list[Fact]:
    pairs = zip(map(float, WIDTHS.split()), map(int, MEGA.split()), strict=True)
    about = "mobilenet-v2 at width {}: MACs in millions, which the authors round or cut"
    return [
        Fact(about.format(w), US, mega, lambda w=w: total("mobilenet-v2", width=w).macs / 1e6, "P", within=0.01)  # type: ignore[misc]  # the default binds the loop's value
        for w, mega in pairs
    ]


FACTS: list[Fact] = [
    *(fact for name, (params, macs) in BUILT.items() for fact in counts(name, TIMM, params=params, macs=macs)),
    Fact("mobilenet-v3-large: classifier params", TIMM, 1_281_000, lambda: classifier("mobilenet-v3-large")),
    Fact("mobilenet-v3-small: classifier params", TIMM, 1_025_000, lambda: classifier("mobilenet-v3-small")),
    *(f for n, (params, macs) in SCALED.items() for f in counts(f"efficientnet-{n}", TF, params=params, macs=macs)),
    *_subnets(),
    Fact("ofa: architectures of one unit", OFA, 7371, one_unit),
    Fact("ofa: architectures at one resolution", OFA, 21_758_655_492_572_485_851, lambda: ofa().size),
    Fact(
        "ofa: architectures at 25 resolutions",
        OFA,
        25 * 21_758_655_492_572_485_851,
        lambda: ofa(resolutions=RESOLUTIONS).size,
    ),
    *(
        Fact(f"{name}: params of its supernet", OFA, params, lambda name=name: supernet(name))  # type: ignore[misc]  # the default binds the loop's value
        for name, params in SUPERNETS.items()
    ),
    Fact("ofa: params of the kernel transforms of 20 blocks", OFA, 20 * 706, lambda: transforms(ofa())),
    *(
        Fact(f"{name}: params and MACs in millions", README, printed, lambda name=name: millions(name), "P")  # type: ignore[misc]  # the default binds the loop's value
        for name, printed in RELEASED.items()
    ),
    *_widths(),
]
MISSED: list[Missed] = []
