"""The scores of a space's blocks: an architecture's is their sum, and the best one under limits is found exactly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from nas.errors import ENVIRONMENT, INFEASIBLE, UserError
from nas.files import write_text
from nas.problem import COSTS, Constraint
from nas.programs.choose import Chooser
from nas.programs.openings import CELLS, Scope
from nas.programs.tables import Array, Tables, costs
from nas.space import Architecture, Space
from nas.training.blocks.split import cut
from nas.tree import Node

FILE = "blocks.json"
KIND = "nas block scores 1"
NEVER = 1e3
"""What a path that was not rated costs a sum: more than all blocks together can."""


@final
@dataclass(frozen=True, eq=False)
class Scores:
    """What the paths of each block scored, lower is better; by the block's network, so that tied choices do not matter.

    ends: the names of the blocks' last items in the chain of the space.
    """

    space: Space
    ends: tuple[str, ...]
    rated: tuple[Mapping[Node, float], ...]

    @staticmethod
    def of(space: Space, ends: Sequence[str], rows: Sequence[Sequence[tuple[Architecture, float]]]) -> Scores:
        """The scores of each block's paths."""
        chains = [Space(space.name, chain, space.input) for chain in cut(space.root, ends)]
        rated = [{chain.network(arch): score for arch, score in some} for chain, some in zip(chains, rows, strict=True)]
        return Scores(space, tuple(ends), tuple(rated))

    @staticmethod
    def read(space: Space, folder: Path) -> Scores:
        """Those that a training left in a folder. UserError where there are none, or of another space."""
        try:
            made = json.loads((folder / FILE).read_text(encoding="utf-8"))
            kind, name, settings = made["kind"], made["space"], made["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"there are no scores of blocks in {folder}", fix="train them", code=ENVIRONMENT) from error
        if (kind, name, settings) != (KIND, space.name, json.loads(json.dumps(dict(space.settings)))):
            raise UserError(
                f"{folder / FILE} is of the space {name} with settings {settings}, not of {space.name} here"
            )
        rows = [
            [(Architecture(name, tuple(sorted(labels.items()))), score) for labels, score in block["paths"]]
            for block in made["blocks"]
        ]
        return Scores.of(space, tuple(block["end"] for block in made["blocks"]), rows)

    def __call__(self, arch: Architecture) -> float:
        """The sum over the blocks of an architecture; KeyError naming a block whose path was not rated."""
        total = 0.0
        for end, known, block in zip(self.ends, self.rated, cut(self.space.network(arch), self.ends), strict=True):
            if block not in known:
                raise KeyError(f"the path of {arch.to_json()} in the block that ends with {end!r} was not rated")
            total += known[block]
        return total

    def covers(self, network: Node) -> bool:
        """Whether all blocks of a network of this space were rated."""
        return all(block in known for known, block in zip(self.rated, cut(network, self.ends), strict=True))

    def tables(self) -> Tables:
        """Minus the sum, as a sum of one table for each block over its choices."""
        parts: dict[Scope, Array] = {(): np.zeros(())}
        order = list(self.space.choices)
        for chain, known in zip(cut(self.space.root, self.ends), self.rated, strict=True):
            block = Space(self.space.name, chain, self.space.input)
            scope = tuple(sorted(block.choices, key=order.index))
            shape = [len(self.space.choices[name].options) for name in scope]
            if math.prod(shape) > CELLS:
                raise UserError(
                    f"a table of the block of {', '.join(chain.names)} would have {math.prod(shape):,} cells, at most "
                    f"{CELLS:,} are made",
                    fix="cut the space into more blocks",
                )
            table = np.zeros(shape)
            for arch in block:
                cell = tuple(self.space.choices[n].index(arch[n]) if n in arch.labels else slice(None) for n in scope)
                table[cell] = -known.get(block.network(arch), NEVER)
            parts[scope] = parts[scope] + table if scope in parts else table
        return Tables(self.space, parts)

    def best(self, limits: Sequence[Constraint] = ()) -> tuple[Architecture, float]:
        """The architecture of the least sum within limits on params, macs and activations, and its sum.

        It is exact, as far as `nas.programs.choose` is: a program of many tied choices may stop before its proof.
        UserError where no network whose blocks were all rated keeps the limits.
        """
        if other := [limit.metric for limit in limits if limit.metric not in COSTS]:
            raise UserError(f"{other[0]} is no sum over layers", fix=f"give limits on {', '.join(COSTS)}")
        counts = costs(self.space, [limit.metric for limit in limits]) if limits else {}
        roofs = [(counts[limit.metric], limit.at_most) for limit in limits]
        found = Chooser(self.space).ranked(self.tables(), roofs)
        if not found or found[0].value < -NEVER / 2:
            said = " and ".join(f"{limit.metric} <= {limit.at_most:,.0f}" for limit in limits) or "no limit"
            raise UserError(
                f"no network whose blocks were all rated keeps {said}", fix="raise the limit", code=INFEASIBLE
            )
        return found[0].arch, self(found[0].arch)


def write(folder: Path, space: Space, best: Architecture, blocks: Sequence[Mapping[str, Any]]) -> None:
    """Leave scores in a folder; of each block: its "end", and "paths" as pairs of labels and score.

    best: the network of the blocks' best paths.
    """
    about = {"kind": KIND, "space": space.name, "settings": dict(space.settings), "best": dict(best.choices)}
    made = {**about, "blocks": list(blocks)}
    write_text(folder / FILE, json.dumps(made))
