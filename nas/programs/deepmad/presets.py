"""Ready templates, the released problems, and a design as labels of a search space and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from nas.errors import UserError
from nas.programs.deepmad.problem import Budgets, Design, Score, Template
from nas.tree import Label

SPACES = {"resnet": "deepmad_resnet", "mobile": "deepmad_mobile"}
"""The search space of each family."""
LEAST_SIDE = 4
"""A ready template halves the image four times behind the stem, but not below this."""


@final
@dataclass(frozen=True)
class Released:
    """A configuration of the released search: its template, its score and its budgets."""

    template: Template
    score: Score
    budgets: Budgets


def eights(most: int, least: int = 8) -> tuple[int, ...]:
    """The multiples of 8 up to `most`."""
    return tuple(range(least, most + 1, 8))


def resnet(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    *,
    strides: Sequence[int] = (),
    deepest: int = 16,
) -> Template:
    """The family `K1KXK1` at any input: inner widths of 0.1 to 1 times the width, which grows at most fourfold."""
    steps = tuple(strides) or _strides(input, last=True)
    return Template(
        "resnet",
        input,
        classes,
        steps,
        stems=(8, 16, 24, 32),
        widths=(eights(2048),) * len(steps),
        ratios=(0.1, 1.0),
        kernels=(3, 5),
        depths=_depths(len(steps), deepest),
        steepest=4.0,
    )


def mobile(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    *,
    strides: Sequence[int] = (),
    stems: Sequence[int] = (16, 24, 32),
    head: int = 1792,
    deepest: int = 16,
) -> Template:
    """The family `K1DWSEK1` at any input: inner widths of 1.5 to 6 times the width."""
    steps = tuple(strides) or _strides(input, last=False)
    return Template(
        "mobile",
        input,
        classes,
        steps,
        stems=tuple(stems),
        widths=(eights(1280),) * len(steps),
        ratios=(1.5, 6.0),
        kernels=(3, 5, 7),
        depths=_depths(len(steps), deepest),
        head=head,
    )


def released(name: str) -> Released:
    """The configuration of this name; UserError for an unknown one."""
    if name not in TEMPLATES:
        raise UserError(f"no template is called {name!r}", fix=f"there are: {', '.join(TEMPLATES)}")
    return TEMPLATES[name]


def settings(template: Template, design: Design | None = None) -> dict[str, Any]:
    """What the search space of the template's family is made with, so that the design (or any of them) is a member."""
    rows = [list(row) for row in template.widths]
    mids = [_mids(template, row) for row in template.widths]
    stems, kernels, depths = list(template.stems), list(template.kernels), [list(row) for row in template.depths]
    if design is not None:
        stems, kernels = sorted({*stems, design.stem}), sorted({*kernels, *design.kernels})
        rows = [sorted({*row, out}) for row, out in zip(rows, design.outs, strict=True)]
        mids = [sorted({*row, mid}) for row, mid in zip(mids, design.mids, strict=True)]
        depths = [sorted({*row, depth}) for row, depth in zip(depths, design.depths, strict=True)]
    made: dict[str, Any] = {
        "input": list(template.input),
        "classes": template.classes,
        "strides": list(template.strides),
        "stem": stems,
        "channels": rows,
        "bottlenecks": mids,
        "kernels": kernels,
        "depths": depths,
    }
    return {**made, "head": template.head} if template.family == "mobile" else made


def labels(design: Design) -> dict[str, Label]:
    """The design as an architecture of its family's search space."""
    made: dict[str, Label] = {"stem.channels": design.stem}
    rows = zip(design.depths, design.outs, design.mids, design.kernels, strict=True)
    for j, (depth, out, mid, kernel) in enumerate(rows, 1):
        stage = {"channels": out, "bottleneck": mid, "kernel": kernel, "depth": depth}
        made |= {f"stage{j}.{what}": value for what, value in stage.items()}
    return made


def design_of(labels: Mapping[str, Label], head: int = 0) -> Design:
    """The design that an architecture of the family's search space is; KeyError where a label is missing."""
    stages = sum(name.endswith(".depth") for name in labels)

    def row(what: str) -> tuple[int, ...]:
        return tuple(int(labels[f"stage{j}.{what}"]) for j in range(1, stages + 1))

    return Design(int(labels["stem.channels"]), row("depth"), row("channels"), row("bottleneck"), row("kernel"), head)


def _mids(template: Template, widths: Sequence[int]) -> list[int]:
    low, high = template.limits(widths[0])[0], template.limits(widths[-1])[1]
    return list(range(low, high + 1, template.step))


def _depths(stages: int, deepest: int) -> tuple[tuple[int, ...], ...]:
    return (tuple(range(1, 4)), *(tuple(range(1, deepest + 1)),) * (stages - 1))


def _strides(input: tuple[int, int, int], *, last: bool) -> tuple[int, ...]:
    """One stage for each halving and one that keeps the size: the last but one if the `last` stage halves."""
    side, halvings = -(-min(input[1:]) // 2), 0
    while halvings < 4 and -(-side // 2) >= LEAST_SIDE:
        side, halvings = -(-side // 2), halvings + 1
    twos = (2,) * halvings
    return (*twos[:-1], 1, *twos[-1:]) if last else (*twos, 1)


def _resnet(macs: float, params: float, deepest: int) -> Released:
    score = Score(penalty="std", penalty_stages="released", sizes="released", count="tool")
    return Released(resnet(deepest=deepest), score, Budgets(macs, params, 0.3))


def _mobile(macs: float, params: float, stem: int, head: int) -> Released:
    score = Score(penalty="std", penalty_stages="released", sizes="released", count="tool")
    return Released(mobile(stems=range(16, stem + 1, 8), head=head), score, Budgets(macs, params, 0.5))


TEMPLATES: Mapping[str, Released] = {
    "r18": _resnet(1.82e9, 11.69e6, 20),
    "r34": _resnet(3.68e9, 21.80e6, 22),
    "r50": _resnet(4.13e9, 25.55e6, 24),
    "29m": _mobile(4.5e9, 29e6, 32, 1792),
    "50m": _mobile(8.7e9, 50e6, 48, 2048),
    "89m": _mobile(15.4e9, 89e6, 56, 2560),
}
"""The configurations of alibaba/lightweight-neural-architecture-search, by the network that each made."""
