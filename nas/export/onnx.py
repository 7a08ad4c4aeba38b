"""The ONNX file of an export, which needs three more packages."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.errors import ENVIRONMENT, UserError

NEEDED = ("onnx", "onnxscript", "onnxruntime")


def need_onnx() -> None:
    """Raises UserError naming the packages that lack."""
    lack = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lack:
        message = f"an ONNX file needs {', '.join(NEEDED)}; not installed: {', '.join(lack)}"
        raise UserError(message, fix="run: pip install 'treenas[onnx]'", code=ENVIRONMENT)


def save_onnx(model: nn.Module, example: tuple[Tensor, ...], axes: tuple[Mapping[int, Any], ...], path: Path) -> None:
    """Writes a model in eval mode with a free batch size; its inputs are named x, or x0, x1."""
    names = ["x"] if len(example) == 1 else [f"x{i}" for i in range(len(example))]
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            torch.onnx.export(
                model,
                example,
                str(path),
                input_names=names,
                dynamo=True,
                dynamic_shapes=axes,
                external_data=False,
                verbose=False,
            )
    finally:
        log.setLevel(level)
