"""From what the user typed to a source."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from nas.data.arrays import array_pool
from nas.data.cifar import SETS as CIFAR_SETS
from nas.data.cifar import cifar_source
from nas.data.folder import folder_source
from nas.data.given import function_source, npz_source
from nas.data.idx import SETS as IDX_SETS
from nas.data.idx import idx_source
from nas.data.source import Source
from nas.errors import UserError, nearest

KNOWN = ("digits", *IDX_SETS, *CIFAR_SETS)
FIX = f"known are {', '.join(KNOWN)}; else give a folder of class folders, a .npz file or module:function"


def absolute(spec: str) -> str:
    """The spec with its path made absolute, so that it means the same in another folder and process.

    Raises UserError if it names nothing.
    """
    name, colon, rest = spec.partition(":")
    if not spec.strip():
        raise UserError("no data set is named", fix=FIX)
    if name in KNOWN:
        if not colon:
            return name
        path = Path(rest).expanduser()
        if name == "digits" or not rest:
            raise UserError(f"{spec!r} names no folder", fix="give digits, or another known name and a folder")
        if not path.exists():
            raise UserError(f"no folder or file {rest!r} for {name}", fix="check the path")
        return f"{name}:{path.resolve()}"
    path = Path(spec).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == ".npz"):
        return str(path.resolve())
    where, colon, function = spec.rpartition(":")
    if colon and function.isidentifier():
        if not where.endswith(".py"):
            return _dotted(spec, where)
        if not Path(where).expanduser().is_file():
            raise UserError(f"no file {where!r}", fix="check the path")
        return f"{Path(where).expanduser().resolve()}:{function}"
    if path.is_file():
        raise UserError(f"{spec!r} is no data set", fix=FIX)
    if "/" in rest and not name.count("/"):
        raise nearest(name, KNOWN, what="data set")
    if "/" in spec or "\\" in spec or spec.startswith((".", "~")) or path.suffix:
        raise UserError(f"no folder or file {spec!r}", fix=FIX)
    raise nearest(spec, KNOWN, what="data set")


def read(spec: str) -> Source:
    """The source that an absolute spec names."""
    name, colon, rest = spec.partition(":")
    folder = Path(rest) if colon else None
    if name == "digits":
        return digits()
    if name in IDX_SETS:
        return idx_source(name, folder)
    if name in CIFAR_SETS:
        return cifar_source(name, folder)
    path = Path(spec)
    if path.is_dir():
        return folder_source(path, _slug(path.name))
    if path.is_file():
        return npz_source(path, _slug(path.stem))
    return function_source(spec, _slug(spec.replace(".py:", "-").rpartition("/")[2]))


def digits() -> Source:
    """1,797 handwritten digits of 8 x 8 in 17 greys, which lie inside scikit-learn."""
    found: Any = importlib.import_module("sklearn.datasets").load_digits()
    images = np.rint(found.images * (255 / 16)).astype(np.uint8)
    pool = array_pool(images, found.target, what="digits", classes=10)
    return Source("digits", tuple("0123456789"), pool)


def _dotted(spec: str, module: str) -> str:
    if all(part.isidentifier() for part in module.split(".")):
        return spec
    raise nearest(spec.partition(":")[0], KNOWN, what="data set")


def _slug(text: str) -> str:
    """A short name in a-z, 0-9 and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "data"
