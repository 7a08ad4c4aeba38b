"""The source of classes that torch lacks: copied from their files, with all that they need there."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, final

from nas.errors import UserError

RESERVED = {"CLASSES", "DTYPES", "MEAN", "STD", "WEIGHTS", "Path", "Tensor", "json", "load", "nn", "normalise", "torch"}
"""What `model.py` calls its own things."""
_Name: TypeAlias = tuple[str, str]
"""A module and a name in it, "" for the module itself: what an import binds."""


@final
@dataclass
class Copied:
    """Definitions copied so far, by name, and the imports that they need, by the name that each binds."""

    chunks: dict[str, str] = field(default_factory=dict)
    imports: dict[str, _Name] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)

    def add(self, thing: Any) -> str:
        """The name under which a class or function from a user's file stands in the source; copies it there.

        Raises UserError where its source cannot be had, or needs more than torch and the standard library.
        """
        name = getattr(thing, "__qualname__", "")
        what = f"{getattr(thing, '__module__', '?')}.{name or repr(thing)}"
        path = _where(thing)
        if not name.isidentifier() or not Path(path).is_file() or name not in _file(path).defined:
            fix = "define it at the top of a .py file that imports torch alone, and import it from there"
            raise UserError(f"the source of {what} cannot be found, so it cannot be copied into model.py", fix=fix)
        self.take(name, path, what)
        return name

    def take(self, name: str, path: str, what: str) -> None:
        """Copies a definition and what it refers to, before it."""
        if self.origin.get(name) == path:
            return
        if name in self.origin or name in self.imports or name in RESERVED:
            raise UserError(f"two different things named {name!r} would stand in model.py", fix="rename one of them")
        file = _file(path)
        self.origin[name] = path
        for node in ast.walk(file.defined[name]):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for bound, target in _imports(node).items():
                    _needs_torch_alone(bound, target, what)
        for used in _names(file.defined[name]):
            if used == name or (used in self.origin and self.origin[used] == path):
                continue
            if used in file.defined:
                self.take(used, path, what)
            elif used in file.imports:
                self.bring(used, file.imports[used], what)
        if file.text(name) not in self.chunks.values():  # `a, b = 1, 2` defines two names
            self.chunks[name] = file.text(name)

    def bring(self, name: str, target: _Name, what: str) -> None:
        """Takes over an import, if it is of torch or the standard library."""
        _needs_torch_alone(name, target, what)
        if self.imports.setdefault(name, target) != target or name in self.origin:
            raise UserError(f"two different things named {name!r} would stand in model.py", fix="rename one of them")


@final
@dataclass(frozen=True)
class _File:
    lines: tuple[str, ...]
    defined: dict[str, ast.stmt]
    imports: dict[str, _Name]

    def text(self, name: str) -> str:
        node = self.defined[name]
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        return "\n".join(self.lines[first - 1 : node.end_lineno])


@lru_cache(maxsize=64)
def _read(path: str, _stamp: float) -> _File:
    text = Path(path).read_text(encoding="utf-8")
    defined: dict[str, ast.stmt] = {}
    imports: dict[str, _Name] = {}
    for node in _top(ast.parse(text).body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            defined[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            defined.update(dict.fromkeys(_bound(node), node))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imports.update(_imports(node))
    return _File(tuple(text.splitlines()), defined, imports)


def _file(path: str) -> _File:
    return _read(path, Path(path).stat().st_mtime)


def _where(thing: Any) -> str:
    """The file of a class or function, also of one whose module was loaded by hand; "" where there is none."""
    for part in (thing, *vars(thing).values()):
        code = getattr(part, "__code__", None)
        if code is not None and code.co_filename and getattr(part, "__module__", "") == thing.__module__:
            return str(code.co_filename)
    try:
        return inspect.getsourcefile(thing) or ""
    except (OSError, TypeError):
        return ""


def _needs_torch_alone(name: str, target: _Name, what: str) -> None:
    top = target[0].partition(".")[0]
    if top != "torch" and top not in sys.stdlib_module_names:
        fix = "a module that is exported may need torch and the standard library alone"
        where = repr(target[0] or "its own package")
        raise UserError(f"{what} uses {name!r} from {where}, which model.py cannot import", fix=fix)


def _imports(node: ast.Import | ast.ImportFrom) -> dict[str, _Name]:
    """What an import binds; a relative one is of the module ""."""
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name.partition(".")[0]: _module(alias) for alias in node.names}
    source = "" if node.level else node.module or ""
    return {alias.asname or alias.name: (source, alias.name) for alias in node.names}


def _module(alias: ast.alias) -> _Name:
    """`import a.b as c` is `from a import b as c`; `import a.b` binds a."""
    if alias.asname and "." in alias.name:
        head, _, last = alias.name.rpartition(".")
        return head, last
    return alias.name, ""


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a file, those under `if TYPE_CHECKING` or `try` included."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _top([*node.body, *node.orelse])
        else:
            yield node


def _bound(node: ast.stmt) -> list[str]:
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def _names(node: ast.stmt) -> list[str]:
    """The names that a definition refers to, those in quoted annotations too, in their order."""
    found = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    for hint in ast.walk(node):
        note = getattr(hint, "annotation", None) or getattr(hint, "returns", None)
        if isinstance(note, ast.Constant) and isinstance(note.value, str):
            found += [n.id for n in ast.walk(ast.parse(note.value, mode="eval")) if isinstance(n, ast.Name)]
    return list(dict.fromkeys(found))


def imported(imports: dict[str, _Name]) -> list[str]:
    """Import statements in the usual order: the standard library, then torch; whole modules before names."""
    groups: tuple[list[str], list[str]] = ([], [])
    by: dict[str, list[str]] = {}
    for bound, (module, name) in imports.items():
        if name:
            by.setdefault(module, []).append(name if name == bound else f"{name} as {bound}")
        else:
            text = f"import {module}" if bound == module.partition(".")[0] else f"import {module} as {bound}"
            groups[module.partition(".")[0] == "torch"].append(text)
    lines: list[str] = []
    for torch, group in enumerate(groups):
        modules = [m for m in sorted(by) if (m.partition(".")[0] == "torch") == bool(torch)]
        froms = [f"from {m} import {', '.join(sorted(by[m]))}" for m in modules]
        if group or froms:
            lines += ["", *sorted(group), *froms] if lines else [*sorted(group), *froms]
    return lines
