"""DeepMAD's evolutionary search (Shen et al. 2023, arXiv:2303.02165) over its two families, rated by any objective.

The mutations are those of `nas.programs.deepmad.evolution`, which searches the entropy itself at 100,000 networks in
seconds; here each network is a trial, so that the same rules serve accuracy, a predictor or a measured latency.
"""

from __future__ import annotations

from math import inf
from typing import final

import numpy as np

from nas.errors import UserError
from nas.problem import DRAWS, Problem, Proposal, Trial
from nas.programs.deepmad.evolution import POPULATION, children, first
from nas.programs.deepmad.measure import Batch
from nas.programs.deepmad.presets import SPACES, design_of, eights, labels
from nas.programs.deepmad.problem import Budgets, Design, Score, Template
from nas.space import Architecture, Rng, Space
from nas.tree import Choice

RULES = {"resnet": (2048, (0.1, 1.0), 4.0), "mobile": (1280, (1.5, 6.0), inf)}
"""By family: the widest, the inner widths in widths, and how many times a width may be the one before."""


@final
class DeepMAD:
    """Mutates two parts of a random one of the best `population` members; starts from one block a stage.

    Raises UserError for a space that is not one of DeepMAD's.
    """

    def __init__(self, problem: Problem, population: int = POPULATION) -> None:
        if population < 1:
            raise ValueError(f"a population holds at least one, got {population}")
        self._problem, self._size = problem, population
        self._template = template(problem.space)
        self._alive: list[Trial] = []
        self._start: Architecture | None = None

    def ask(self, rng: Rng) -> Proposal | None:
        """The start, then a child of a random member, or of the start as long as nothing is rated."""
        if self._start is None:
            self._start = self._arch(self._first())
            return Proposal(self._start)
        if not self._alive:
            return Proposal(self._child(self._start, rng))
        parent = self._alive[int(rng.integers(len(self._alive)))]
        return Proposal(self._child(parent.arch, rng), note={"mutated": parent.id})

    def tell(self, trial: Trial) -> None:
        """A rated trial joins, once; the worst leaves."""
        if not self._problem.rates(trial.metrics) or any(t.arch == trial.arch for t in self._alive):
            return
        better = [self._problem.better(trial.metrics, t.metrics) for t in self._alive]
        self._alive.insert(better.index(True) if any(better) else len(better), trial)
        del self._alive[self._size :]

    def _child(self, parent: Architecture, rng: Rng) -> Architecture:
        """A mutation that keeps the limits known without a device, where one is found in 100 draws."""
        designs = Batch.of([design_of(parent.labels, self._template.head)])
        for _ in range(DRAWS):
            arch = self._arch(children(self._template, designs, rng).design(0, self._template.head))
            if arch.key != parent.key and not self._problem.screen(arch).broken:
                break
        return arch

    def _first(self) -> Design:
        limits = {c.metric: c.at_most for c in self._problem.constraints if c.metric in ("macs", "params")}
        return first(self._template, Score(), Budgets(**limits))

    def _arch(self, design: Design) -> Architecture:
        wanted = labels(design)

        def pick(choice: Choice) -> int:
            return int(np.argmin([abs(float(label) - float(wanted[choice.name])) for label in choice.labels]))

        return self._problem.space.decide(pick)


def template(space: Space) -> Template:
    """The template that a DeepMAD space belongs to, with the tool's rules; UserError for any other space."""
    family = next((family for family, name in SPACES.items() if name == space.name), None)
    if family is None:
        known = " and ".join(SPACES.values())
        raise UserError(f"the strategy deepmad mutates {known}, not {space.name}", fix="take --strategy evolution")
    of = space.settings
    widest, ratios, steepest = RULES[family]
    channels, depths, kernels = of["channels"], of["depths"], of["kernels"]
    stages = range(1, len(of["strides"]) + 1)
    found = {s: space.choices[f"stage{s}.depth"].labels for s in stages}
    return Template(
        "resnet" if family == "resnet" else "mobile",
        (int(of["input"][0]), int(of["input"][1]), int(of["input"][2])),
        of["classes"],
        tuple(of["strides"]),
        stems=tuple(sorted(of["stem"])),
        widths=tuple(tuple(sorted(row)) for row in channels) or (eights(widest),) * len(stages),
        ratios=ratios,
        kernels=tuple(sorted(kernels)),
        depths=tuple(tuple(sorted(row)) for row in depths) or tuple(tuple(int(d) for d in found[s]) for s in stages),
        steepest=steepest,
        head=of.get("head", 0),
    )
