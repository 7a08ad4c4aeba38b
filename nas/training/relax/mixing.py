"""What one vector of alphas makes of a space: how each of its options weighs."""

from __future__ import annotations

from typing import Literal, final, get_args

import torch
from torch import Tensor

from nas.derive import slots
from nas.errors import UserError
from nas.space import Architecture, Space
from nas.tree import Choice

Squash = Literal["softmax", "sigmoid"]


@final
class Mixing:
    """Alphas of shape (size,) to the mix of a space: for each choice the weights of its options.

    squash: "softmax" over the options of a choice (Liu et al. 2019, arXiv:1806.09055, equation 2), or the "sigmoid" of
    each for itself (Chu et al. 2020, arXiv:1911.12126); a choice of (0, 1) then has one alpha.
    edges: whether the edges into one node are weighed too, by a softmax over the last alphas, the betas (Xu et al.
    2020, arXiv:1907.05737, section 3.3). They are the choices called alike but for a last "from..."; each option's
    weight is multiplied by its edge's, so that `derive` ranks by the product. Sets of kept items are not learnt: all
    are kept, and `derive` picks the heaviest.
    """

    def __init__(self, space: Space, squash: Squash = "softmax", *, edges: bool = False) -> None:
        if squash not in get_args(Squash):
            raise UserError(f"there is no squash {squash!r}", fix=f"there are: {', '.join(get_args(Squash))}")
        self.squash, self._choices = squash, space.choices
        self.spans: dict[str, slice] = {}
        self._sets: dict[str, int] = {}
        self._binary: set[str] = set()
        self.size = 0
        for name, choice in space.choices.items():
            if isinstance(choice.options[0], tuple):
                self._sets[name] = len(slots(choice))
                continue
            if squash == "sigmoid" and _binary(choice):
                self._binary.add(name)
            width = 1 if name in self._binary else len(choice.options)
            self.spans[name] = slice(self.size, self.size + width)
            self.size += width
        if not self.size:
            raise UserError(f"the space {space.name!r} has no choice to weigh")
        self.rows = [self._alike(width, names) for width, names in self._widths().items()]
        self.nodes = _nodes(self.spans) if edges else []
        if edges and not self.nodes:
            raise UserError(f"no node of the space {space.name!r} has several edges to weigh", fix="leave out edges")
        self.options = self.size
        self.size += sum(map(len, self.nodes))

    def __call__(self, alphas: Tensor) -> dict[str, Tensor]:
        """The mix; gradients reach the alphas."""
        made = {name: alphas.new_ones(count) for name, count in self._sets.items()}
        edge = self._edges(alphas)
        for names, index in self.rows:
            rows = alphas[index]
            rows = rows.softmax(1) if self.squash == "softmax" else rows.sigmoid()
            if names[0] in self._binary:
                rows = torch.cat((1 - rows, rows), 1)
            made.update(zip(names, rows.unbind(), strict=True))
        return {name: weights * edge[name] if name in edge else weights for name, weights in made.items()}

    def cells(self) -> list[list[str]]:
        """The choices of each cell: those with one first name."""
        found: dict[str, list[str]] = {}
        for name in self.spans:
            found.setdefault(name.split(".")[0], []).append(name)
        return list(found.values())

    def first(self, seed: int, spread: float) -> Tensor:
        """The first alphas: normal, with this deviation."""
        return spread * torch.randn(self.size, generator=torch.Generator().manual_seed(seed))

    def alphas_of(self, arch: Architecture, used: float = 10.0) -> Tensor:
        """Alphas of `used` for what an architecture has, and 0 for the rest (arXiv:2108.09306, for DARTOpti)."""
        made = torch.zeros(self.size)
        for name, span in self.spans.items():
            if name in self._binary:
                made[span] = used * int(arch.labels.get(name, 0) == 1)
            elif name in arch.labels:
                made[span.start + self._choices[name].index(arch[name])] = used
        return made

    def _widths(self) -> dict[tuple[int, bool], list[str]]:
        found: dict[tuple[int, bool], list[str]] = {}
        for name, span in self.spans.items():
            found.setdefault((span.stop - span.start, name in self._binary), []).append(name)
        return found

    def _alike(self, width: tuple[int, bool], names: list[str]) -> tuple[list[str], Tensor]:
        return names, torch.stack([torch.arange(width[0]) + self.spans[name].start for name in names])

    def _edges(self, alphas: Tensor) -> dict[str, Tensor]:
        made, at = dict[str, Tensor](), self.options
        for names in self.nodes:
            made.update(zip(names, alphas[at : at + len(names)].softmax(0).unbind(), strict=True))
            at += len(names)
        return made


def plain(mix: dict[str, Tensor]) -> dict[str, list[float]]:
    """A mix as plain numbers."""
    return {name: weights.tolist() for name, weights in mix.items()}


def _binary(choice: Choice) -> bool:
    return not choice.of_nodes and sorted(map(str, choice.options)) == ["0", "1"]


def _nodes(spans: dict[str, slice]) -> list[list[str]]:
    found: dict[str, list[str]] = {}
    for name in spans:
        node, _, edge = name.rpartition(".")
        if edge.startswith("from"):
            found.setdefault(node, []).append(name)
    return [names for names in found.values() if len(names) > 1]
