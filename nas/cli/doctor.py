"""`nas doctor`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import final

from nas.cli.parse import Command
from nas.cli.speak import Said
from nas.errors import ENVIRONMENT, UserError
from nas.plugins import package

NEEDED = (
    "torch",
    "numpy",
    "pandas",
    "scikit-learn",
    "ray",
    "optuna",
    "cvxpy",
    "tyro",
    "rich",
    "safetensors",
    "cloudpickle",
)
EXTRA = ("onnx", "onnxruntime", "onnxscript")


@final
@dataclass(frozen=True)
class Doctor(Command):
    """What this machine has, and what is missing, each with its cure.

    Example: nas doctor
    """

    json: bool = False
    """One JSON object on standard output."""

    def run(self) -> Said | None:
        checks = [*_packages(), _python(), _torch(), _gpu(), _disk(), *_ours()]
        bad = [c for c in checks if not c["fine"]]
        rows = [
            f"{'fine' if c['fine'] else 'BAD '}  {c['name']}: {c['found']}" + (f"; {c['fix']}" if c["fix"] else "")
            for c in checks
        ]
        return Said({"fine": not bad, "checks": checks}, tuple(rows), code=ENVIRONMENT if bad else 0)


def _check(name: str, found: str, *, fine: bool = True, fix: str = "") -> dict[str, object]:
    return {"name": name, "fine": fine, "found": found, "fix": fix}


def _packages() -> list[dict[str, object]]:
    checks = []
    for name in NEEDED + EXTRA:
        try:
            checks.append(_check(name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            extra = name in EXTRA
            fix = "only for `nas export --onnx`: pip install 'treenas[onnx]'" if extra else f"pip install {name}"
            checks.append(_check(name, "not installed", fine=extra, fix=fix))
    return checks


def _python() -> dict[str, object]:
    cores = len(os.sched_getaffinity(0))
    return _check("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}, {cores} cores")


def _torch() -> dict[str, object]:
    import torch  # noqa: PLC0415  # the check itself

    made = torch.nn.Conv2d(1, 1, 3)(torch.zeros(1, 1, 8, 8))
    return _check("a convolution", f"{tuple(made.shape)} by torch {torch.__version__}")


def _gpu() -> dict[str, object]:
    import torch  # noqa: PLC0415  # the check itself

    if not torch.cuda.is_available():
        return _check("gpu", "none; trials train on the CPU")
    free, total = torch.cuda.mem_get_info()
    return _check("gpu", f"{torch.cuda.get_device_name()}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free")


def _disk() -> dict[str, object]:
    free = shutil.disk_usage(Path.cwd()).free
    return _check(
        "disk", f"{free / 2**30:.1f} GiB free here", fine=free > 2**30, fix="" if free > 2**30 else "free some space"
    )


def _ours() -> list[dict[str, object]]:
    checks = []
    for name in ("search_spaces", "predictors", "experiments"):
        try:
            checks.append(_check(name, str(Path(next(iter(package(name).__path__))))))
        except UserError as error:
            checks.append(_check(name, error.message, fine=False, fix=error.fix))
    return checks
