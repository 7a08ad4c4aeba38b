"""Reads pickles of plain containers, numbers, text and arrays, and nothing else."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from nas.errors import UserError


def read_pickle(content: bytes, *, what: str) -> Any:
    """The value in a pickle that was written by Python 2 or 3; text of Python 2 comes as bytes.

    A pickle can name any function to be called; this one admits only what numpy arrays are made of.
    Raises UserError naming `what` for anything else and for torn pickles.
    """
    try:
        return _Plain(io.BytesIO(content), what).load()
    except UserError:
        raise
    except Exception as error:  # a broken pickle raises almost anything
        raise UserError(f"cannot read {what}: {error or type(error).__name__}", fix="get the file again") from error


ARRAY = object()
"""Stands for numpy.ndarray, which itself must not be called by a pickle: it can look at any memory."""


def _array(kind: object, _shape: tuple[int, ...], _code: bytes | str) -> np.ndarray[Any, Any]:
    """An empty array, which the pickle then fills."""
    if kind is not ARRAY:
        raise ValueError(f"an array of kind {kind!r}")
    return np.empty(0, dtype=np.int8)


def _from_bytes(content: bytes, kind: np.dtype[Any], shape: tuple[int, ...], order: str) -> np.ndarray[Any, Any]:
    """How pickles of protocol 5 write arrays."""
    return np.frombuffer(content, dtype=kind).reshape(shape, order="F" if order == "F" else "C")


def _bytes(text: str, encoding: str) -> bytes:
    """How pickles of protocol 2 write bytes in Python 3."""
    if encoding != "latin1":
        raise ValueError(f"an encoding {encoding!r}")
    return text.encode("latin1")


def _dtype(code: Any, *flags: Any) -> np.dtype[Any]:
    """The type of plain numbers; no objects, no fields."""
    kind: np.dtype[Any] = np.dtype(code.decode("ascii") if isinstance(code, bytes) else code, *flags)
    if kind.kind not in "biuf":
        raise ValueError(f"an array of {kind}")
    return kind


ADMITTED: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): ARRAY,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _bytes,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy.core.numeric", "_frombuffer"): _from_bytes,
    ("numpy._core.numeric", "_frombuffer"): _from_bytes,
}


class _Plain(pickle.Unpickler):
    """The standard reader; overriding find_class is the one way it offers to refuse functions."""

    def __init__(self, file: io.BytesIO, what: str) -> None:
        super().__init__(file, encoding="bytes")
        self._what = what

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle names, if it is admitted."""
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise UserError(
                f"{self._what} is a pickle that calls {module}.{name}, expected plain data and arrays",
                fix="do not trust this file; get the binary version from the official page",
            ) from None
