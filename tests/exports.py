"""What the tests of exports share: trained networks, written ones, and what a `model.py` must be."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from nas.build import build
from nas.export import expect, source, write
from nas.tree import (
    Node,
    Shape,
)

IMAGE = (4, 9, 8)


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


def load_file(path: Path) -> ModuleType:
    """A user's file, loaded as the command line does: by its path, under no name in sys.modules."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
