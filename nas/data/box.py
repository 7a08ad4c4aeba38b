"""Files by their names, in a folder or inside a tar archive that is never unpacked to disk."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from nas.errors import UserError

TORN = (OSError, EOFError, tarfile.TarError, zlib.error)


@final
@dataclass(frozen=True)
class Box:
    """Some files: their sizes by name, and how to read several of them in one pass."""

    where: Path
    sizes: dict[str, int]
    read: Callable[[Iterable[str]], dict[str, bytes]]


def folder_box(folder: Path) -> Box:
    """The files that lie directly in a folder."""

    def read(names: Iterable[str]) -> dict[str, bytes]:
        try:
            return {name: (folder / name).read_bytes() for name in names}
        except OSError as error:
            raise UserError(f"cannot read {error.filename}: {error.strerror}", fix="get the file again") from error

    return Box(folder, {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}, read)


def tar_box(archive: Path) -> Box:
    """The files of a tar archive, by their last names."""

    def read(names: Iterable[str]) -> dict[str, bytes]:
        wanted, found = set(names), {}
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    short = Path(member.name).name
                    content = tar.extractfile(member) if short in wanted and member.isfile() else None
                    if content is not None:
                        found[short] = content.read()
        except TORN as error:
            raise UserError(f"cannot read {archive}: {error}", fix="get the archive again") from error
        return found

    try:
        with tarfile.open(archive) as tar:
            sizes = {Path(member.name).name: member.size for member in tar if member.isfile()}
    except TORN as error:
        raise UserError(f"cannot read {archive}: {error}", fix="get the archive again") from error
    return Box(archive, sizes, read)
