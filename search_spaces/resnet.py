"""Residual networks with free widths and depths (He et al. 2016, arXiv:1512.03385)."""

from __future__ import annotations

from collections.abc import Sequence

from nas.errors import UserError
from nas.recorded import recorded
from nas.space import Space
from nas.tree import Chain, Choice, Identity, Node
from search_spaces.ops.conv import ConvNormAct
from search_spaces.ops.pool import Classifier, MaxPool
from search_spaces.ops.resnet_blocks import SHORTCUTS, BasicBlock, BottleneckBlock, shortcut

NUMBERS = "its choices are numbers (widths, depths), which no weighted sum can mix"
EXPANSION = {"basic": 1, "bottleneck": 4}
"""How many times as wide as its `width` a block of each kind puts out."""


@recorded
def resnet(
    input: tuple[int, int, int] = (3, 224, 224),  # the word of the project for an input shape
    classes: int = 1000,
    block: str = "basic",
    stem: str = "imagenet",
    shortcuts: str = "projection",
    widths: Sequence[Sequence[int]] = ((32, 48, 64), (64, 96, 128), (128, 192, 256), (256, 384, 512)),
    depths: Sequence[Sequence[int]] = ((1, 2, 3), (1, 2, 3, 4), (1, 2, 3, 4, 5, 6), (1, 2, 3)),
    inner: Sequence[Sequence[int]] = (),
) -> Space:
    """A stem, stages of residual blocks and a classifier; all stages but the first halve the image.

    The default holds ResNet-18 and -34, with `block="bottleneck"` ResNet-50. The stem is as wide as the first stage.

    block: "basic", or "bottleneck", which puts out 4 times its width; stem: "imagenet", a 7x7 convolution and a
    pooling that quarter the image, or "cifar", a 3x3 one that keeps it.
    shortcuts: where a block changes width or size, one of "projection", "pooled", "bare", "padded" (`shortcut`).
    widths, depths: the options of each stage; inner: those of the channels inside the blocks of each stage, which each
    block chooses by itself; empty for the stage's width.
    """
    _check(block, stem, shortcuts, widths, depths, inner)
    first = Choice("stage1.width", tuple(widths[0]))
    body: dict[str, Node] = {"stem": ConvNormAct(first, 7, 2) if stem == "imagenet" else ConvNormAct(first, 3)}
    if stem == "imagenet":
        body["pool"] = MaxPool(3, 2)
    for s, options in enumerate(widths, 1):
        width, out = _widths(f"stage{s}.width", options, EXPANSION[block])
        blocks: list[Node] = []
        for b in range(1, max(depths[s - 1]) + 1):
            stride = 2 if s > 1 and b == 1 else 1
            # Said here and not found from the widths, so that every width has the same parts.
            changes = b == 1 and (s > 1 or block == "bottleneck")
            beside = shortcut(shortcuts, out, stride) if changes else Identity()
            inside = Choice(f"stage{s}.block{b}.inner", tuple(inner[s - 1])) if inner else width
            make = BasicBlock if block == "basic" else BottleneckBlock
            blocks.append(make(out, inside, stride, beside))
        names = tuple(f"block{b}" for b in range(1, len(blocks) + 1))
        body[f"stage{s}"] = Chain(names, tuple(blocks), Choice(f"stage{s}.depth", tuple(depths[s - 1])))
    root = Chain.of(**body, classifier=Classifier(classes))
    return Space("resnet", root, tuple(input), relaxes=NUMBERS)


def _widths(name: str, options: Sequence[int], expansion: int) -> tuple[Choice, Choice]:
    """The choice of a stage's width, and the same choice as the channels that its blocks put out."""
    labels = tuple(options)
    return Choice(name, labels), Choice(name, tuple(expansion * w for w in labels), labels)


def _check(
    block: str,
    stem: str,
    shortcuts: str,
    widths: Sequence[Sequence[int]],
    depths: Sequence[Sequence[int]],
    inner: Sequence[Sequence[int]],
) -> None:
    known = (
        ("block", block, tuple(EXPANSION)),
        ("stem", stem, ("imagenet", "cifar")),
        ("shortcuts", shortcuts, SHORTCUTS),
    )
    for name, value, words in known:
        if value not in words:
            raise UserError(f"{name} of resnet is {value!r}", fix=f"it may be {', '.join(words)}")
    for name, given in (("depths", depths), ("inner", inner or widths)):
        if len(given) != len(widths):
            raise UserError(
                f"resnet has {len(widths)} stages by its widths and {len(given)} by its {name}",
                fix="give one list of options for each stage",
            )
