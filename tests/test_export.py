from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from nas.build import build
from nas.errors import UserError
from nas.export import expect, export, prove, source, write
from nas.profile import profile
from nas.space import Space
from nas.tree import (
    Call,
    Chain,
    Concat,
    Cost,
    Dag,
    Each,
    Identity,
    Node,
    Scan,
    Shape,
    Sum,
    Take,
    Zero,
)
from search_spaces import SPACES
from search_spaces.ops import Act, AvgPool, Classifier, Conv, ConvNormAct, Linear, MaxPool, MBConv, Norm, SqueezeExcite

IMAGE = (4, 9, 8)
ABOUT = {
    "metrics": {"accuracy": 0.5},
    "repro": {"seed": 1},
    "input": {"mean": [0.25], "std": [0.5], "classes": ["cat", "it's"]},
}
IMAGES = ((1, 28, 28), (3, 33, 40), (3, 16, 16), (1, 9, 11))


def trained(network: Node, shape: Shape, seed: int = 0) -> nn.Module:
    """A module whose weights and running statistics are far from those of a new one."""
    module, g = build(network, shape), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=g))
        for name, buffer in module.named_buffers():
            if name.endswith("mean"):
                buffer.copy_(0.2 * torch.randn(buffer.shape, generator=g))
            elif name.endswith("var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=g))
    return module.eval()


def written(network: Node, shape: Shape, folder: Path, name: str = "net", seed: int = 0) -> Path:
    """A folder with `model.py`, its weights, and what the trained network makes of random inputs."""
    folder.mkdir()
    module = trained(network, shape, seed)
    write(network, shape, module, folder, name=name, about={})
    expect(module, shape, folder)
    return folder


def text(network: Node, shape: Shape = IMAGE, name: str = "net") -> str:
    return source(network, shape, name, {}).text


def macs(network: Node, shape: Shape) -> int:
    return source(network, shape, "net", {}).macs


def spaces(image: Shape) -> tuple[Space, Space]:
    return SPACES["nasbench201"](image, 10, cells=2, channels=8), SPACES["mobile"](image, 10)


def drawn(folder: Path, count: int) -> list[tuple[Path, Node, Shape]]:
    """`count` random architectures of each space at varied input shapes, written."""
    rng, made = np.random.default_rng(count), []
    for k in range(count):
        for space in spaces(IMAGES[k % len(IMAGES)]):
            network = space.network(space.sample(rng))
            made.append(
                (written(network, space.input, folder / f"{space.name}{k}", space.name, k), network, space.input)
            )
    return made


def agree(made: list[tuple[Path, Node, Shape]]) -> None:
    """Each export makes what the trained network makes, and costs what the profile says."""
    for (folder, network, shape), found in zip(made, prove([f for f, _, _ in made]), strict=True):
        assert found["model.py"] <= 1e-5, folder
        assert found["params"] == profile(network, shape).total.params, folder
        assert found["macs"] == macs(network, shape), folder


def tidy(folder: Path) -> None:
    """Each `model.py` imports torch alone, and neither ruff's linter nor its formatter has a word to say."""
    for file in folder.rglob("model.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or "."]
                assert {n.partition(".")[0] for n in names} <= {
                    "__future__",
                    "torch",
                    "json",
                    "struct",
                    "pathlib",
                    "math",
                }
    for verb in (["check"], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *verb, "--isolated", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_random_architectures_run_without_this_project_and_make_the_same(tmp_path: Path) -> None:
    made = drawn(tmp_path, 20)
    agree(made)
    tidy(tmp_path)
    same = [macs(n, s) == profile(n, s).total.macs for _, n, s in made]
    assert any(same)
    assert not all(same)  # cells with a part that nothing reads are among them


@pytest.mark.slow
def test_two_hundred_random_architectures(tmp_path: Path) -> None:
    agree(drawn(tmp_path, 200))
    tidy(tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's exporters warn about themselves
@pytest.mark.parametrize("k", range(10))
def test_program_and_onnx_make_the_same(tmp_path: Path, k: int) -> None:
    rng = np.random.default_rng(k)
    for space in spaces(IMAGES[k % len(IMAGES)]):
        network = space.network(space.sample(rng))
        module = trained(network, space.input, k)
        made = export(network, space.input, module, tmp_path / space.name, name=space.name, about={}, onnx=True)
        assert set(made.largest_difference) == {"model.py", "model.pt2", "model.onnx"}
        assert made.largest_difference["model.pt2"] <= 1e-5


@dataclass(frozen=True)
class Join(Node):
    """Two branches and the input, joined."""

    channels: int

    def lower(self, shape: Shape) -> Node:
        wide = Chain.of(pool=MaxPool(3), conv=Conv(self.channels, 3))
        return Concat.of(thin=Conv(self.channels, 1), wide=wide, same=Identity())


@dataclass(frozen=True)
class Steps(Node):
    output: str
    channels: int

    def lower(self, shape: Shape) -> Node:
        both = Sum.of(left=Take(0, Conv(self.channels, 1)), right=Take(1, Identity()))
        none = Sum.of(left=Take(2, Zero()), right=Take(3, Zero()))
        return Dag.of(
            self.output, first=Take(0, ConvNormAct(self.channels)), both=both, pool=Take(1, AvgPool()), none=none
        )


@dataclass(frozen=True)
class From(Node):
    """A composite that sees all values and takes one."""

    source: int

    def lower(self, shape: Shape) -> Node:
        return Chain.of(take=Take(self.source, Identity()), act=Act("silu"), conv=Conv(6, 1))


@dataclass(frozen=True)
class Bilinear(Node):
    def call(self, shape: Shape) -> Call:
        return Call.of(nn.Bilinear, shape[0][0], shape[1][0], 5)

    def out(self, shape: Shape) -> Shape:
        return (5,)

    def cost(self, shape: Shape) -> Cost:
        return Cost(shape[0][0] * shape[1][0] * 5 + 5)


@dataclass(frozen=True)
class Recurrent(Node):
    width: int

    def lower(self, shape: Shape) -> Node:
        mixed = Take((0, 1), Concat.of(new=Take(0, Identity()), old=Take(1, Identity())))
        return Dag.of(mixed=mixed, out=Take(2, Chain.of(linear=Linear(self.width), act=Act("tanh"))))


@dataclass(frozen=True)
class Pair(Node):
    """The next two states, by one set of weights."""

    width: int

    def lower(self, shape: Shape) -> Node:
        return Take((0, 2), Each(Chain.of(linear=Linear(self.width), act=Act("tanh"))))


@dataclass(frozen=True)
class Fitting(Node):
    """Another wiring for a small image, with the same weights."""

    def lower(self, shape: Shape) -> Node:
        conv = Conv(shape[0], 3)
        return Sum.of(conv=conv, skip=Identity()) if shape[1] > 4 else Chain.of(conv=conv)


@dataclass(frozen=True)
class Nest(Node):
    depth: int

    def lower(self, shape: Shape) -> Node:
        return Sum.of(inner=Nest(self.depth - 1) if self.depth else Conv(shape[0], 1), skip=Identity())


def residual(kernel: int) -> Node:
    return Sum.of(body=Chain.of(norm=Norm(), conv=Conv(6, kernel), act=Act("gelu")), skip=Identity())


HEADS = Concat.of(a=Take(0, Classifier(3)), b=Take(1, Classifier(2)))
WIDE = {f"a_rather_long_branch_name{k}": Conv(4, 1 + 2 * (k % 2)) for k in range(9)}
ODD: dict[str, tuple[Node, Shape]] = {
    "concat": (Chain.of(a=Join(4), b=Join(6), c=Join(6), head=Classifier(3)), IMAGE),
    "dags": (Chain.of(a=Steps("loose", 6), b=Steps("all", 6), c=Steps("last", 6), head=Classifier(3)), IMAGE),
    "takes": (Chain.of(s=Conv(6, 1), d=Dag.of("all", u=From(0), v=From(1), w=Sum.of(a=From(0), b=From(2)))), IMAGE),
    "bare": (Chain.seq(Conv(6), *[residual(3)] * 3, residual(5), Classifier(2)), IMAGE),
    "each": (Chain.of(each=Each(Chain.of(linear=Linear(6), act=Act())), join=Bilinear()), ((4,), (4,))),
    "shared": (Chain.of(each=Each(MBConv(6, 3, 2)), heads=Dag.of(out=HEADS)), ((6, 8, 8), (6, 4, 4))),
    "rewired": (Chain.of(each=Each(Fitting()), heads=Dag.of(out=HEADS)), ((6, 8, 8), (6, 4, 4))),
    "several": (Each(ConvNormAct(6)), (IMAGE, IMAGE)),
    "scan": (Chain.of(embed=Linear(5), scan=Scan(Recurrent(7), (7,)), again=Scan(Recurrent(4), (4,))), (6, 4)),
    "states": (Chain.of(scan=Scan(Pair(7), (7, 7)), head=Linear(3)), (6, 7)),
    "unread": (Chain.of(scan=Scan(Take((0, 1), Each(Linear(7))), (7, 7)), head=Linear(3)), (6, 7)),
    "zeros": (Chain.of(a=Zero(), b=ConvNormAct(4), c=Zero(), head=Classifier(2)), IMAGE),
    "nested": (Chain.of(x=Nest(3), self=Nest(3), c=Nest(2), head=Classifier(2)), IMAGE),
    "leaf": (Conv(3), IMAGE),
    "composite": (MBConv(4, squeeze=SqueezeExcite(), act="silu"), IMAGE),
    "nothing": (Identity(), IMAGE),
    "wide": (Chain.of(a=Sum.of(**WIDE), b=Concat.of(**WIDE)), IMAGE),
}


def test_every_structure_is_exported_rightly(tmp_path: Path) -> None:
    made = [(written(network, shape, tmp_path / name, name), network, shape) for name, (network, shape) in ODD.items()]
    for (folder, network, shape), found in zip(made, prove([f for f, _, _ in made]), strict=True):
        assert found["model.py"] <= 1e-5, folder.name
        assert found["params"] == profile(network, shape).total.params, folder.name
        assert found["macs"] == macs(network, shape), folder.name
    tidy(tmp_path)


def test_a_repeated_block_is_one_class_in_a_loop() -> None:
    space = SPACES["nasbench201"]((3, 32, 32), 10, cells=5, channels=16)
    ops = ("nor_conv_3x3", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "none", "nor_conv_3x3")
    network = space.network(space.parse("|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*ops)))
    made = text(network, space.input, space.name)
    assert made.count("class Cell(") == 1
    assert "self.stage2 = nn.Sequential(*[Cell(32) for _ in range(5)])" in made
    assert "node2 = x + self.node2_from1(node1)" in made
    assert "return self.node3_from0(x) + self.node3_from2(node2)" in made
    assert "node3_from1" not in made


def test_blocks_that_differ_in_numbers_are_one_class_with_parameters() -> None:
    blocks = [
        MBConv(6, 3, 2, 1),
        MBConv(8, 5, 3, 2, SqueezeExcite()),
        MBConv(8, 3, 3, 2),
        MBConv(8, 3, 3, 1, act="silu"),
    ]
    made = text(Chain.of(stem=Conv(6), body=Chain.seq(*blocks), head=Classifier(2)))
    for line in (
        "hidden = in_channels * expand",
        "SqueezeExcitation(hidden, squeezed) if squeezed else nn.Identity(),",
        "self.skip = stride == 1 and in_channels == channels",
        "return x + out if self.skip else out",
        "MBConv(6, 8, expand=3, kernel=5, stride=2, squeezed=8),",
    ):
        assert line in made
    assert made.count("class MBConv") == 1


def test_a_part_that_nothing_reads_keeps_its_weights_and_is_not_run() -> None:
    dag = Dag.of(dead=Take(0, Conv(4, 3)), pool=Take(1, AvgPool()), out=Take(0, Conv(4, 1)))
    network = Chain.of(stem=Conv(4), cell=dag)
    made = text(network)
    assert "# Not read by forward" in made
    assert "self.dead(" not in made
    assert "AvgPool2d" not in made  # it has no weights to keep
    assert macs(network, IMAGE) == profile(network, IMAGE).total.macs - 4 * 4 * 9 * 9 * 8


def test_the_source_is_the_same_in_every_run_and_quick() -> None:
    space = SPACES["mobile"]((3, 64, 64), 10, depths=(6,))
    network = space.network(space.sample(np.random.default_rng(0)))
    assert text(network, space.input) == text(network, space.input)


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


def load_file(path: Path) -> ModuleType:
    """A user's file, loaded as the command line does: by its path, under no name in sys.modules."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def small() -> tuple[Node, Shape]:
    return Chain.of(stem=ConvNormAct(4), head=Classifier(2)), (1, 6, 6)


def test_an_export_holds_every_file_and_its_proof(tmp_path: Path) -> None:
    network, shape = small()
    module = trained(network, shape)
    module.train()
    made = export(network, shape, module, tmp_path / "a" / "b", name="my-space", about=ABOUT, architecture={"k": 1})
    assert module.training
    names = ("architecture.json", "metrics.json", "model.pt2", "model.py", "repro.json", "weights.safetensors")
    assert made.files == names
    assert made.proved
    assert set(made.largest_difference) == {"model.py", "model.pt2"}
    assert max(made.largest_difference.values()) <= 1e-5
    folder = tmp_path / "a" / "b"
    assert json.loads((folder / "architecture.json").read_text()) == {"k": 1}
    assert json.loads((folder / "metrics.json").read_text()) == ABOUT["metrics"]
    repro = json.loads((folder / "repro.json").read_text())
    assert repro["seed"] == 1
    assert repro["export"]["largest_difference"] == made.largest_difference
    model = load_file(folder / "model.py")
    assert model.CLASSES == ["cat", "it's"]
    images = torch.randint(0, 256, (2, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model.normalise(images), (images / 255 - 0.25) / 0.5)
    assert torch.equal(model.load()(model.normalise(images)), module.eval()(model.normalise(images)))
    assert model.MySpace.__doc__.startswith("A network from the space my-space: (B, 1, 6, 6) to (B, 2).")
    assert [p.name for p in folder.parent.iterdir()] == ["b"]
    tidy(folder)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    network, shape = small()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is no export"):
        export(network, shape, trained(network, shape), tmp_path, name="net", about={})
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_failed_export_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, shape = small()
    old = tmp_path / "out"
    old.mkdir()
    (old / "architecture.json").write_text("{}")
    monkeypatch.setattr("nas.export.save.prove", lambda folders: [{"model.py": 0.5, "model.pt2": 0.0}])
    with pytest.raises(UserError, match=r"model\.py differs from the trained network by 0.5"):
        export(network, shape, trained(network, shape), old, name="net", about={})
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert [p.name for p in old.iterdir()] == ["architecture.json"]
    with pytest.raises(UserError, match="weights do not fit"):
        export(network, shape, {"stem.conv.weight": torch.zeros(1)}, tmp_path / "new", name="net", about={})
    assert not (tmp_path / "new").exists()


def test_the_proof_sees_a_wrong_weight_and_forbidden_imports(tmp_path: Path) -> None:
    network, shape = small()
    wrong, needy = written(network, shape, tmp_path / "wrong"), written(network, shape, tmp_path / "needy")
    file = wrong / "model.py"
    file.write_text(
        file.read_text().replace("return model.eval()", "model.head[2].bias.data[0] += 1\n    return model.eval()")
    )
    [found] = prove([wrong])
    assert found["model.py"] == pytest.approx(1, abs=1e-4)
    for name in ("nas", "search_spaces.ops", "safetensors"):
        (needy / "model.py").write_text(file.read_text().replace("import json", f"import {name}\nimport json"))
        with pytest.raises(UserError, match=f"{name.partition('.')[0]}.* must not be needed"):
            prove([needy])


def test_onnx_without_its_packages_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, shape = small()
    monkeypatch.setattr("nas.export.onnx.NEEDED", ("onnx", "no_such_package"))
    with pytest.raises(UserError, match=r"no_such_package; run: pip install 'treenas\[onnx\]'") as error:
        export(network, shape, trained(network, shape), tmp_path / "out", name="net", about={}, onnx=True)
    assert error.value.code == 5
    assert not (tmp_path / "out").exists()
