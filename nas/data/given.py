"""Arrays that the user gives: a .npz file, or a function."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.arrays import ArrayPool, array_pool
from nas.data.source import Source
from nas.errors import UserError

IMAGES = ("images", "image", "x", "X", "data")
LABELS = ("labels", "label", "y", "target", "targets")


def npz_source(path: Path, name: str) -> Source:
    """Images and labels of a .npz file; members x_test and y_test are an official test part that stays unopened."""
    with _opened(path) as members:
        keys = frozenset(members.files)
    member = functools.partial(_member, path)
    names = member("class_names") if "class_names" in keys else None
    if "x_train" not in keys:
        x, y = (_first(wanted, keys, path) for wanted in (IMAGES, LABELS))
        return _source(name, array_pool(member(x), member(y), what=str(path)), names)
    for key in ("y_train", *(["y_test"] if "x_test" in keys else [])):
        if key not in keys:
            raise UserError(f"{path} has no {key!r}, only {', '.join(sorted(keys))}", fix=f"add {key}")
    pool = array_pool(member("x_train"), member("y_train"), what=f"{path} (train)")
    if "x_test" not in keys:
        return _source(name, pool, names)

    def test() -> ArrayPool:
        return _test_pool(pool, member("x_test"), member("y_test"), str(path))

    return _source(name, pool, names, test, len(member("y_test")))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    with path.open("rb") as file:  # numpy leaves a torn file open if it opens it itself
        try:
            found = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"cannot read {path}: {error}", fix="write it with numpy.savez") from error
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise UserError(
                f"{path} holds no named arrays", fix="write it with numpy.savez(path, images=..., labels=...)"
            )
        with found:
            yield found


def _member(path: Path, key: str) -> NDArray[Any]:
    """One array of the file; no other is read."""
    try:
        with _opened(path) as members:
            array: NDArray[Any] = members[key]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        fix = "give one array of numbers, with all images of one shape"
        raise UserError(f"cannot read {key!r} of {path}: {error}", fix=fix) from error
    return array


def function_source(spec: str, name: str) -> Source:
    """What `module:function` or `file.py:function` gives: (images, labels), or that for training and for test."""
    where, _, called = spec.rpartition(":")
    function = getattr(_module(where), called, None)
    if not callable(function):
        raise UserError(f"{where} has no function {called!r}", fix="give module:function or file.py:function")
    try:
        value = function()
    except Exception as error:  # whatever the user's function raises
        raise UserError(f"{spec} raised {type(error).__name__}: {error}", fix="mend the function") from error
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise UserError(
            f"{spec} gave {type(value).__name__}, expected two values",
            fix="return (images, labels) or ((x, y), (x_test, y_test))",
        )
    first, second = value
    if not (isinstance(first, tuple | list) and isinstance(second, tuple | list) and len(first) == len(second) == 2):
        return _source(name, array_pool(first, second, what=spec))
    pool = array_pool(*first, what=f"{spec} (train)")
    return _source(name, pool, None, lambda: _test_pool(pool, second[0], second[1], spec), len(second[1]))


def _source(
    name: str,
    pool: ArrayPool,
    names: NDArray[Any] | None = None,
    test: Callable[[], ArrayPool] | None = None,
    test_count: int = 0,
) -> Source:
    classes = int(pool.labels.max()) + 1
    named = tuple(str(n) for n in range(classes)) if names is None else tuple(str(n) for n in names)
    if len(named) != classes:
        raise UserError(f"{name} has {len(named)} class names and {classes} classes", fix="give one name a class")
    return Source(name, named, pool, test=test, test_count=test_count, validation_share=1 / 6 if test else 0.2)


def _test_pool(pool: ArrayPool, images: Any, labels: Any, what: str) -> ArrayPool:
    found = array_pool(images, labels, what=f"{what} (test)", classes=int(pool.labels.max()) + 1)
    if found.images.shape[1:] != pool.images.shape[1:]:
        shapes = f"{tuple(found.images.shape[1:])}, those of training {tuple(pool.images.shape[1:])}"
        raise UserError(f"test images of {what} have shape {shapes}", fix="bring all to one shape")
    return found


def _first(wanted: tuple[str, ...], keys: Collection[str], path: Path) -> str:
    for key in wanted:
        if key in keys:
            return key
    raise UserError(
        f"{path} has no {wanted[0]!r}, only {', '.join(sorted(keys))}",
        fix="name the arrays images and labels, or x_train, y_train, x_test and y_test",
    )


def _module(where: str) -> Any:
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        found = importlib.util.spec_from_file_location(f"user_data_{Path(where).stem}", where)
        if found is None or found.loader is None:
            raise ImportError("no Python file")
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        raise UserError(
            f"cannot import {where}: {type(error).__name__}: {error}", fix="check the name and the file"
        ) from error
    return module
