"""A folder that measures a device file where there is no nas: plain PyTorch, and one command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from nas import files
from nas.errors import UserError
from nas.export.copied import Copied, imported
from nas.export.source import as_source, source
from nas.files import write_text
from nas.latency import timing
from nas.latency.layers import Layer, walk
from nas.latency.taking import about, spread
from nas.space import Architecture, Space
from nas.training import heap

SCRIPT, NOTE = "measure.py", "written by nas latency"
MAIN = '''"""Measures how long layers and networks of the space {name} take on this device; it needs PyTorch alone.

Use: `python measure.py`, or with `--on cuda`; stopped, the same command goes on. What it writes, device.json, is read
by `nas latency {name} --device-file device.json`.
"""  # {note}

import argparse
import json
import sys
from pathlib import Path

import torch
from files import write_text
from heap import keep_heap
from layers import LAYERS
from networks import NETWORKS
from timing import Asked, Session, header, other

ABOUT = json.loads({about!r})
WALK = json.loads({walk!r})


def tell(what, done, of, left):
    if done == of or done % max(1, of // 10) == 0:
        print(f"{{what}}: {{done}} of {{of}}, about {{left:.0f}} s left", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("device.json"))
    given = parser.parse_args()
    if given.on == "cuda" and not torch.cuda.is_available():
        sys.exit("measure.py: this machine shows no GPU; leave out --on cuda")
    if given.threads < 1 or given.batch < 1:
        sys.exit("measure.py: --threads and --batch are at least 1")
    keep_heap()
    device = torch.device(given.on)
    head = {{**header(device, threads=given.threads, batch=given.batch), **ABOUT}}
    made = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {{}}
    if made and other(made, head):
        sys.exit(f"measure.py: {{given.out}} holds another measurement: its {{other(made, head)}}; give another --out")
    made = {{**head, "walk": WALK, **made, "date": head["date"]}}
    session = Session(made, device, lambda held: write_text(given.out, json.dumps(held, indent=1) + "\\n"), tell)
    try:
        session.layers([Asked(*row) for row in LAYERS])
        session.networks([Asked(*row) for row in NETWORKS])
    except KeyboardInterrupt:
        sys.exit("measure.py: stopped; what was measured is kept, the same command goes on")
    print(f"{{len(made['layers'])}} layers and {{len(made['networks'])}} networks measured: {{given.out}}")


if __name__ == "__main__":
    main()
'''


def script(space: Space, folder: Path, *, networks: int = 10, seed: int = 0) -> int:
    """Write `measure.py` and what it needs into a folder; how many layers it measures.

    Raises UserError where the folder holds something else, or the source of a module cannot be copied.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not _ours(folder))):
        raise UserError(f"{folder} exists and was not written by this command", fix="name another folder, or remove it")
    found = walk(space, seed)
    written = {"layers.py": _layers(list(found.layers.values()))}
    written |= _networks(space, spread(space, networks, seed))
    walked = json.dumps({"by": found.by, "architectures": found.architectures})
    said = {"name": space.name, "note": NOTE, "about": json.dumps(about(space)), "walk": walked}
    written |= {f"{name}.py": _own(module) for name, module in (("timing", timing), ("files", files), ("heap", heap))}
    written |= {SCRIPT: MAIN.format(**said)}
    for name, text in written.items():
        write_text(folder / name, text)
    return len(found.layers)


def _ours(folder: Path) -> bool:
    file = folder / SCRIPT
    return file.is_file() and NOTE in file.read_text(encoding="utf-8")


def _own(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


def _layers(some: Sequence[Layer]) -> str:
    """The layers as calls of their classes, of which those that torch lacks are copied."""
    copied = Copied()
    copied.imports["nn"] = ("torch", "nn")
    rows = []
    for layer in some:
        made = layer.call
        args = [as_source(v, copied) for v in made.args]
        args += [f"{name}={as_source(v, copied)}" for name, v in made.kwargs]
        what = f"{as_source(made.make, copied)}({', '.join(args)})"
        said = {"kind": layer.kind, "macs": layer.macs, "elements": layer.elements}
        rows.append(f"    ({layer.key!r}, lambda: {what}, {layer.shape!r}, {said!r}),")
    head = ['"""The distinct layers: a name, what makes them, what they read."""', "", *imported(copied.imports), ""]
    chunks = [line for chunk in copied.chunks.values() for line in ("", chunk.rstrip(), "")]
    top = [*head[:2], "from __future__ import annotations", "", *head[2:]]
    return "\n".join([*top, *chunks, "", "LAYERS = [", *rows, "]"]) + "\n"


def _networks(space: Space, archs: Sequence[Architecture]) -> dict[str, str]:
    """A file for each whole network, and one that lists them."""
    made: dict[str, str] = {}
    imports, rows = [], []
    for n, arch in enumerate(archs):
        text = source(space.network(arch), space.input, space.name, {}, dtypes=())
        made[f"network_{n}.py"] = text.text
        imports.append(f"from network_{n} import {text.network} as Network{n}")
        choices: dict[str, Any] = {"choices": dict(arch.labels)}
        rows.append(f"    ({arch.key!r}, Network{n}, {tuple(space.input)!r}, {choices!r}),")
    head = ['"""Whole networks: a name, what makes them, what they read."""', "", *imports, "", "NETWORKS = ["]
    made["networks.py"] = "\n".join([*head, *rows, "]"]) + "\n"
    return made
