"""What a researcher changes in an afternoon: five variations of published spaces, each in at most ten lines."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nas.profile import profile
from nas.rewrite import rewrite
from nas.space import Space
from nas.testing import space_laws
from nas.tree import Chain, Choice, Take
from search_spaces import darts, mobile, nasbench201
from search_spaces.ops import Act, Conv, MaxPool, Norm, SeparableConv


def another_kernel() -> Space:
    def wider(part: Any) -> Any:
        kernel = isinstance(part, Choice) and part.name.endswith("kernel")
        return Choice(part.name, (*part.options, 9)) if kernel else part

    space = mobile((1, 12, 12), 3, widths=(8, 16))
    return replace(space, name="mobile9", root=rewrite(space.root, wider))


def an_extra_stage() -> Space:
    space = mobile((1, 12, 12), 3, widths=(8, 16))
    *body, last, head = zip(space.root.names, space.root.items, strict=True)
    blocks = [SeparableConv(24, Choice("extra.kernel", (3, 5)), stride=2 if k == 0 else 1) for k in range(3)]
    extra = Chain.seq(*blocks, depth=Choice("extra.depth", (1, 2, 3)))
    return replace(space, name="mobile_extra", root=Chain.of(**dict(body), extra=extra, **dict([last, head])))


def untied_cells() -> Space:
    def untied(k: int, cell: Any) -> Any:
        return rewrite(cell, lambda v: replace(v, name=f"cell{k}.{v.name}") if isinstance(v, Choice) else v)

    space = nasbench201((1, 8, 8), 3, cells=2, channels=4)
    items = [
        Chain.seq(*(untied(2 * s + k, c) for k, c in enumerate(item.items))) if isinstance(item, Chain) else item
        for s, item in enumerate(space.root.items)
    ]
    return Space("nasbench201_untied", replace(space.root, items=tuple(items)), space.input)


def a_new_operation() -> Space:
    def more(part: Any) -> Any:
        if not isinstance(part, Choice):
            return part
        pool = Chain.of(pool=MaxPool(3), norm=Norm())
        return Choice(part.name, (*part.options, pool), (*part.labels, "max_pool_3x3"))

    space = nasbench201((1, 8, 8), 3, cells=1, channels=4)
    return Space("nasbench201_pool", rewrite(space.root, more), space.input)


def another_stem() -> Space:
    space = darts((3, 16, 16), 3, layers=3, channels=2)
    stem = Take(0, Chain.of(first=Conv(6, 5, 2), norm=Norm(), act=Act("gelu"), second=Conv(6, 3), norm2=Norm()))
    items = tuple(stem if name == "stem" else i for name, i in zip(space.root.names, space.root.items, strict=True))
    return replace(space, name="darts_gelu", root=replace(space.root, items=items), spelling=None)


VARIATIONS = (another_kernel, an_extra_stage, untied_cells, a_new_operation, another_stem)


@pytest.mark.parametrize("make", VARIATIONS)
def test_a_variation_is_short_and_keeps_the_laws(make: Callable[[], Space]) -> None:
    lines = [line for line in inspect.getsource(make).splitlines() if line.strip()]
    assert len(lines) - 1 <= 10
    space = make()
    for name, law in space_laws().items():
        if name[0] in "1358":
            law(space)


def test_the_variations_are_what_they_say() -> None:
    assert another_kernel().choices["stage1.block1.kernel"].options == (3, 5, 7, 9)
    assert an_extra_stage().size == mobile((1, 12, 12), 3, widths=(8, 16)).size * 6
    assert untied_cells().size == (5**6) ** 6
    assert a_new_operation().size == 6**6
    space = another_stem()
    arch = next(iter(space))
    first = profile(space.network(arch), space.input).layers[0]
    assert first.out == (6, 8, 8)
