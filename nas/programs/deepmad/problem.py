"""The values of DeepMAD's mathematical program (Shen et al. 2023, arXiv:2303.02165, section 3): what is asked of whom.

A network is a stem, stages of blocks, for the mobile family a 1x1 head, and a classifier. A *level* is all that has one
image size: it ends just before a stage that halves the image. The program maximises

    sum_i alpha_i H_i - beta Q,    H_i = log(r_i^2 c_i) / 2 * sum of log w over all layers up to the end of level i,

Q the exp of the spread of the depths, under MACs, parameters, and an effectiveness of at most rho at every level.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from math import inf, prod
from typing import Literal, TypeAlias, final

from nas.errors import UserError

Family: TypeAlias = Literal["resnet", "mobile"]
MOST_DEPTHS = 2**21
"""How many depth vectors a template may have: the solver bounds each of them."""


@final
@dataclass(frozen=True)
class Score:
    """Which of the definitions in use a score has.

    penalty: exp of the standard deviation of the depths (the released code), or of their variance (the paper).
    penalty_stages: all; or as the released code takes them, for the resnet family without the first two.
    sizes: true; or as the released code takes them, 1 from the first squeeze-excitation on.
    count: conv, convolutions and linear layers, the classifier included; or tool, the released tool's: no classifier,
    2 MACs for a normalised number, 1 for an activated, pooled or summed one, none in a squeeze-excitation.
    """

    penalty: Literal["std", "var"] = "std"
    penalty_stages: Literal["all", "released"] = "all"
    sizes: Literal["true", "released"] = "true"
    count: Literal["conv", "tool"] = "conv"

    def __post_init__(self) -> None:
        allowed = {
            "penalty": ("std", "var"),
            "penalty_stages": ("all", "released"),
            "sizes": ("true", "released"),
            "count": ("conv", "tool"),
        }
        for name, known in allowed.items():
            if getattr(self, name) not in known:
                fix = f"it is one of {', '.join(known)}"
                raise UserError(f"a score has no {name} {getattr(self, name)!r}", fix=fix)


@final
@dataclass(frozen=True)
class Budgets:
    """What a design may use: MACs and parameters for one image, and rho, the effectiveness of every level; or inf."""

    macs: float = inf
    params: float = inf
    rho: float = inf

    def __post_init__(self) -> None:
        for part in fields(self):
            if not getattr(self, part.name) > 0:
                given = getattr(self, part.name)
                raise UserError(f"the budget of {part.name} is {given}", fix="give a number above 0, or leave it out")


@final
@dataclass(frozen=True)
class Design:
    """A point of the program: of each stage its blocks, output channels, inner channels and kernel."""

    stem: int
    depths: tuple[int, ...]
    outs: tuple[int, ...]
    mids: tuple[int, ...]
    kernels: tuple[int, ...]
    head: int = 0


@final
@dataclass(frozen=True)
class Template:
    """The family of designs that a program ranges over.

    stems, widths, kernels, depths: the options; of the widths and depths, for each stage.
    step: inner channels are its multiples, between the two `ratios` of the stage's width, rounded to that step.
    steepest: a width is at most so many times the one before (inf for any); no width is below the one before.
    head: channels of the 1x1 convolution before the classifier, 0 for none (the resnet family).
    alpha: of each level; empty for 1, 1, ..., 8. beta: of the penalty.
    """

    family: Family
    input: tuple[int, int, int]
    classes: int
    strides: tuple[int, ...]
    stems: tuple[int, ...]
    widths: tuple[tuple[int, ...], ...]
    ratios: tuple[float, float]
    kernels: tuple[int, ...]
    depths: tuple[tuple[int, ...], ...]
    step: int = 8
    steepest: float = inf
    head: int = 0
    alpha: tuple[float, ...] = ()
    beta: float = 10.0

    def __post_init__(self) -> None:
        stages = len(self.strides)
        if self.family not in ("resnet", "mobile"):
            raise UserError(f"no family is called {self.family!r}", fix="it is resnet or mobile")
        if not stages or len(self.widths) != stages or len(self.depths) != stages:
            counts = f"{stages} strides, {len(self.widths)} rows of widths and {len(self.depths)} of depths"
            raise UserError(f"a template has {counts}", fix="give one of each for every stage, and one stage at least")
        lists = (self.stems, self.kernels, *self.widths, *self.depths)
        if not all(row and min(row) > 0 and list(row) == sorted(set(row)) for row in lists):
            raise UserError(
                "a template's options are not all rising positive numbers", fix="sort them, without repeats"
            )
        if (self.family == "mobile") != (self.head > 0):
            raise UserError(f"the {self.family} family with head {self.head}", fix="only the mobile family has a head")
        if self.alpha and len(self.alpha) != len(self.ends):
            message = f"{len(self.alpha)} weights alpha for {len(self.ends)} image sizes"
            raise UserError(message, fix="give one for each size, or none")
        if self.vectors > MOST_DEPTHS:
            message = (
                f"a template has {self.vectors:,} depth vectors, and {MOST_DEPTHS:,} are the most that are bounded"
            )
            raise UserError(message, fix="narrow the depths")

    @property
    def stages(self) -> int:
        """How many stages there are."""
        return len(self.strides)

    @property
    def vectors(self) -> int:
        """How many depth vectors there are."""
        return prod(map(len, self.depths))

    @cached_property
    def areas(self) -> tuple[int, ...]:
        """The pixels that the stem and each stage put out."""
        return tuple(h * w for h, w in self._sizes)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Where each level ends: a stage numbered from 1, or 0 for the stem."""
        sizes = self._sizes
        return (*(j for j in range(self.stages) if sizes[j + 1][0] < sizes[j][0]), self.stages)

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """Alpha of each level."""
        return self.alpha or (*[1.0] * (len(self.ends) - 1), 8.0)

    @cached_property
    def stage_kernels(self) -> tuple[tuple[int, ...], ...]:
        """The kernels of each stage: 1.5 times the kernel fits into its input; the smallest one always may."""
        return tuple(
            tuple(k for k in self.kernels if 1.5 * k <= min(size) or k == self.kernels[0]) for size in self._sizes[:-1]
        )

    def limits(self, width: int) -> tuple[int, int]:
        """The least and the largest inner channels beside an output width."""
        low, high = (max(self.step, round(r * width / self.step) * self.step) for r in self.ratios)
        return low, max(low, high)

    @cached_property
    def _sizes(self) -> tuple[tuple[int, int], ...]:
        sides = self.input[1:]
        made = [tuple(-(-s // 2) for s in sides)]
        for stride in self.strides:
            made.append(tuple(-(-s // stride) for s in made[-1]))
        return tuple((h, w) for h, w in made)


def broken(template: Template, design: Design) -> str:
    """Which rule of the template a design breaks, in a few words; "" for a member. Budgets are not looked at."""
    rows = (design.depths, design.outs, design.mids, design.kernels)
    if any(len(row) != template.stages for row in rows):
        return f"it does not have {template.stages} stages"
    if design.head != template.head:
        return f"the head is {design.head}, not {template.head}"
    if design.stem not in template.stems:
        return f"the stem is {design.stem}, not one of {', '.join(map(str, template.stems))}"
    before = design.stem
    for j, (depth, out, mid, kernel) in enumerate(zip(*rows, strict=True)):
        low, high = template.limits(out)
        if depth not in template.depths[j]:
            return f"stage {j + 1} has {depth} blocks"
        if out not in template.widths[j]:
            return f"stage {j + 1} has {out} channels"
        if not low <= mid <= high or mid % template.step:
            return f"stage {j + 1} has {mid} inner channels beside {out}"
        if kernel not in template.stage_kernels[j]:
            return f"stage {j + 1} has the kernel {kernel}"
        if not before <= out <= template.steepest * before:
            return f"stage {j + 1} has {out} channels behind {before}"
        before = out
    return ""
