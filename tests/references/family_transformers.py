"""ViT-ResNAS (arXiv:2109.00642), BossNet's fabric HyTra (arXiv:2103.12424) and DNA (arXiv:1911.13053)."""

from __future__ import annotations

from math import prod

import torch

from nas import plugins
from nas.build import build
from nas.paper import Published
from nas.profile import profile
from nas.space import Space
from nas.tree import Cost
from search_spaces.hytra import hytra
from tests.references.facts import Fact, Missed, counts, total

VIT = "built from the authors' code yilunliao/vit-search 303e7c3, MACs by its ComputationEstimator and a flop counter"
BOSS = "built from the authors' code changlin31/BossNAS bb8b26a"
LISTS = "counted in changlin31/BossNAS bb8b26a searching/bossnas/models/utils/hytra_paths.py"
ESTIMATE = "printed by changlin31/BossNAS bb8b26a retraining_hytra/boss_madds.py"
README = "README of changlin31/BossNAS"
DNA = "README of changlin31/DNA"


def largest(name: str) -> Cost:
    """What the super-net costs that a published network was found in, as one network: all first, largest options."""
    space: Space = plugins.published(name).own
    return profile(space.network(space.decide(lambda c: 0)), space.input).total


def weights(name: str) -> int:
    """The parameters that the estimator counts: weights of convolutions and linear layers, no biases and no norms."""
    of: Published = plugins.published(name)
    with torch.device("meta"):
        return sum(p.numel() for p in build(of.network(), of.own.input).parameters() if p.ndim > 1)


def squeezes(name: str) -> int:
    """What the estimator adds for squeeze-and-excitation to params and to MACs: in every layer, attention too."""
    of: Published = plugins.published(name)
    times = [int(n) for n in str(of.arch["scales"]).split("_")]
    return sum(n * 2 * c * c // 16 for n, c in zip(times, of.own.settings["channels"], strict=True))


def estimated(name: str, params: int, macs: int, squeezed: str = "") -> list[Fact]:
    """The facts of the authors' estimator; name: the network without squeeze-and-excitation, squeezed: that with it."""
    more = squeezes(name) if squeezed else 0
    title = f"{squeezed or name} by the authors' estimator"
    return [
        Fact(f"{title}: params", ESTIMATE, params, lambda: weights(name) + more),
        Fact(f"{title}: macs", ESTIMATE, macs, lambda: total(name).macs + more),
    ]


def paths(scales: int, count: int, *, restricted: bool) -> Fact:
    """The number of paths of a block of four layers."""
    kind = "restricted" if restricted else "unrestricted"
    about = f"hytra: {kind} paths of a block of {scales} scales"
    return Fact(about, LISTS, count, lambda: hytra(scales=(scales,), restricted=restricted).size)


def with_norms(name: str) -> int:
    """Multiply-accumulates as DNA's counter has them: two more for each element that a norm puts out."""
    found = plugins.published(name).profile()
    return found.total.macs + 2 * sum(prod(layer.out) for layer in found.layers if layer.op == "Norm")


def rated(name: str, params: float, macs: int | None) -> list[Fact]:
    """The figures of a network of DNA, in millions."""
    made = [Fact(f"{name}: params in millions", DNA, params, lambda: round(total(name).params / 1e6, 1), "P")]
    if macs is not None:
        title = f"{name}: macs in millions, with those of norms"
        made.append(Fact(title, DNA, macs, lambda: round(with_norms(name) / 1e6), "P"))
    return made


FACTS: list[Fact] = [
    *counts("vit-resnas-tiny", VIT, 41_498_552, 1_782_630_272),
    *counts("vit-resnas-small", VIT, None, 2_845_501_856),
    *counts("vit-resnas-medium", VIT, 97_323_672, 4_513_135_936),
    *counts("vit-res-tiny", VIT, 42_781_736, 1_794_378_240),
    Fact("ViT-ResNAS-Tiny super-net: params", VIT, 85_839_464, lambda: largest("vit-resnas-tiny").params),
    Fact("ViT-ResNAS-Tiny super-net: macs", VIT, 3_497_553_920, lambda: largest("vit-resnas-tiny").macs),
    Fact("ViT-ResNAS-Small super-net: params", VIT, 156_599_528, lambda: largest("vit-resnas-small").params),
    Fact("ViT-ResNAS-Small super-net: macs", VIT, 6_260_342_784, lambda: largest("vit-resnas-small").macs),
    *counts("bossnet-t0", BOSS, 38_415_960, 3_442_978_304),
    *counts("bossnet-t0-nose", BOSS, 37_319_080, 3_441_888_768),
    *counts("bossnet-t1", BOSS, 38_415_960, 7_944_442_880),
    *estimated("bossnet-t0-nose", 42_646_144, 3_447_303_680, "bossnet-t0"),
    *estimated("hytra-resnet-50", 25_536_896, 4_101_602_816),
    *estimated("hytra-botnet-50", 20_818_304, 3_877_767_680),
    *(paths(scales, n, restricted=True) for scales, n in ((4, 51), (3, 99), (2, 80))),
    *(paths(scales, n, restricted=False) for scales, n in ((4, 131), (3, 115), (2, 80))),
    Fact(
        "bossnet-t0 at 288 pixels: macs",
        README,
        5.7e9,
        lambda: total("bossnet-t0", input=(3, 288, 288)).macs,
        "P",
        within=0.01,
    ),
    Fact(
        "bossnet-t1 at 256 pixels: macs",
        README,
        10.5e9,
        lambda: total("bossnet-t1", input=(3, 256, 256)).macs,
        "P",
        within=0.01,
    ),
    *rated("dna-a", 4.2, 348),
    *rated("dna-b", 4.9, None),
    *rated("dna-c", 5.3, 466),
    *rated("dna-d", 6.4, 611),
]

MISSED: list[Missed] = [
    Missed(
        "dna-b: FLOPs",
        DNA,
        "394M",
        "405,713,408 with those of norms, 392,492,032 without",
        "the printed structure gives the printed parameters; a, c and d come out with norms, b lies between",
    )
]
