"""Single Path One-Shot: counts of the authors' networks, of its uniform ones and of its supernet."""

from __future__ import annotations

from functools import cache

from nas import plugins
from nas.profile import Profile, profile
from search_spaces.shufflenet import BLOCKS, SCALES, shufflenet
from tests.references.facts import Fact, Missed, counts

CODE = "built from the authors' code megvii-model/SinglePathOneShot 36eed6c"
SERIES = "built from the authors' code megvii-model/ShuffleNet-Series, OneShot"
PAPER = "Guo et al. 2020, arXiv:1904.00420"


@cache
def uniform(block: int) -> Profile:
    """The network whose blocks are all of one kind, at scale 1."""
    space = shufflenet()
    return profile(space.network(space.parse(str([block] * 20))), space.input)


def uniform_facts(block: int, params: int, macs: int) -> list[Fact]:
    """The facts of a uniform network."""
    name = f"shufflenet, all blocks {BLOCKS[block]}"
    return [
        Fact(f"{name}: params", CODE, params, lambda: uniform(block).total.params),
        Fact(f"{name}: macs", CODE, macs, lambda: uniform(block).total.macs),
    ]


def supernet_params() -> int:
    """What all four choices of each block learn, with norms that have no scale and shift, as the supernet's."""
    parts = {layer.name: layer.cost.params for k in range(4) for layer in uniform(k).layers if layer.op != "Norm"}
    return sum(parts.values())


def norm_params(name: str) -> int:
    """The scales and shifts of a published network's norms."""
    return sum(layer.cost.params for layer in plugins.published(name).profile().layers if layer.op == "Norm")


def macs_of_a_table(name: str) -> int:
    """A published network's MACs from a table of 80 blocks, measured in uniform networks, and those of the rest."""
    labels = plugins.published(name).arch.labels
    tables = {block: uniform(k).layers for k, block in enumerate(BLOCKS)}
    made = sum(layer.cost.macs for layer in tables[BLOCKS[0]] if not layer.name.startswith("block"))
    for k in range(1, 21):
        block = tables[str(labels[f"block{k}"])]
        made += sum(layer.cost.macs for layer in block if layer.name.startswith(f"block{k}."))
    return made


FACTS: list[Fact] = [
    Fact("shufflenet: number of block architectures", PAPER, 4**20, lambda: shufflenet().size, "P"),
    Fact(
        "shufflenet: number of architectures with the channel search",
        PAPER,
        4**20 * 8**20,
        lambda: shufflenet(scales=SCALES).size,
        "P",
    ),
    *counts("spos-block", SERIES, 3_345_088, 318_729_024),
    *counts("spos-channel", SERIES, 3_432_579, 327_857_920),
    *counts("spos-block-released", CODE, 3_558_464, 322_918_720),
    Fact("spos-block: params of its norms", SERIES, 24_544, lambda: norm_params("spos-block")),
    Fact("spos-channel: params of its norms", SERIES, 25_544, lambda: norm_params("spos-channel")),
    *uniform_facts(0, 3_154_880, 295_842_496),
    *uniform_facts(1, 3_211_968, 313_654_976),
    *uniform_facts(3, 3_870_816, 358_825_920),
    Fact("shufflenet: params of the supernet, norms without scale and shift", CODE, 8_388_176, supernet_params),
    Fact(
        "spos-block: macs added up from a table of 80 blocks",
        SERIES,
        318_729_024,
        lambda: macs_of_a_table("spos-block"),
    ),
    Fact(
        "spos-block-released: macs added up from a table of 80 blocks",
        CODE,
        322_918_720,
        lambda: macs_of_a_table("spos-block-released"),
    ),
]
MISSED: list[Missed] = []
