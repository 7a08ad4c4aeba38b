"""DARTS, PC-DARTS, P-DARTS, D-DARTS and DARTOpti."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nas import plugins
from nas.count import count
from nas.graph import graph
from nas.plan import plan
from nas.profile import profile
from nas.tree import Choice, Node, Sum, parts
from search_spaces.darts import SEVEN, darts
from tests.references.facts import Fact, Missed, counts, total

CODE = "counted from the authors' code quark0/darts f276dd3, cnn/model.py"
PC = "counted from the authors' code yuhuixu1993/PC-DARTS, model.py"
DD = "counted from the authors' code aheuillet/D-DARTS e3ad5d9, model.py and the released genotype"
TABLE = "aheuillet/D-DARTS e3ad5d9, README.md, table of results"
CELL = 1_037_664_180
SEARCHED = ("none", *SEVEN)


def opened(value: Any) -> Any:
    """A tree with every option of every hole in it, added up: the network of DARTS's search."""
    if isinstance(value, Choice):
        return Sum(tuple(map(str, value.labels)), tuple(map(opened, value.options)))
    if isinstance(value, tuple):
        return tuple(map(opened, value))
    if isinstance(value, Sum):
        return Sum(value.names, opened(value.items))
    return (
        replace(value, **{k: opened(getattr(value, k)) for k in parts(type(value))})
        if isinstance(value, Node)
        else value
    )


def search_params() -> int:
    """What DARTS's search network learns apart from its alphas; of its norms, the stem's alone has scale and shift."""
    space = darts(operations=SEARCHED)
    layers = profile(opened(space.root), space.input).layers
    return sum(layer.cost.params for layer in layers if layer.op != "Norm" or layer.name.startswith("stem."))


def alphas(kind: str) -> tuple[int, set[int]]:
    """How many edges a kind of cells decides on, and among how many operations each."""
    edges = [c for name, c in darts(operations=SEARCHED).choices.items() if name.startswith(kind) and ".from" in name]
    return len(edges), {len(c.options) for c in edges}


def one_cell() -> int:
    """The number of forms of one cell."""
    space = darts()
    return count(plan(space.root.items[space.root.names.index("cell0")]))  # type: ignore[attr-defined]  # a Dag


def head_params(name: str) -> int:
    """The parameters of a published network's auxiliary head, which its own count leaves out."""
    net = plugins.published(name)
    ops = graph(net.network(), net.own.input).ops
    return sum(op.node.cost(op.reads).params for op in ops if op.train and op.node is not None)


def operations_by_cell(name: str) -> list[int]:
    """How many operations each cell of a D-DARTS network keeps."""
    labels = plugins.published(name).arch.labels
    return [sum(v == 1 for k, v in labels.items() if k.startswith(f"cell{i}.")) for i in range(8)]


FACTS: list[Fact] = [
    Fact("darts: cells of one kind", "arXiv:1806.09055, section 3.1, the formula", CELL, one_cell, "P"),
    Fact("darts: pairs of cells", "arXiv:1806.09055, section 3.1, the formula", CELL**2, lambda: darts().size, "P"),
    Fact("darts: params of the search network, 16 channels, 8 layers", f"{CODE}_search.py", 1_930_618, search_params),
    Fact("darts: alphas of normal cells", f"{CODE}_search.py", (14, {8}), lambda: alphas("normal")),
    Fact("darts: alphas of reduction cells", f"{CODE}_search.py", (14, {8}), lambda: alphas("reduce")),
    *counts("darts-v2-cifar", CODE, 3_349_342, 528_359_040),
    *counts("darts-v2-imagenet", CODE, 4_718_752, 529_911_552),
    *counts("darts-v1-cifar", CODE, None, 500_987_520),
    *counts("darts-v1-imagenet", CODE, 4_510_432, 505_864_704),
    Fact("darts-v2-cifar: params of the auxiliary head", CODE, 476_426, lambda: head_params("darts-v2-cifar")),
    Fact("darts-v2-imagenet: params of the auxiliary head", CODE, 1_260_776, lambda: head_params("darts-v2-imagenet")),
    *counts("pc-darts-cifar", PC, 3_634_678, 556_670_592),
    *counts("pc-darts-cifar-imagenet", PC, 5_270_560, 571_137_408),
    *counts("pc-darts-image-cifar", PC, 3_721_510, 570_466_944),
    *counts("pc-darts-imagenet", PC, 5_342_464, 581_627_328),
    Fact("p-darts-cifar: params, to 0.005 M", TABLE, 3.43e6, lambda: total("p-darts-cifar").params, "P", 0.005 / 3.43),
    Fact("p-darts-cifar: macs, to 0.5 M", TABLE, 532e6, lambda: total("p-darts-cifar").macs, "P", 0.5 / 532),
    *counts("d-darts-sparse-cifar-8", DD, 1_244_242, 255_307_392),
    *counts("d-darts-sparse-cifar-14", DD, 3_842_830, 393_851_520),
    *counts("d-darts-sparse-cifar-20", DD, 6_425_398, 562_154_112),
    *counts("d-darts-edge-cifar-8", DD, 2_520_298, 522_009_216),
    *counts("d-darts-edge-cifar-14", DD, 7_686_118),
    *counts("d-darts-edge-cifar-20", DD, 12_839_374),
    *counts("d-darts-sparse-cifar100-8", DD, 1_358_920, 258_243_840),
    Fact(
        "d-darts-sparse-cifar-8: params with the auxiliary head",
        DD,
        1_720_668,
        lambda: total("d-darts-sparse-cifar-8").params + head_params("d-darts-sparse-cifar-8"),
    ),
    Fact(
        "d-darts-edge-cifar-8: operations of each cell",
        DD,
        [28, 28, 28, 26, 26, 28, 28, 10],
        lambda: operations_by_cell("d-darts-edge-cifar-8"),
    ),
    *counts("dartopti-resnet18-sparse", DD, 11_513_422),
    *counts("dartopti-resnet18-edge", DD, 17_193_934),
    *counts("dartopti-resnet50-sparse", DD, 22_584_286),
    *counts("dartopti-resnet50-edge", DD, 39_097_846),
]


def _ours(*names: str) -> str:
    found = ((name, total(name)) for name in names)
    return "; ".join(f"{cost.params:,} params, {cost.macs:,} MACs ({name})" for name, cost in found)


MISSED: list[Missed] = [
    Missed(
        "darts-v2-cifar",
        TABLE,
        "3.36 M params, 522 M FLOPs",
        _ours("darts-v2-cifar"),
        "the authors' own code gives our counts",
    ),
    Missed(
        "darts-v2-imagenet",
        "arXiv:1806.09055, table 3",
        "4.7 M params, 574 M multiply-adds",
        _ours("darts-v2-imagenet"),
        "the authors' own code gives our counts; the convention behind 574 M is not told",
    ),
    Missed("pc-darts-cifar: macs", TABLE, "558 M", _ours("pc-darts-cifar"), "the authors' own code gives our counts"),
    Missed(
        "pc-darts-imagenet: macs",
        "arXiv:1907.05737, table 2",
        "586 M, both for the cell found on CIFAR-10 and on ImageNet",
        _ours("pc-darts-cifar-imagenet", "pc-darts-imagenet"),
        "the authors' own code gives our counts",
    ),
    Missed(
        "D-DARTS DD-1",
        TABLE,
        "1.68 M params, 259 M FLOPs",
        _ours("d-darts-sparse-cifar-8"),
        "no released genotype has these counts; the nearest one has 1,720,668 params with its auxiliary head",
    ),
    Missed(
        "D-DARTS DD-4",
        TABLE,
        "6.28 M params, 948 M FLOPs",
        _ours("d-darts-sparse-cifar-20", "d-darts-edge-cifar-14"),
        "the table does not say which genotype and depth it is, and none has these counts",
    ),
    Missed(
        "DARTOpti DO-ResNet18 and DO-ResNet50 on CIFAR-10",
        TABLE,
        "36.3 M params, 1.2 G FLOPs; 71.2 M params, 1.5 G FLOPs",
        _ours("dartopti-resnet18-sparse", "dartopti-resnet18-edge", "dartopti-resnet50-sparse"),
        "the number of channels behind the table is not told; at the 36 of the documented command it is not reached",
    ),
    Missed(
        "D-DARTS DD-7 and DARTOpti on ImageNet",
        TABLE,
        "6.4 M params, 828 M FLOPs; 56.3 M, 8.6 G; 73.2 M, 10.0 G",
        "not built",
        "the table names no genotype for DD-7, and two of its rows DO-ResNet18; the ImageNet stem of that code differs",
    ),
]
