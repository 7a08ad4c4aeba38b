"""The laws that every space and strategy keeps, for whoever adds one; each raises AssertionError that says what broke.

Laws 5 to 7 of the design speak of supernets and come with them, but for the half of law 5 that needs none: sizes.
The laws of executors are in `nas.testing_executors`.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, final

import numpy as np

from nas.fill import fill
from nas.graph import graph, signature
from nas.problem import Problem, Proposal, State, Trial
from nas.profile import profile
from nas.roles import Strategy
from nas.space import Architecture, Rng, Space
from nas.tree import Chain, Choice, Concat, Identity, Label, Node, Sum, parts

DRAWN = 30
LISTED = 20_000
"""Spaces smaller than this are enumerated whole."""


def check(kept: bool, what: str) -> None:
    """Raise AssertionError, which says what, unless the condition holds."""
    if not kept:
        raise AssertionError(what)


def space_laws() -> Mapping[str, Callable[[Space], None]]:
    """The laws of a space, by a sentence each."""
    return {
        "1 an architecture's labels decide it": decides,
        "2 JSON and spelling lead there and back, in another process too": writes,
        "3 a mutation differs in a member, a child takes after its parents": varies,
        "4 enumeration gives every architecture once": enumerates,
        "5 no option of a number needs more than the largest one has": nests,
        "8 the profile equals torch's own counts": counts,
        "every network has a path, or says that it has none": connects,
    }


def drawn(space: Space, count: int = DRAWN, seed: int = 0) -> list[Architecture]:
    """Random architectures of a space."""
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def decides(space: Space) -> None:
    """Law 1."""
    for arch in drawn(space):
        check(space.decide(lambda c, a=arch: c.index(a[c.name])) == arch, f"the labels of {arch} decide another")  # type: ignore[misc]  # the default binds the loop's value
        check(space.member(arch), f"{arch} is drawn but no member")
        check(set(arch.labels) <= set(space.choices), f"{arch} makes choices that the space does not list")


def writes(space: Space) -> None:
    """Law 2."""
    archs = drawn(space, 8)
    for arch in archs:
        back = Architecture.from_json(arch.to_json())
        check(back == arch and hash(back) == hash(arch), f"{arch} does not come back from its JSON")
        check(space.parse(space.spell(arch)) == arch, f"{arch} does not come back from its spelling {space.spell(arch)}")
    script = (
        "import sys, json; from nas.space import Architecture as A; "
        "print(json.dumps([A.from_json(t).key for t in json.load(sys.stdin)]))"
    )
    texts = json.dumps([a.to_json() for a in archs])
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    other = subprocess.run(
        [sys.executable, "-c", script], input=texts, capture_output=True, text=True, env=environment, check=True
    )
    check(json.loads(other.stdout) == [a.key for a in archs], "keys differ in another process")


def varies(space: Space) -> None:
    """Law 3."""
    rng = np.random.default_rng(1)
    archs = drawn(space)
    for a, b in zip(archs, archs[1:], strict=False):
        child = space.mutate(a, rng)
        check(child != a and space.member(child), f"the mutation of {a} is itself or no member")
        cross = space.cross(a, b, rng)
        check(space.member(cross), f"a child of {a} and {b} is no member")
        for name, label in cross.choices:
            given = {p.labels[name] for p in (a, b) if name in p.labels}
            check(not given or label in given, f"{name} of a child is {label}, its parents have {given}")
    for near in islice(space.neighbours(archs[0]), 50):
        check(near != archs[0] and space.member(near), f"a neighbour of {archs[0]} is itself or no member")


def enumerates(space: Space) -> None:
    """Law 4; of a large space, the first architectures are different members."""
    small = space.size < LISTED
    listed = list(space) if small else list(islice(space, 200))
    check(len(set(listed)) == len(listed), "the enumeration repeats itself")
    check(not small or len(listed) == space.size, f"{len(listed)} are listed, the size is {space.size}")
    check(small or space.size >= len(listed), f"the size is {space.size}, at least {len(listed)} were listed")


def nests(space: Space) -> None:
    """Law 5, sizes: with the same nodes and depths, every tensor fits into that of the largest numbers."""
    if space.shares:
        return
    rng = np.random.default_rng(2)
    cuts = cutting(space)
    for arch in drawn(space, 6):

        def large(c: Choice, arch: Architecture = arch) -> int:
            if c.name in cuts or isinstance(c.options[0], Node | Choice | str | tuple):
                return c.index(arch[c.name]) if c.name in arch.labels else int(rng.integers(len(c.options)))
            return max(range(len(c.options)), key=lambda k: c.options[k])

        own, most = sizes(space.network(arch), space), sizes(fill(space.root, large), space)
        check(set(own) == set(most), f"a number of {arch} changes which tensors there are: {set(own) ^ set(most)}")
        for key, shape in own.items():
            fits = len(shape) == len(most[key]) and all(x <= y for x, y in zip(shape, most[key], strict=True))
            check(fits, f"{key} is {shape}, larger than {most[key]} of the largest numbers")


def cutting(space: Space) -> set[str]:
    """The names of the choices that cut a chain, or say what a sum or a concatenation keeps."""
    found: set[str] = set()

    def visit(value: Any) -> None:
        if isinstance(value, Chain) and isinstance(value.depth, Choice):
            found.add(value.depth.name)
        if isinstance(value, Sum | Concat) and isinstance(value.keep, tuple):
            found.update(c.name for c in value.keep if c is not None)
        if isinstance(value, Choice):
            for option in value.options:
                visit(option)
        elif isinstance(value, Node):
            for name in parts(type(value)):
                visit(getattr(value, name))
        elif isinstance(value, tuple):
            for part in value:
                visit(part)

    visit(space.root)
    return found


def sizes(network: Node, space: Space) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's parameters, by key."""
    import torch  # noqa: PLC0415  # the laws that build ask for torch

    from nas.build import build  # noqa: PLC0415  # the same

    with torch.device("meta"):
        return {key: tuple(p.shape) for key, p in build(network, space.input).named_parameters()}


def counts(space: Space) -> None:
    """Law 8: parameters, MACs and the shape, against torch on the meta device."""
    import torch  # noqa: PLC0415  # the laws that build ask for torch
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415  # the same

    from nas.build import build  # noqa: PLC0415  # the same

    for arch in drawn(space, 8):
        network = space.network(arch)
        said = profile(network, space.input)
        with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as flops:
            module = build(network, space.input).eval()
            out = module(torch.empty(2, *space.input))
        params = sum(p.numel() for p in module.parameters())
        check(said.total.params == params, f"{arch.key}: the profile says {said.total.params} parameters, torch {params}")
        macs = flops.get_total_flops() // 4
        check(said.total.macs == macs, f"{arch.key}: the profile says {said.total.macs} MACs, torch {macs}")
        check(tuple(out.shape[1:]) == said.out, f"{arch.key}: the profile says {said.out}, torch {tuple(out.shape[1:])}")


def connects(space: Space) -> None:
    """Equal networks have one name, and a network whose output ignores its input is told."""
    for arch in drawn(space, 10):
        flat = graph(space.network(arch), space.input)
        name, reaches = signature(flat)
        again, _ = signature(graph(space.network(arch), space.input))
        check(name == again, f"{arch.key} has two names")
        empty = [op for op in flat.ops if op.kind == "zero"]
        check(reaches or bool(empty), f"{arch.key} has no zero, and yet no path")


@final
@dataclass(frozen=True)
class _Step(Node):
    """A step of the table's chain; it stands for anything."""

    name: str

    def lower(self, shape: Any) -> Node:
        return Identity()


def table(seed: int = 0) -> tuple[Space, Callable[[Architecture], float]]:
    """A space of 200 architectures and what each is worth, in [0, 1]: mostly a sum over the choices, with a rugged part."""
    options = {"a": 5, "b": 5, "c": 4, "d": 2}
    items = [
        Choice.over(name, **{f"o{k}": _Step(f"{name}{k}") for k in range(n)}) for name, n in options.items()
    ]
    space = Space("table", Chain.seq(*items), (1,))
    rng = np.random.default_rng(seed)
    worth: dict[tuple[str, Label], float] = {(name, f"o{k}"): float(rng.random()) for name, n in options.items() for k in range(n)}

    def value(arch: Architecture) -> float:
        rugged = int(hashlib.blake2b(f"{seed}{arch.key}".encode(), digest_size=4).hexdigest(), 16) / 2**32
        return 0.85 * sum(worth[pair] for pair in arch.choices) / 4 + 0.15 * rugged

    return space, value


def strategy_laws() -> Mapping[str, Callable[[Callable[[Problem], Strategy]], None]]:
    """The laws of a strategy, by a sentence each; each takes what makes the strategy for a problem."""
    return {
        "proposes members only, whatever it is told": survives,
        "told the same, asks the same": repeats,
        "replay equals no interruption": replays,
    }


def play(
    make: Callable[[Problem], Strategy], problem: Problem, value: Callable[[Architecture], float], *, asks: int, seed: int
) -> list[Trial]:
    """Ask and tell, one at a time, as a study of one worker does."""
    strategy, told = make(problem), []
    for number in range(1, asks + 1):
        proposal = strategy.ask(np.random.default_rng((seed, number)))
        if proposal is None:
            break
        trial = Trial(number, proposal, State.DONE, {"accuracy": value(proposal.arch)})
        strategy.tell(trial)
        told.append(trial)
    return told


def survives(make: Callable[[Problem], Strategy]) -> None:
    """Failed, infeasible, repeated, late and out-of-order tells."""
    space, value = table()
    problem = Problem(space)
    strategy, rng = make(problem), np.random.default_rng(3)
    waiting: list[Trial] = []
    for number in range(1, 201):
        proposal = strategy.ask(np.random.default_rng((0, number)))
        if proposal is not None:
            check(space.member(proposal.arch), f"{proposal.arch} was proposed and is no member")
            waiting.append(_ended(number, proposal, value, rng))
        rng.shuffle(waiting)
        while waiting and (proposal is None or len(waiting) > rng.integers(1, 6)):
            strategy.tell(waiting.pop())
            if proposal is None:
                break


def _ended(number: int, proposal: Proposal, value: Callable[[Architecture], float], rng: Rng) -> Trial:
    state = State(rng.choice(["done", "done", "done", "failed", "infeasible", "repeat"]))
    rated = state in (State.DONE, State.REPEAT) and rng.random() < 0.95
    return Trial(number, proposal, state, {"accuracy": value(proposal.arch)} if rated else {}, reason="error")


def repeats(make: Callable[[Problem], Strategy]) -> None:
    """Two of one kind, told the same in the same order, ask the same."""
    space, value = table()
    one, two = (play(make, Problem(space), value, asks=60, seed=5) for _ in range(2))
    check([t.arch for t in one] == [t.arch for t in two], "the same history led to other proposals")


def replays(make: Callable[[Problem], Strategy]) -> None:
    """One that is asked and told anew what another was goes on like it."""
    space, value = table()
    whole = play(make, Problem(space), value, asks=60, seed=6)
    strategy = make(Problem(space))
    for trial in whole[:25]:
        again = strategy.ask(np.random.default_rng((6, trial.id)))
        check(again is not None and again.arch == trial.arch, f"replay differs at trial {trial.id}")
        strategy.tell(trial)
    for trial in whole[25:]:
        again = strategy.ask(np.random.default_rng((6, trial.id)))
        check(again is not None and again.arch == trial.arch, f"after the replay, trial {trial.id} differs")
        strategy.tell(trial)


def best_of_seeds(make: Callable[[Problem], Strategy], *, asks: int = 60, seeds: int = 20) -> float:
    """The median over seeds of the best value that a strategy finds on the table of 200 architectures."""
    space, value = table()
    runs = (play(make, Problem(space), value, asks=asks, seed=seed) for seed in range(seeds))
    return float(np.median([max(t.metrics["accuracy"] for t in run) for run in runs]))
