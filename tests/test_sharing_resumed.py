"""A supernet's training goes on after it was stopped or killed, with the numbers of one that never was."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.training import checkpoint, sharing
from nas.training.rules import Sandwich, Uniform
from nas.training.speed import Speed
from nas.weights.saved import restored
from tests.ruled import SHORT, SHRINK, WIRED, carried, same, session, trained
from tests.trainings import Stop, stop_after


@pytest.mark.parametrize(
    ("rule", "optimiser"),
    [(SHRINK, "sgd"), (SHRINK, "adamw"), (Sandwich(3), "sgd")],
    ids=["shrink", "adamw", "sandwich"],
)
def test_a_training_that_was_stopped_ends_with_the_same_numbers(rule, optimiser, tmp_path):
    recipe = replace(SHORT, optimiser=optimiser, lr=None)
    whole = trained(rule, tmp_path / "whole", recipe=recipe)
    for last in (1, 3):
        with pytest.raises(Stop):
            carried(session(rule, recipe), tmp_path / "torn", stop_after(last))
    torn = session(rule, recipe)
    seen = []
    carried(torn, tmp_path / "torn", lambda epoch, _: seen.append(epoch))
    assert seen == [4]
    assert same(torn.supernet, whole)
    assert same(restored(WIRED, tmp_path / "torn" / sharing.WEIGHTS), whole)
    assert not (tmp_path / "torn" / checkpoint.FILE).exists()


def test_the_checkpoint_of_another_training_is_left_aside(tmp_path):
    with pytest.raises(Stop):
        carried(session(Uniform()), tmp_path, stop_after(2))
    other = session(Sandwich(3))
    with pytest.warns(RuntimeWarning, match="of another training: training starts afresh"):
        notes = carried(other, tmp_path)
    assert "afresh" in notes[0]
    assert same(other.supernet, trained(Sandwich(3), tmp_path / "clean"))


def test_spaces_whose_options_differ_have_other_fingerprints():
    one, two = (session(Uniform(), some=some).fingerprint for some in (WIRED, replace(WIRED, name="other")))
    assert len({one, two, session(Uniform()).fingerprint}) == 2


def test_the_way_of_training_is_found_once(monkeypatch, tmp_path):
    """A process killed in its first epoch has chosen already, and another one might choose another way by timing."""
    ways = iter([Speed(layout="channels_last"), Speed(layout="contiguous"), Speed(precision="bf16")])
    monkeypatch.setattr(sharing, "choose", lambda *of, **rest: next(ways))
    first, second = session(Uniform()), session(Uniform())
    assert first.speed.layout == "channels_last"

    def killed():
        raise Stop

    first.run_epoch = killed
    with pytest.raises(Stop):
        carried(first, tmp_path)
    assert second.speed.layout == "contiguous"
    carried(second, tmp_path)
    assert second.speed.layout == "channels_last"
    kernels = [p for p in second.supernet.parameters() if p.ndim == 4 and min(p.shape) > 1]
    assert kernels
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)


KILLED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.ruled import SHRINK, carried, session
carried(session(SHRINK), Path(sys.argv[1]), lambda epoch, _: print(epoch, flush=True))
"""


@pytest.mark.slow
def test_a_process_that_was_killed_goes_on_with_equal_tensors(tmp_path):
    home = Path(__file__).parent.parent
    job = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "torn")],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(home)},
        stdout=subprocess.PIPE,
    )
    assert job.stdout is not None
    for line in job.stdout:
        if line.strip() == b"2":
            job.send_signal(signal.SIGKILL)
            break
    assert job.wait() == -signal.SIGKILL
    job.stdout.close()
    seen, torn = [], session(SHRINK)
    carried(torn, tmp_path / "torn", lambda epoch, _: seen.append(epoch))
    assert seen[0] > 2 or seen == [4]
    assert same(torn.supernet, trained(SHRINK, tmp_path / "whole"))
