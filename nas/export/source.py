"""The whole of `model.py`: imports, copied modules, a class for each kind of block, the network, and how to load it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import nn

from nas.errors import UserError
from nas.export.classes import Classes, inlined
from nas.export.copied import RESERVED, Copied, imported
from nas.export.layout import Calling, docstring, lay, quoted
from nas.export.naming import name_kinds
from nas.export.params import Fitted, fit
from nas.export.parts import leaves, work
from nas.export.read import read
from nas.export.unify import Kind, kinds, paths
from nas.export.words import camel
from nas.graph import graph
from nas.profile import measure
from nas.space import Json
from nas.tree import Node, Shape

LOAD = '''def load(path: str | Path = WEIGHTS) -> {name}:
    """The network with its trained weights, in eval mode."""
    data = Path(path).read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    weights = {{}}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, last = (start + offset for offset in entry["data_offsets"])
            buffer = bytearray(data[first:last])
            tensor = torch.frombuffer(buffer, dtype=DTYPES[entry["dtype"]])
            weights[name] = tensor.reshape(entry["shape"])
    model = {name}()
    model.load_state_dict(weights)
    return model.eval()
'''
NORMALISE = '''def normalise(images: Tensor) -> Tensor:
    """Images (B, C, H, W), uint8 or floats in [0, 1], as the network was trained on."""
    if images.dtype == torch.uint8:
        images = images / 255
    mean = torch.tensor(MEAN, device=images.device).view(-1, 1, 1)
    std = torch.tensor(STD, device=images.device).view(-1, 1, 1)
    return (images - mean) / std
'''
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
DTYPES |= {"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"}
"""Types of a safetensors file, as torch calls them."""


@final
@dataclass(frozen=True)
class Source:
    """The text of `model.py`, and for each torch module's path in the tree its name there.

    network: the name of its class; macs: the multiply-accumulates that it does.
    """

    text: str
    names: Mapping[str, str]
    network: str
    macs: int


def source(
    network: Node, shape: Shape, name: str, about: Mapping[str, Json], dtypes: tuple[str, ...] = ("F32", "I64")
) -> Source:
    """`model.py` for a filled tree; `about["input"]` may name classes, mean and std.

    dtypes: of the weights in the file beside it; none where there is no such file.

    Raises UserError where a module's source cannot be copied.
    """
    top = read(network, shape, camel(name))
    fitted: dict[int, Fitted] = {}

    def settle(kind: Kind) -> None:
        fitted[id(kind)] = fit(kind)

    made, find = kinds(top, settle)
    copied = Copied()
    imports: dict[str, tuple[str, str]] = {"torch": ("torch", ""), "nn": ("torch", "nn"), "Tensor": ("torch", "Tensor")}
    if dtypes:
        imports |= {"json": ("json", ""), "struct": ("struct", ""), "Path": ("pathlib", "Path")}
    copied.imports.update(imports)
    for scope_kind in made:
        for scope in scope_kind.scopes:
            for leaf in (leaf for part in scope.parts.values() for leaf in leaves(part)):
                as_source(leaf.call.make, copied)
    written = [k for k in made if k is not made[-1] and not inlined(k)]
    name_kinds(written, made[-1], {*RESERVED, *copied.chunks, *copied.imports})
    classes = Classes(fitted, lambda value: as_source(value, copied))
    blocks = [*(text.rstrip().splitlines() for text in copied.chunks.values())]
    blocks += [classes.source(kind) for kind in written]
    whole = classes.source(made[-1])
    at = next(i for i, line in enumerate(whole) if line.startswith('    """'))
    end = next(i for i in range(at, len(whole)) if whole[i].endswith('"""') and (i > at or whole[i].count('"""') == 2))
    whole[at : end + 1] = docstring(_what(network, shape, name, work(top.runs)), 4)
    text = _text([*blocks, whole], made[-1].name, copied, about.get("input") or {}, dtypes)
    return Source(text, dict(paths(made[-1], top, find)), made[-1].name, work(top.runs))


def _text(
    blocks: list[list[str]], network: str, copied: Copied, given: Mapping[str, Json], dtypes: tuple[str, ...]
) -> str:
    constants: list[str] = []
    if given.get("classes"):
        names = [quoted(str(c)) for c in given["classes"]]
        constants += lay(Calling("", tuple(names), ends="[]"), 0, "CLASSES = ")
    image = bool(given.get("mean")) and bool(given.get("std"))
    if image:
        for word in ("mean", "std"):
            numbers = tuple(repr(float(v)) for v in given[word])
            constants += lay(Calling("", numbers, ends="[]"), 0, f"{word.upper()} = ")
    body = [*blocks, *([NORMALISE.splitlines()] if image else [])]
    if dtypes:
        known = tuple(f'"{d}": torch.{DTYPES[d]}' for d in dtypes)
        constants += lay(Calling("", known, ends="{}"), 0, "DTYPES = ")
        constants += ['WEIGHTS = Path(__file__).with_name("weights.safetensors")']
        body.append(LOAD.format(name=network).splitlines())
    lines = [line for block in body for line in block]
    if not any("Tensor" in line for line in lines):
        copied.imports.pop("Tensor")
    if not any("torch." in line for line in (*constants, *lines)):
        copied.imports.pop("torch")
    head = [
        "from __future__ import annotations",
        "",
        *imported(copied.imports),
        *(["", *constants] if constants else []),
    ]
    call = "model(normalise(images))" if image else "model(x)"
    what = f"{network}, found by architecture search" if dtypes else f"{network}, with new weights"
    made = "load()" if dtypes else f"{network}()"
    title = docstring(f"{what}; it needs PyTorch alone.\n\nUse: `model = {made}`, then `scores = {call}`.", 0)
    return "\n".join([*title, "", *head, *(line for block in body for line in ["", "", *block])]) + "\n"


def _what(network: Node, shape: Shape, name: str, macs: int) -> str:
    """The docstring of the network: what goes in, what comes out, what it costs."""
    cost = measure(graph(network, shape))
    many = bool(shape) and isinstance(shape[0], tuple)
    ins = " and ".join(_shape(s) for s in shape) if many else _shape(shape)
    out = cost.out if cost.out and isinstance(cost.out[0], tuple) else (cost.out,)
    outs = " and ".join(_shape(s) for s in out)
    return (
        f"A network from the space {name}: {ins} to {outs}.\n\n"
        f"{cost.total.params:,} parameters; {macs:,} multiply-accumulates for one input."
    )


def _shape(shape: Shape) -> str:
    return f"({', '.join(['B', *map(str, shape)])})"


def as_source(value: Any, copied: Copied) -> str:
    """A value as source text; a class that torch lacks is copied."""
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool | int | float | complex):
        return repr(value) if "inf" not in repr(value) and "nan" not in repr(value) else f'float("{value}")'
    if isinstance(value, tuple | list):
        inner = ", ".join(as_source(v, copied) for v in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' if len(value) == 1 else ''})"
    if isinstance(value, torch.dtype):
        return str(value)
    name = getattr(value, "__qualname__", "")
    for module, word in ((nn, "nn"), (torch, "torch"), (nn.functional, "nn.functional"), (nn.init, "nn.init")):
        if name and getattr(module, name, None) is value:
            return f"{word}.{name}"
    if callable(value) and name and str(getattr(value, "__module__", "")).partition(".")[0] == "torch":
        copied.bring(name, (value.__module__, name), name)
        return name
    if callable(value):
        return copied.add(value)
    fix = "use numbers, strings, tuples and classes in a node's Call"
    raise UserError(f"model.py cannot write the argument {value!r}", fix=fix)
