"""The tabular benchmarks: NAS-Bench-101, NAS-Bench-201, NATS-Bench (size) and NAS-Bench-Macro."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import permutations
from math import prod

import numpy as np

from nas import plugins
from nas.profile import profile
from nas.space import Space
from nas.tree import Cost
from search_spaces.nasbench101 import OPERATIONS, WRITTEN, Matrix, fingerprint, nasbench101, vertex_channels
from search_spaces.nasbench201 import nasbench201, unique
from search_spaces.nasbench_macro import nasbench_macro
from search_spaces.nats_size import nats_size
from tests.references.facts import Fact, Missed, counts, total
from tests.references.nasbench101_table import BUILT, MODULES

YING = "Ying et al. 2019, arXiv:1902.09635"
GRAPHS = "run with the authors' code google-research/nasbench, lib/graph_util.py"
WIDTHS = "google-research/nasbench, tests/model_builder_test.py"
TABLE = "trainable_parameters and hash of the published table of google-research/nasbench"
XAUTODL = "built from the authors' code D-X-Y/AutoDL-Projects, xautodl"
STORED = "counts stored by the authors in D-X-Y/NATS-Bench, fake_torch_dir"
MACRO = "xiusu/NAS-Bench-Macro, data/nas-bench-macro_cifar10.json"
C3, C1, SKIP = "nor_conv_3x3", "nor_conv_1x1", "skip_connect"


def cell(*ops: str) -> str:
    """The spelling of a cell of NAS-Bench-201; one operation stands for six."""
    return "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*(ops * 6 if len(ops) == 1 else ops))


@cache
def made(make: Callable[[], Space]) -> Space:
    """A space at its published size."""
    return make()


def cost(make: Callable[[], Space], text: str) -> Cost:
    """What a member of a space costs."""
    space = made(make)
    return profile(space.network(space.parse(text)), space.input).total


def costs(make: Callable[[], Space], text: str, source: str, params: int, macs: int) -> list[Fact]:
    """The measured facts of a member."""
    name = f"{make.__name__} {text}"
    return [
        Fact(f"{name}: params", source, params, lambda: cost(make, text).params),
        Fact(f"{name}: macs", source, macs, lambda: cost(make, text).macs),
    ]


# NAS-Bench-201


@cache
def unique_cells(zeros: bool) -> int:
    """How many strings tell the 15,625 cells apart."""
    return len({unique(arch, zeros=zeros) for arch in made(nasbench201)})


def edge_params(op: str) -> int:
    """What one edge of an operation adds to the params of the network without any."""
    return (
        cost(nasbench201, cell("none", op, "none", "none", "none", "none")).params
        - cost(nasbench201, cell("none")).params
    )


def cells_off_the_closed_form() -> int:
    """Of 200 random cells, those whose params are not 73,306 + 243,040 a 3x3 and 28,000 a 1x1 convolution."""
    space, rng = made(nasbench201), np.random.default_rng(0)
    off = 0
    for arch in (space.sample(rng) for _ in range(200)):
        ops = list(arch.labels.values())
        closed = 73_306 + 243_040 * ops.count(C3) + 28_000 * ops.count(C1)
        off += profile(space.network(arch), space.input).total.params != closed
    return off


# NAS-Bench-101


def graphs(vertices: int, edges: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """All matrices without loose vertices and with so few edges, one row of bits each, and the pairs they stand for."""
    pairs = [(u, v) for u in range(vertices) for v in range(u + 1, vertices)]
    bits = (np.arange(1 << len(pairs))[:, None] >> np.arange(len(pairs)) & 1).astype(np.int8)
    keep = bits.sum(1) <= edges
    for vertex in range(vertices):
        for end, other in ((0, vertices - 1), (1, 0)):
            if vertex != other:
                keep &= bits[:, [k for k, pair in enumerate(pairs) if pair[end] == vertex]].any(1)
    return bits[keep], pairs


def classes(vertices: int, edges: int) -> Iterator[tuple[np.ndarray, list[tuple[int, int]], int]]:
    """One matrix of each class of isomorphic ones, its pairs, and how many labellings with 3 operations differ.

    The number is Burnside's: the mean of 3^cycles over the permutations of inner vertices that keep the graph.
    """
    bits, pairs = graphs(vertices, edges)
    weights, cycles = [], []
    for turn in permutations(range(1, vertices - 1)):
        to = (0, *turn, vertices - 1)
        weights.append([1 << (to[u] * vertices + to[v]) for u, v in pairs])
        cycles.append(3 ** len({frozenset(orbit(to, v)) for v in range(1, vertices - 1)}))
    codes = bits.astype(np.int64) @ np.array(weights, dtype=np.int64).T
    _, first = np.unique(codes.min(1), return_index=True)
    for k in first:
        keeps = codes[k] == codes[k, 0]
        yield bits[k], pairs, int(np.array(cycles)[keeps].sum()) // int(keeps.sum())


def orbit(to: tuple[int, ...], vertex: int) -> Iterator[int]:
    """Where a permutation leads a vertex."""
    at = to[vertex]
    yield vertex
    while at != vertex:
        yield at
        at = to[at]


def unique_modules() -> int:
    """How many modules of up to 7 vertices and 9 edges are not isomorphic, counted without listing their operations."""
    return sum(number for vertices in range(2, 8) for _, _, number in classes(vertices, 9))


def spelled(rows: str, numbers: str) -> str:
    """A module as the space spells it, from its rows and the numbers of its operations."""
    return f"{rows} {','.join(WRITTEN[OPERATIONS[int(k)]] for k in numbers)}"


def matrix(rows: str) -> Matrix:
    """A matrix from its rows, joined by commas."""
    return tuple(tuple(map(int, row)) for row in rows.split(","))


def permuted() -> str:
    """The fingerprint of the Inception-like module with its first two vertices exchanged."""
    rows = "0111010,0000001,0000001,0000100,0000001,0000001,0000000"
    return fingerprint(matrix(rows), ("conv3x3", "conv1x1", "conv3x3", "conv3x3", "maxpool3x3"))


def named(text: str) -> str:
    """The fingerprint of a module as the space names it."""
    space = made(nasbench101)
    assert space.same is not None
    return space.same(space.parse(text))


INCEPTION = plugins.published("nasbench101-inception-like").labels
ALIKE = "28cfc7874f6d200472e1a9dcd8650aa0"


# NATS-Bench and NAS-Bench-Macro


def xautodl_flops(text: str) -> int:
    """A size network's operations as xautodl counts them: multiply-accumulates and the bias of the linear layer."""
    return cost(nats_size, text).macs + 10


def paths() -> tuple[int, ...]:
    """How many networks there are of layers 1 and 2, of 3 and 4, and of 5, the blocks that BossNAS trains."""
    options = [len(choice.options) for choice in made(nats_size).choices.values()]
    return prod(options[:2]), prod(options[2:4]), options[4]


def macro_names() -> int:
    """How many networks of NAS-Bench-Macro differ when the identities of a stage move behind its other layers."""
    space = made(nasbench_macro)
    assert space.same is not None
    return len({space.same(arch) for arch in space})


NASBENCH201 = [
    Fact("nasbench201: number of cells", XAUTODL, 5**6, lambda: made(nasbench201).size),
    Fact("nasbench201: cells, `none` and what reads only it removed", XAUTODL, 6_466, lambda: unique_cells(True)),
    Fact("nasbench201: cells, `none` kept as an operation", XAUTODL, 12_751, lambda: unique_cells(False)),
    *costs(nasbench201, cell(C3), XAUTODL, 1_531_546, 220_119_680),
    *costs(nasbench201, cell(C1), XAUTODL, 241_306, 31_376_000),
    *costs(nasbench201, cell(SKIP), XAUTODL, 73_306, 7_783_040),
    *costs(nasbench201, cell("none"), XAUTODL, 73_306, 7_783_040),
    *counts("nasbench201-resnet-like", XAUTODL, 559_386, 78_561_920),
    *counts("nasbench201-best-cifar10", XAUTODL, 1_073_466, 153_272_960),
    Fact("nasbench201: params of an edge nor_conv_3x3", XAUTODL, 243_040, lambda: edge_params(C3)),
    Fact("nasbench201: params of an edge nor_conv_1x1", XAUTODL, 28_000, lambda: edge_params(C1)),
    Fact("nasbench201: random cells of 200 off the closed form of params", XAUTODL, 0, cells_off_the_closed_form),
]
NASBENCH101 = [
    Fact("nasbench101: modules that are not isomorphic", YING, 423_624, unique_modules, "P"),
    *[
        Fact(f"nasbench101: fingerprint of {about}", GRAPHS, expected, found)
        for about, expected, found in (
            ("input to output alone", "043721b9c7fe8c5fad811d47d83132ec", lambda: named("01,00")),
            ("one conv3x3", "b49ac8c578b4561d79ac7087988f1c61", lambda: named("010,001,000 conv3x3-bn-relu")),
            ("one conv1x1", "d1269d9156ddc027c40473008192958a", lambda: named("010,001,000 conv1x1-bn-relu")),
            ("the Inception-like module", ALIKE, lambda: named(str(INCEPTION))),
            ("it with two vertices exchanged", ALIKE, permuted),
        )
    ],
    Fact(
        "nasbench101-inception-like: params",
        "printed in google-research/nasbench, NASBench.ipynb",
        2_694_282,
        lambda: total("nasbench101-inception-like").params,
        "P",
    ),
    *[
        Fact(
            f"nasbench101 {name}: params",
            TABLE,
            params,
            lambda text=text: cost(nasbench101, spelled(*text)).params,
            "P",
        )
        for name, params, *text in MODULES
    ],
    *[
        Fact(f"nasbench101 {name}: fingerprint", TABLE, name, lambda text=text: named(spelled(*text)), "P")
        for name, _, *text in MODULES
    ],
    *[
        Fact(
            f"nasbench101 {rows}: channels of its vertices, {channels} in all",
            WIDTHS,
            widths,
            lambda rows=rows, channels=channels: vertex_channels(matrix(rows), channels)[1:],
            "P",
        )
        for rows, channels, widths in BUILT
    ],
]
NATS = [
    Fact(
        "nats_size: number of networks", "Dong et al. 2021, arXiv:2009.00437", 8**5, lambda: made(nats_size).size, "P"
    ),
    Fact("nats_size: paths of the blocks of BossNAS", "changlin31/BossNAS, ranking_nats", (64, 64, 8), paths, "P"),
    *[
        fact
        for text, params, flops in (
            ("8:8:8:8:8", 11_714, 4_481_114),
            ("8:8:8:16:32", 49_202, 6_840_650),
            ("8:8:40:32:40", 144_834, 21_827_994),
        )
        for fact in (
            Fact(f"nats_size {text}: params", STORED, params, lambda text=text: cost(nats_size, text).params, "P"),
            Fact(f"nats_size {text}: flops of xautodl", STORED, flops, lambda text=text: xautodl_flops(text), "P"),
        )
    ],
]
NASBENCH_MACRO = [
    Fact("nasbench_macro: number of networks", MACRO, 3**8, lambda: made(nasbench_macro).size),
    Fact(
        "nasbench_macro: networks that differ",
        "run with the authors' code xiusu/NAS-Bench-Macro, get_real_arch of train/train_benchmark.py",
        3_969,
        macro_names,
    ),
    *counts("nasbench-macro-best-cifar10", MACRO, 1_985_514, 85_164_544),
    *[
        Fact(f"nasbench_macro {text}: params", MACRO, params, lambda text=text: cost(nasbench_macro, text).params, "P")
        for text, params in (
            ("00000000", 387_882),
            ("11111111", 1_588_874),
            ("22222222", 2_932_586),
            ("12121212", 2_330_186),
            ("20202020", 1_537_130),
        )
    ],
]
FACTS: list[Fact] = [*NASBENCH201, *NASBENCH101, *NATS, *NASBENCH_MACRO]
MISSED: list[Missed] = []
