"""Writing an export: the files of one network in a folder of its own."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.build import build
from nas.errors import ENVIRONMENT, UserError
from nas.export.onnx import need_onnx, save_onnx
from nas.export.prove import PROOF, expect, largest, prove
from nas.export.source import DTYPES, Source, source
from nas.graph import graph, several
from nas.space import Json
from nas.tree import Node, Shape

TOLERANCE = {"model.py": 1e-5, "model.pt2": 1e-5, "model.onnx": 1e-4}
"""The largest difference allowed, times the largest output where that is above 1."""
OURS = "architecture.json"


@final
@dataclass(frozen=True)
class Exported:
    """What was written: the folder, its files, and the largest difference of each from the trained network."""

    folder: Path
    files: tuple[str, ...]
    largest_difference: Mapping[str, float]
    proved: bool


def export(
    network: Node,
    shape: Shape,
    module: nn.Module | Mapping[str, Tensor],
    to: Path,
    *,
    name: str,
    about: Mapping[str, Json],
    onnx: bool = False,
    architecture: Mapping[str, Json] = MappingProxyType({}),
) -> Exported:
    """Writes a trained network as files that need torch alone, and proves each equal to it in a separate process.

    module: the trained network, or its weights by paths of the tree; about: "metrics" and "repro" (objects that are
    written as they are) and "input" (mean, std, classes). The folder is replaced whole, and only if it is an export.
    Raises UserError where a package lacks, a module's source cannot be copied, or a file differs from the network.
    """
    if onnx:
        need_onnx()
    if to.exists() and (not to.is_dir() or (any(to.iterdir()) and not (to / OURS).is_file())):
        raise UserError(f"{to} exists and is no export (it has no {OURS})", fix="name another folder, or remove it")
    to.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent))
    try:
        trained = _trained(network, shape, module)
        write(network, shape, trained, new, name=name, about=about)
        _save_programs(new, shape, onnx=onnx)
        expect(trained, shape, new)
        [found] = prove([new])
        gaps = {file: float(found[file]) for file in TOLERANCE if file in found}
        _judge(gaps, largest(new))
        (new / PROOF).unlink()
        shutil.rmtree(new / "__pycache__", ignore_errors=True)
        proof = {"largest_difference": gaps, "proved": True, "torch": torch.__version__}
        repro = {**(about.get("repro") or {}), "export": proof}
        metrics = about.get("metrics") or {}
        for file, content in ((OURS, dict(architecture)), ("metrics.json", metrics), ("repro.json", repro)):
            (new / file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        _replace(new, to)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return Exported(to, tuple(sorted(f.name for f in to.iterdir())), gaps, True)


def write(
    network: Node, shape: Shape, trained: nn.Module, folder: Path, *, name: str, about: Mapping[str, Json]
) -> Source:
    """Writes `model.py` and `weights.safetensors` alone, without a proof; what runs in train mode alone is left out."""
    heads = tuple(f"{op.path}." for op in graph(network, shape).ops if op.train and op.kind == "node")
    every = trained.state_dict().items()
    weights = {k: v.detach().cpu().contiguous().clone() for k, v in every if not heads or not k.startswith(heads)}
    short = {getattr(torch, word): code for code, word in DTYPES.items()}
    dtypes = tuple(dict.fromkeys(short[v.dtype] for v in weights.values())) or ("F32",)
    text = source(network, shape, name, about, dtypes)
    (folder / "model.py").write_text(text.text, encoding="utf-8")
    save_file({_renamed(key, text.names): v for key, v in weights.items()}, folder / "weights.safetensors")
    return text


def _renamed(key: str, names: Mapping[str, str]) -> str:
    """A key of the trained network under the name that `model.py` gives the module."""
    pieces = key.split(".")
    for k in range(len(pieces) - 1, 0, -1):
        path = ".".join(pieces[:k])
        path = "" if path == "node" and "" in names else path
        if path in names:
            return ".".join([names[path], *pieces[k:]])
    raise KeyError(f"the weight {key!r} belongs to no module of the tree")


def _trained(network: Node, shape: Shape, module: nn.Module | Mapping[str, Tensor]) -> nn.Module:
    """A copy of the trained network on the CPU, in eval mode; the one that was given is left as it is."""
    weights = module.state_dict() if isinstance(module, nn.Module) else module
    made = build(network, shape)
    try:
        made.load_state_dict({k: v.detach().cpu() for k, v in weights.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        message = f"the weights do not fit the architecture: {reason}"
        raise UserError(message, fix="give both of the same trial") from None
    return made.eval()


def _save_programs(folder: Path, shape: Shape, *, onnx: bool) -> None:
    """Writes `model.pt2`, and `model.onnx` if it is wanted, from `model.py` itself."""
    model = _loaded(folder)
    shapes = shape if several(shape) else (shape,)
    example = tuple(torch.randn(2, *s, generator=torch.Generator().manual_seed(0)) for s in shapes)
    batch = torch.export.Dim("batch", min=1)
    axes = tuple({0: batch} for _ in shapes)
    with _quiet():
        program = torch.export.export(model, example, dynamic_shapes=axes)
        for part in program.graph_module.modules():
            for node in getattr(getattr(part, "graph", None), "nodes", ()):
                node.meta.pop("stack_trace", None)  # it names files of this machine
        torch.export.save(program, folder / "model.pt2")
        if onnx:
            save_onnx(model, example, axes, folder / "model.onnx")


def _loaded(folder: Path) -> nn.Module:
    spec = importlib.util.spec_from_file_location("model", folder / "model.py")
    if spec is None or spec.loader is None:
        raise UserError(f"{folder / 'model.py'} cannot be read", fix="export again", code=ENVIRONMENT)
    found: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    model: nn.Module = found.load()
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that torch gives about its own parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _judge(gaps: Mapping[str, float], most: float) -> None:
    for file, gap in gaps.items():
        allowed = TOLERANCE[file] * max(1.0, most)
        if not gap <= allowed:
            fix = "this is a fault of the export: please report it with the architecture"
            message = f"{file} differs from the trained network by {gap:.2g}, {allowed:.2g} is allowed"
            raise UserError(message, fix=fix, code=ENVIRONMENT)


def _replace(new: Path, to: Path) -> None:
    """Puts the finished folder in its place; what stood there goes last."""
    new.chmod(0o755)
    if not to.exists():
        new.rename(to)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{to.name}-old-", dir=to.parent))
    to.rename(old / to.name)
    new.rename(to)
    shutil.rmtree(old, ignore_errors=True)
