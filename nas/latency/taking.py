"""Measuring a device file here: every distinct layer of a space, then a few whole networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from nas.build import build
from nas.errors import UserError
from nas.files import write_text
from nas.graph import TooSmall
from nas.latency.devices import read_raw
from nas.latency.layers import Layer, Walk, walk
from nas.latency.timing import TIMES, Asked, Session, header, other
from nas.profile import profile
from nas.space import Architecture, Space

DRAWN = 200
"""Random architectures of which those that are measured whole are chosen, spread over their MACs."""
REDRAWS = 20
Say: TypeAlias = Callable[[str, int, int, float], None]


def take(
    space: Space,
    device: torch.device,
    out: Path,
    *,
    threads: int = 1,
    batch: int = 1,
    networks: int = 10,
    seed: int = 0,
    say: Say = lambda what, done, of, left: None,
) -> Walk:
    """Measure the layers and some whole networks of a space into a device file, or go on with one.

    say: is told what is measured, how many are done, of how many, and the seconds left. UserError where the file is of
    another device, or measured otherwise.
    """
    head = {**header(device, threads=threads, batch=batch), **about(space)}
    made: dict[str, Any] = read_raw(out) if out.exists() else {}
    if made and (differs := other(made, head)):
        raise UserError(f"{out} holds another measurement: its {differs}", fix="give another --out")
    found = walk(space, seed)
    made = {**head, "walk": {"by": found.by, "architectures": found.architectures}, **made, "date": head["date"]}

    def write(held: Mapping[str, Any]) -> None:
        write_text(out, json.dumps(held, indent=1) + "\n")

    session = Session(made, device, write, say)
    session.layers([asked(layer) for layer in found.layers.values()])
    session.networks([network(space, arch) for arch in spread(space, networks, seed)])
    return found


def together(
    space: Space,
    archs: Sequence[Architecture],
    device: torch.device,
    *,
    threads: int = 1,
    batch: int = 1,
    times: int = TIMES,
    say: Say = lambda what, done, of, left: None,
) -> Sequence[Mapping[str, Any]]:
    """Whole networks measured in rounds, beside each other: for each a row as in a device file."""
    made: dict[str, Any] = {"threads": threads, "batch": batch}
    Session(made, device, lambda held: None, say).networks([network(space, arch) for arch in archs], times=times)
    rows: Sequence[Mapping[str, Any]] = made["networks"]
    return rows


def network(space: Space, arch: Architecture) -> Asked:
    """A whole network as something that can be measured."""
    make = partial(build, space.network(arch), space.input)
    return Asked(arch.key, make, space.input, {"choices": dict(arch.labels)})


def about(space: Space) -> dict[str, Any]:
    """What a device file says of the space."""
    plain = json.loads(json.dumps(dict(space.settings)))
    return {"space": space.name, "settings": plain, "input": list(space.input)}


def asked(layer: Layer) -> Asked:
    """A layer as something that can be measured."""
    said = {"kind": layer.kind, "macs": layer.macs, "elements": layer.elements}
    return Asked(layer.key, layer.call, layer.shape, said)


def spread(space: Space, count: int, seed: int = 0) -> Sequence[Architecture]:
    """Random architectures with few to many MACs: of 200, those at even steps of their order."""
    rng, costs = np.random.default_rng((seed, 1)), dict[Architecture, int]()
    for _ in range(DRAWN * REDRAWS):
        if len(costs) >= min(DRAWN, space.size if space.accepts is None else DRAWN):
            break
        arch = space.sample(rng)
        try:
            costs[arch] = profile(space.network(arch), space.input).total.macs
        except TooSmall:
            continue
    order = sorted(costs, key=lambda a: (costs[a], a.key))
    steps = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [order[k] for k in dict.fromkeys(steps.tolist())]
