"""Compares exported files with what the trained network made: a script for a process that cannot import this project.

`python -I check.py FOLDER...` prints a JSON list with, for each folder, the largest difference of each file, and what
its network counts. A folder holds the files and `proof.safetensors`: inputs "b2.in0", outputs "b2.out0" by batch size.
"""

from __future__ import annotations

import importlib.util
import json
import math
import struct
import sys
import warnings
from pathlib import Path
from typing import Any

OURS = {"experiments", "nas", "predictors", "search_spaces"}


class Blocked:
    """Refuses to import this project, and safetensors, which `model.py` must do without."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """ImportError for what is refused; None leaves the rest to others."""
        if name.partition(".")[0] in OURS | {"safetensors"}:
            raise ImportError(f"{name} must not be needed by an export")


def read(path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file; float32 alone."""
    import torch  # noqa: PLC0415  # after the import blocker stands

    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    found = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, last = (start + offset for offset in entry["data_offsets"])
            found[name] = torch.frombuffer(bytearray(data[first:last]), dtype=torch.float32).reshape(entry["shape"])
    return found


def cases(folder: Path) -> list[tuple[list[Any], list[Any]]]:
    """The inputs and expected outputs of each batch size."""
    found = read(folder / "proof.safetensors")
    sizes = sorted({name.partition(".")[0] for name in found}, key=lambda b: int(b[1:]))
    return [tuple(_column(found, f"{b}.{side}") for side in ("in", "out")) for b in sizes]  # type: ignore[misc]  # two sides


def _column(found: dict[str, Any], prefix: str) -> list[Any]:
    return [found[f"{prefix}{i}"] for i in range(sum(name.startswith(prefix) for name in found))]


def difference(run: Any, given: list[tuple[list[Any], list[Any]]]) -> float:
    """The largest absolute difference between what is made and what is expected; infinite where a shape is wrong."""
    largest = 0.0
    for inputs, expected in given:
        made = run(*inputs)
        made = list(made) if isinstance(made, tuple | list) else [made]
        if [tuple(m.shape) for m in made] != [tuple(e.shape) for e in expected]:
            return float("inf")
        for m, e in zip(made, expected, strict=True):
            gap = (m - e).abs().max().item()
            largest = max(largest, float("inf") if math.isnan(gap) else gap)
    return largest


def python(folder: Path, given: list[tuple[list[Any], list[Any]]]) -> dict[str, Any]:
    """The difference of `model.py`, and its parameters and multiply-accumulates."""
    import torch  # noqa: PLC0415
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415

    spec = importlib.util.spec_from_file_location("model", folder / "model.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder / 'model.py'} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.load()
    with torch.no_grad():
        gap = difference(model, given)
        model.to("meta")  # the counter does not see attention on a CPU
        with FlopCounterMode(display=False) as flops:
            model(*(x[:1].to("meta") for x in given[0][0]))
    return {"model.py": gap, "params": sum(p.numel() for p in model.parameters()), "macs": flops.get_total_flops() // 2}


def check(folder: Path) -> dict[str, Any]:
    """The largest differences of a folder's files, by their names."""
    import torch  # noqa: PLC0415

    given = cases(folder)
    made = python(folder, given)
    if (folder / "model.pt2").exists():
        with torch.no_grad():
            made["model.pt2"] = difference(torch.export.load(folder / "model.pt2").module(), given)
    if (folder / "model.onnx").exists():
        import onnxruntime  # noqa: PLC0415

        session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]

        def run(*inputs: Any) -> list[Any]:
            made = session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))
            return [torch.from_numpy(m) for m in made]

        made["model.onnx"] = difference(run, given)
    return made


if __name__ == "__main__":
    sys.meta_path.insert(0, Blocked())
    warnings.simplefilter("ignore")
    found = []
    for folder in sys.argv[1:]:
        try:
            found.append(check(Path(folder)))
        except Exception as error:  # said in one line, whatever it is
            sys.exit(f"{Path(folder).name}: {type(error).__name__}: {' '.join(str(error).split())}")
    print(json.dumps(found))
