from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import nn

from nas.errors import UserError
from nas.export import prove
from nas.module import Module
from nas.profile import profile
from nas.tree import (
    Call,
    Chain,
    Cost,
    Node,
    Shape,
)
from search_spaces.ops import Linear
from tests.exports import load_file, text, tidy, written

FILE = """import functools
import math
import torch.nn.functional as F
from torch import nn, Tensor

SCALE, SHIFT = 2.0, 1.0


def shifted(x: Tensor) -> Tensor:
    return x + SHIFT


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(shifted(x)) * SCALE


class Mine(nn.Module):
    def __init__(self, width: int, activation: type[nn.Module] = Inner) -> None:
        super().__init__()
        self.linear, self.activation = nn.Linear(width, width), activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.linear(x)) / math.sqrt(2)


class Clash(nn.Module):
    def forward(self, x):
        return json(x)


def json(x):
    return x
"""


@dataclass(frozen=True)
class Own(Node):
    """A node around a user's module."""

    make: Callable[..., nn.Module]
    arguments: tuple[object, ...] = ()

    def call(self, shape: Shape) -> Call:
        return Call.of(self.make, *self.arguments)

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost(sum(p.numel() for p in self.make(*self.arguments).parameters()))


def test_a_users_module_is_copied_with_all_that_it_needs(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    mine = load_file(tmp_path / "mine.py")
    network = Chain.of(one=Own(mine.Mine, (8,)), two=Own(mine.Mine, (8, nn.SiLU)), three=Own(mine.Inner))
    folder = written(network, (3, 8), tmp_path / "out")
    [found] = prove([folder])
    assert found["model.py"] <= 1e-5
    assert found["params"] == profile(network, (3, 8)).total.params
    tidy(tmp_path / "out")
    made = (folder / "model.py").read_text()
    assert "functools" not in made
    assert made.count("SCALE, SHIFT = 2.0, 1.0") == 1
    assert made.index("def shifted") < made.index("class Inner") < made.index("class Mine")
    assert "self.two = Mine(8, nn.SiLU)" in made


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (
            "import numpy as np\n\n\nclass Bad(nn.Module):\n    def forward(self, x):\n        return np.abs(x)\n",
            "numpy",
        ),
        (
            "from nas.tree import Node\n\n\nclass Bad(nn.Module):\n    def forward(self, x: Node):\n        return x\n",
            "nas.tree",
        ),
        (
            "from .sibling import f\n\n\nclass Bad(nn.Module):\n    def forward(self, x):\n        return f(x)\n",
            "its own package",
        ),
        ("\n\nclass Bad(nn.Module):\n    def forward(self, x):\n        import einops\n        return x\n", "einops"),
        (
            "\n\nload = abs\n\n\nclass Bad(nn.Module):\n    def forward(self, x):\n        return load(x)\n",
            "'load'",
        ),
        (
            "\n\ndef hide():\n    class Bad(nn.Module):\n        pass\n    return Bad\n\n\nBad = hide()\n",
            "cannot be found",
        ),
    ],
)
def test_a_module_that_cannot_be_copied_is_named(tmp_path: Path, bad: str, word: str) -> None:
    (tmp_path / "sibling.py").write_text("def f(x):\n    return x\n")
    (tmp_path / "bad.py").write_text("from torch import nn\n" + bad.replace("from .sibling", "from sibling"))
    sys.path.insert(0, str(tmp_path))
    try:
        make = load_file(tmp_path / "bad.py").Bad
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("sibling", None)
    (tmp_path / "bad.py").write_text("from torch import nn\n" + bad)
    with pytest.raises(UserError, match=word) as error:
        text(Own(make), (3,))
    assert "Bad" in str(error.value) or "load" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_module_without_a_file_is_named() -> None:
    scope: dict[str, type[nn.Module]] = {}
    exec("from torch import nn\nclass Typed(nn.Module):\n    def forward(self, x):\n        return x\n", scope)
    with pytest.raises(UserError, match=r"Typed cannot be found"):
        text(Own(scope["Typed"]), (3,))


def test_a_leaf_of_a_users_class_is_copied_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    mine = load_file(tmp_path / "mine.py")
    network = Chain.of(stem=Linear(8), mine=Module.of(mine.Mine, width=8), head=Linear(2))
    folder = written(network, (3, 5), tmp_path / "out")
    [found] = prove([folder])
    assert found["model.py"] <= 1e-5
    assert found["params"] == profile(network, (3, 5)).total.params
    assert found["macs"] == profile(network, (3, 5)).total.macs
    assert "self.mine = Mine(width=8)" in (folder / "model.py").read_text()
