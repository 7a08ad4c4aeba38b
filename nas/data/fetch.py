"""Files from the internet, kept in the user's cache folder and checked."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from nas.errors import ENVIRONMENT, UserError

TIMEOUT_S = 10


def cache_folder() -> Path:
    """Where downloads and the results of long checks are kept: treenas under $XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "treenas"


def fetch(url: str, md5: str, target: Path, *, name: str) -> Path:
    """The file at `target`, downloaded first if it is not there; a file that is there was checked when it came.

    name: the data set, for the fix that an error offers. Raises UserError of code 5.
    """
    if target.is_file():
        return target
    fix = f"check the connection, or get the files by other means and give {name}:/folder"
    part = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=target.name, delete=False) as file:
            part = Path(file.name)
            state = hashlib.md5(usedforsecurity=False)
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:
                while block := reply.read(1 << 20):
                    state.update(block)
                    file.write(block)
        if state.hexdigest() != md5:
            raise UserError(
                f"download of {url} has checksum {state.hexdigest()}, expected {md5}", fix=fix, code=ENVIRONMENT
            )
        part.replace(target)
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise UserError(f"cannot download {url}: {reason}", fix=fix, code=ENVIRONMENT) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    return target
