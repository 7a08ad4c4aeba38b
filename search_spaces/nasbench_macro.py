"""The space of NAS-Bench-Macro (Su et al. 2021, arXiv:2103.11922): what each of eight layers is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Chain, Choice, Identity, Label, Node
from search_spaces.ops.conv import Conv, ConvNormAct
from search_spaces.ops.norm import Norm
from search_spaces.ops.pool import Classifier
from search_spaces.ops.residual import MBConv

LAYERS = ("identity", "mb3_k3", "mb6_k5")
"""What a layer may be, in the order of the authors' digits 0 to 2."""


@recorded
def nasbench_macro(
    input: tuple[int, int, int] = (3, 32, 32),  # the word of the project for an input shape
    classes: int = 10,
    channels: int = 32,
    depths: tuple[int, ...] = (2, 3, 3),
    head: int = 1280,
) -> Space:
    """Stages whose first layer halves the size and doubles the channels: 3^8 = 6,561 architectures.

    channels: of the stem; depths: layers of each stage; head: channels before the classifier.
    """
    body: dict[str, Node | Choice] = {"stem": ConvNormAct(channels, 3)}
    width, starts = channels, list[int]()
    for depth in depths:
        width *= 2
        starts.append(len(body) - 1)
        for k in range(depth):
            body[f"layer{len(body)}"] = _layer(f"layer{len(body)}", width, 1 if k else 2)
    root = Chain.of(**body, last=ConvNormAct(head, 1), head=Classifier(classes))
    count = sum(depths)
    spelling = Spelling(partial(_spell, count=count), partial(_parse, count=count))
    return Space(
        "nasbench_macro", root, tuple(input), spelling=spelling, same=partial(_same, count=count, starts=tuple(starts))
    )


def _layer(name: str, width: int, stride: int) -> Choice:
    """A layer: nothing (or a projection, where the size changes), or an inverted residual."""
    none = Identity() if stride == 1 else Chain.of(conv=Conv(width, 1, 2), norm=Norm())
    return Choice.over(
        name,
        identity=none,
        mb3_k3=MBConv(width, 3, 3, stride, act="relu"),
        mb6_k5=MBConv(width, 5, 6, stride, act="relu"),
    )


def unique(digits: str, starts: tuple[int, ...]) -> str:
    """The digits with the identities of each stage behind its other layers: one spelling for equal networks.

    The released `get_real_arch`. starts: where each stage starts; its first layer stays where it is.
    """
    made = ""
    for start, end in zip(starts, (*starts[1:], len(digits)), strict=True):
        first, rest = digits[start], digits[start + 1 : end]
        made += first + rest.replace("0", "").ljust(len(rest), "0")
    return made


def _same(arch: Architecture, count: int, starts: tuple[int, ...]) -> str:
    return unique(_spell(arch, count), starts)


def _spell(arch: Architecture, count: int) -> str:
    return "".join(str(LAYERS.index(str(arch[f"layer{k}"]))) for k in range(1, count + 1))


def _parse(text: str, count: int) -> Mapping[str, Label]:
    digits = text.strip()
    if len(digits) != count or not set(digits) <= set("012"):
        raise ValueError(f"{text!r} is no network of nasbench_macro; one is {count} digits 0, 1 or 2")
    return {f"layer{k}": LAYERS[int(digit)] for k, digit in enumerate(digits, 1)}
