"""Names in the source: identifiers for attributes, classes and variables."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Container
from string import ascii_lowercase, ascii_uppercase

from torch import nn


def camel(name: str) -> str:
    """A class name: "nasbench201" is Nasbench201, "my-space" is MySpace, and what has capitals keeps them."""
    made = "".join(piece[:1].upper() + piece[1:] for piece in re.split(r"[^A-Za-z0-9]+", name) if piece)
    return made if made[:1].isalpha() else f"Network{made}"


def snake(name: str) -> str:
    """A variable name: ReluConvNorm is relu_conv_norm, MBConv is mbconv."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def attribute(name: str) -> str:
    """A name that an `nn.Module` can have as an attribute, and a function as a variable."""
    known = keyword.iskeyword(name) or hasattr(nn.Module, name) or hasattr(builtins, name)
    return f"{name}_" if known or name in {"self", "torch", "nn", "training", "x"} else name


def stem(name: str) -> str:
    """A name without the number at its end: "block12" is "block"."""
    return re.sub(r"_?\d+$", "", name)


def plural(name: str) -> str:
    """A name for several: "block" is "blocks"."""
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"


def fresh(name: str, taken: Container[str]) -> str:
    """The name, or where it is taken the same with the next letter behind it."""
    if name not in taken:
        return name
    behind = ascii_lowercase[1:] if name[:1].islower() else ascii_uppercase[1:]
    letters = (f"{name}_{letter}" if name[:1].islower() else f"{name}{letter}" for letter in behind)
    free = (letter for letter in letters if letter not in taken)
    return next(free, None) or fresh(f"{name}_", taken)
