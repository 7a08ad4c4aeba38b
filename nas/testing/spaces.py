"""The laws of a search space; those of shared weights and of relaxing stand in sharing.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import islice, pairwise

import numpy as np

from nas.decision import decides_only
from nas.errors import UserError
from nas.fill import fill
from nas.graph import graph, signature
from nas.profile import profile
from nas.space import Architecture, Space
from nas.testing.check import check
from nas.testing.cuts import cutting
from nas.tree import Choice, Node

DRAWN = 30
LISTED = 20_000
"""Spaces smaller than this are enumerated whole."""


def space_laws() -> Mapping[str, Callable[[Space], None]]:
    """The laws of a space, by a sentence each."""
    from nas.testing.sharing import sharing_laws  # noqa: PLC0415  # it imports torch; workers import this package

    return {
        "1 an architecture's labels decide it": decides,
        "2 JSON and spelling lead there and back, in another process too": writes,
        "3 a mutation differs in a member, a child takes after its parents": varies,
        "4 enumeration gives every architecture once": enumerates,
        "5 no option of a number needs more than the largest one has": nests,
        **sharing_laws(),
        "8 the profile equals torch's own counts": counts,
        "every network has a path, or says that it has none": connects,
        "a space of decisions alone refuses to build": refuses,
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
        check(
            space.parse(space.spell(arch)) == arch, f"{arch} does not come back from its spelling {space.spell(arch)}"
        )
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
    """Law 3; nothing varies in a space of one architecture."""
    if all(len(choice.options) == 1 for choice in space.choices.values()):
        return
    rng = np.random.default_rng(1)
    archs = drawn(space)
    for a, b in pairwise(archs):
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


def sizes(network: Node, space: Space) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's parameters, by key."""
    import torch  # noqa: PLC0415  # the laws that build ask for torch

    from nas.build import build  # noqa: PLC0415  # the same

    with torch.device("meta"):
        return {key: tuple(p.shape) for key, p in build(network, space.input).named_parameters()}


def counts(space: Space) -> None:
    """Law 8: parameters, MACs and the shape, against torch on the meta device."""
    if decides_only(space.root):
        return
    import torch  # noqa: PLC0415  # the laws that build ask for torch
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415  # the same

    from nas.build import build  # noqa: PLC0415  # the same

    for arch in drawn(space, 8):
        network = space.network(arch)
        said = profile(network, space.input)
        with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as flops:
            module = build(network, space.input).eval()
            shapes = space.input if isinstance(space.input[0], tuple) else (space.input,)
            out = module(*(torch.empty(2, *shape) for shape in shapes))
        params = sum(p.numel() for p in module.parameters())
        check(
            said.total.params == params, f"{arch.key}: the profile says {said.total.params} parameters, torch {params}"
        )
        macs = flops.get_total_flops() // 4
        check(said.total.macs == macs, f"{arch.key}: the profile says {said.total.macs} MACs, torch {macs}")
        check(
            tuple(out.shape[1:]) == said.out, f"{arch.key}: the profile says {said.out}, torch {tuple(out.shape[1:])}"
        )


def connects(space: Space) -> None:
    """Equal networks have one name, and a network whose output ignores its input is told."""
    if decides_only(space.root):
        return
    for arch in drawn(space, 10):
        flat = graph(space.network(arch), space.input)
        name, reaches = signature(flat)
        again, _ = signature(graph(space.network(arch), space.input))
        check(name == again, f"{arch.key} has two names")
        empty = [op for op in flat.ops if op.kind == "zero"]
        check(reaches or bool(empty), f"{arch.key} has no zero, and yet no path")


def refuses(space: Space) -> None:
    """Whoever asks a space of decisions alone for a network is told so in one line, and its reasons say it too."""
    if not decides_only(space.root):
        return
    from nas.build import build  # noqa: PLC0415  # the laws that build ask for torch

    check(bool(space.shares and space.relaxes), f"{space.name} only decides, and yet shares weights or is relaxed")
    network = space.network(drawn(space, 1)[0])
    for ask in (build, profile):
        try:
            ask(network, space.input)
        except UserError as error:
            check("only a table" in str(error), f"{ask.__name__} of {space.name} says {error}")
        else:
            check(False, f"{ask.__name__} makes something of {space.name}, which only decides")
