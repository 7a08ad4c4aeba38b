"""What DeepMAD's tool computes of a network, read from the operations of a tree (arXiv:2303.02165, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log, prod
from statistics import pstdev

from nas.graph import Op, graph
from nas.plugins import published
from search_spaces.ops.conv import Conv, Depthwise
from search_spaces.ops.norm import Act, Norm
from search_spaces.ops.pool import AvgPool, MaxPool
from tests.references.facts import Fact

WEIGHTS = (1, 1, 1, 1, 8)
"""How much the entropy of each stage counts."""


@dataclass(frozen=True)
class Stage:
    """What lies between the input and the end of a stage: a number of layers, and the sum of their log widths.

    channels, side: of what the stage puts out; a stage ends just before a module whose stride is 2.
    """

    layers: int
    logs: float
    channels: int
    side: int

    @property
    def entropy(self) -> float:
        """H = log(r^2 c) / 2 * sum log w."""
        return log(self.side**2 * self.channels) * self.logs / 2

    @property
    def effectiveness(self) -> float:
        """Rho = L / w, with w the geometric mean of the widths."""
        return self.layers / exp(self.logs / self.layers)


def tool_flops(ops: Sequence[Op]) -> int:
    """MACs of the convolutions, 2 for each normalised number, 1 for each activation, for each number that a mean in a
    shortcut reads and for each sum with a projection; the gates and the classifier are left out.
    """
    found, paths = 0, {op.path for op in ops}
    for op in ops:
        if op.kind == "sum" and f"{op.path}.shortcut.conv" in paths:
            found += prod(op.shape)
        elif isinstance(op.node, Conv | Depthwise):
            found += op.node.cost(op.reads).macs
        elif isinstance(op.node, Norm):
            found += 2 * prod(op.shape)
        elif isinstance(op.node, Act):
            found += prod(op.shape)
        elif isinstance(op.node, AvgPool):
            found += prod(op.reads)
    return found


def stages(ops: Sequence[Op], sizes: str = "true") -> list[Stage]:
    """The stages of a network whose layers are its convolutions, those of shortcuts left out.

    sizes: "true", or "released", where the code takes every size behind a gate for 1.
    """
    made: list[Stage] = []
    layers, logs, channels, side, gated, before = 0, 0.0, 0, 0, False, ""
    main = [op for op in ops if isinstance(op.node, Conv | Depthwise | MaxPool) and ".shortcut" not in op.path]
    halving = {_module(op) for op in main if op.shape[1] < op.reads[1]}
    gates = {_module(op) for op in ops if op.path.endswith(".squeeze")}
    for op in main:
        module = _module(op)
        if before and module != before and module in halving:
            made.append(Stage(layers, logs, channels, 1 if gated and sizes == "released" else side))
        before = module
        if isinstance(op.node, Conv | Depthwise):
            layers, logs = layers + 1, logs + log(_width(op))
        channels, side = op.shape[:2]
        gated = gated or module in gates
    return [*made, Stage(layers, logs, channels, 1 if gated and sizes == "released" else side)]


def _module(op: Op) -> str:
    return op.path.partition(".")[0]


def _width(op: Op) -> int:
    """c k^2 / g."""
    if isinstance(op.node, Depthwise):
        return int(op.node.kernel) ** 2
    if not isinstance(op.node, Conv):
        raise TypeError(f"a layer is a convolution, not {op.node}")
    return int(op.reads[0] * op.node.kernel**2)


def entropy(rows: Sequence[Stage]) -> float:
    """The weighted sum of the stages' entropies."""
    return sum(a * row.entropy for a, row in zip(WEIGHTS, rows, strict=True))


def effectiveness(rows: Sequence[Stage]) -> float:
    """The largest rho of a stage."""
    return max(row.effectiveness for row in rows)


def penalty(depths: Sequence[int]) -> float:
    """10 exp of the standard deviation of the depths, as the code computes it."""
    return 10 * exp(pstdev(depths))


def entropies(source: str) -> list[Fact]:
    """The facts on entropy and effectiveness of the published networks."""
    made: list[Fact] = []
    for name, layers, rho, h in (
        ("deepmad-r18", 115, 0.299096, 32120.203),
        ("deepmad-r50", 157, 0.299752, 48919.277),
        ("deepmad-29m", 71, 0.496479, 19135.928),
        ("deepmad-50m", None, 0.493020, 23605.337),
        ("deepmad-89m", None, 0.495139, 28445.337),
    ):
        made.append(Fact(f"{name}: rho", source, rho, _of(name, lambda rows: round(effectiveness(rows), 6))))
        made.append(Fact(f"{name}: entropy", source, h, _of(name, lambda rows: round(entropy(rows), 3))))
        if layers:
            made.append(Fact(f"{name}: layers", source, layers, _of(name, lambda rows: rows[-1].layers)))
    for name, rho, h in (
        ("resnet-18", 0.01471, 5943.278),
        ("resnet-34", 0.02283, 11664.133),
        ("resnet-50", 0.08911, 16977.083),
    ):
        made.append(Fact(f"{name}: rho", source, rho, _of(name, lambda rows: round(effectiveness(rows), 5))))
        made.append(Fact(f"{name}: entropy", source, h, _of(name, lambda rows: round(entropy(rows), 3))))
    parts = [21.263, 109.487, 726.978, 2782.779, 28479.697]
    found = _of("deepmad-r18", lambda rows: [round(a * row.entropy, 3) for a, row in zip(WEIGHTS, rows, strict=True)])
    near = _of("deepmad-r34", lambda rows: 0.298 <= effectiveness(rows) <= 0.3)
    return [
        *made,
        Fact("deepmad-r18: weighted entropy of each stage", source, parts, found),
        Fact("deepmad-r18: penalty of the depths", source, 34.8065, lambda: round(penalty((9, 10, 12)), 4)),
        Fact("deepmad-r34: rho within 0.002 below 0.3", source, True, near),
        Fact("deepmad-29m: layers up to each stage", source, [7, 19, 37, 55, 71], _of("deepmad-29m", _layers)),
        Fact("deepmad-29m: entropy as released", source, 11915.370, _of("deepmad-29m", _score, "released")),
    ]


def _layers(rows: Sequence[Stage]) -> list[int]:
    return [row.layers for row in rows]


def _score(rows: Sequence[Stage]) -> float:
    return round(entropy(rows), 3)


def _of(name: str, what: Callable[[Sequence[Stage]], object], sizes: str = "true") -> Callable[[], object]:
    def found() -> object:
        own = published(name)
        return what(stages(graph(own.network(), own.own.input).ops, sizes))

    return found
