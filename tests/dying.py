"""What tests of dying processes share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DRIVER = """
import os, sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
{make}
from nas.testing.executors import task
class Mine:
    def __call__(self, proposal, work):
        (work.folder.parent / "ours").write_text(str(os.getpid()))
        sum(range(10**12))
folder = Path({folder!r})
def drive():
    executor = make()
    executor.submit(task(0, Mine(), folder))
    executor.wait()
"""
MAIN, THREAD = "drive()", "import threading\nthreading.Thread(target=drive).start()"
RAY = "from nas.executors.ray import RayExecutor\nmake = lambda: RayExecutor(1)"
LOCAL = "from nas.executors import Local\nmake = lambda: Local(1)"


def gone(pid: int, within: float) -> bool:
    """Whether a process is gone within some seconds (one that waits for its parent to look counts as gone)."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def appears(found: Callable[[], object], within: float = 20.0) -> object:
    """What is found, as soon as it is."""
    end = time.monotonic() + within
    while not (seen := found()) and time.monotonic() < end:
        time.sleep(0.1)
    return seen


def check_killed_driver(make: str, where: str, folder: Path, *, within: float) -> None:
    script = DRIVER.format(root=str(ROOT), make=make, folder=str(folder)) + where
    driver = subprocess.Popen([sys.executable, "-"], stdin=subprocess.PIPE, cwd=folder, start_new_session=True)
    assert driver.stdin is not None
    with driver.stdin:
        driver.stdin.write(script.encode())
    try:
        worker = appears(lambda: (folder / "ours").exists() and (folder / "ours").read_text(), 40)
        assert worker
        assert int(str(worker)) != driver.pid
    finally:
        driver.kill()
        driver.wait()
    assert gone(int(str(worker)), within)
