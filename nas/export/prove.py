"""The proof of an export: its files make what the trained network makes, in a process that has torch alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from nas.errors import ENVIRONMENT, UserError
from nas.graph import several
from nas.tree import Shape

PROOF = "proof.safetensors"
BATCHES = (1, 2, 5)
"""Batch sizes that are compared."""


def expect(module: nn.Module, shape: Shape, folder: Path, *, seed: int = 0) -> None:
    """Writes random inputs and what a module makes of them, in eval mode, for `prove` to compare."""
    generator = torch.Generator().manual_seed(seed)
    shapes = shape if several(shape) else (shape,)
    found: dict[str, torch.Tensor] = {}
    with torch.no_grad(), _one_thread():
        for size in BATCHES:
            inputs = [torch.randn(size, *s, generator=generator) for s in shapes]
            made = module(*inputs)
            out = made if isinstance(made, tuple) else (made,)
            found.update({f"b{size}.in{i}": x for i, x in enumerate(inputs)})
            found.update({f"b{size}.out{i}": y.float().contiguous().clone() for i, y in enumerate(out)})
    save_file(found, folder / PROOF)


@contextmanager
def _one_thread() -> Iterator[None]:
    """With one thread, as in the proof: sums are rounded alike, and small networks are quicker on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def largest(folder: Path) -> float:
    """The largest number that the trained network put out for the proof."""
    from safetensors.torch import load_file  # noqa: PLC0415  # beside its only use

    found = load_file(folder / PROOF)
    return max(float(y.abs().max()) for name, y in found.items() if ".out" in name)


def prove(folders: Sequence[Path]) -> list[Mapping[str, Any]]:
    """For each folder the largest difference of each file, by its name, and "params" and "macs" of `model.py`.

    All are compared in one process in which nothing of this project can be imported. UserError where that fails.
    """
    script = Path(__file__).with_name("check.py")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    kept["OMP_NUM_THREADS"] = "1"  # as in `expect`
    command = [sys.executable, "-I", str(script), *(str(f.resolve()) for f in folders)]
    done = subprocess.run(command, capture_output=True, text=True, env=kept, cwd=folders[0], check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        fix = "this is a fault of the export: please report it with the architecture"
        raise UserError(f"the exported files do not run without this project: {reason}", fix=fix, code=ENVIRONMENT)
    made: list[Mapping[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return made
