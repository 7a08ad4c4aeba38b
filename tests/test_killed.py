"""A search that is killed again and again comes to what one comes to that was not."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.finding import Finding

HOME = Path(__file__).parent.parent
SEARCH = (
    "search --space nasbench201 --data digits --set cells=1 --set channels=8 --trials 24 --epochs 15 --final-epochs 3"
)


def command(folder, *more):
    words = [*SEARCH.split(), "--workers", "1", *more, "--out", str(folder)]
    return [sys.executable, "-m", "nas", *words]


def seen(folder):
    return [(t.id, t.arch.key, t.state, dict(t.metrics)) for t in Finding.read(folder).run.trials()]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_twenty_kills_change_nothing(tmp_path, executor):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    subprocess.run(command(whole, "--executor", executor), cwd=HOME, check=True, capture_output=True)
    rng, kills, finished = random.Random(1), 0, {}
    least, most = (4.0, 14.0) if executor == "ray" else (1.0, 6.0)  # a start takes some of it
    while kills < 20:
        job = subprocess.Popen(command(torn, "--executor", executor), cwd=HOME, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(least, most))
        assert job.poll() is None, "the search ended before it was killed 20 times"
        job.send_signal(signal.SIGKILL)
        job.wait()
        kills += 1
        if (torn / "ledger.sqlite").exists():
            now = {t[0]: t for t in seen(torn) if t[2] in ("done", "failed")}
            assert finished.items() <= now.items(), "a finished trial was changed, or run again"
            finished = now
    done = subprocess.run([*command(torn, "--executor", executor), "--json"], cwd=HOME, check=True, capture_output=True)
    states = json.loads(done.stdout)["trials"]
    assert states["done"] + states["failed"] == 24
    assert seen(torn) == seen(whole)
    one, other = (Finding.read(folder) for folder in (whole, torn))
    assert one.best().trial.arch == other.best().trial.arch
    assert one.trained() == other.trained()
