"""A supernet on disk: equal outputs, files that are whole or not there, and files that do not fit."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import nas
from nas.errors import ENVIRONMENT
from nas.weights import Supernet, mixes
from nas.weights.saved import KIND, restored, save
from search_spaces import mobile, nasbench201
from tests.tiny import drawn

SETTINGS = {"widths": (8, 16), "multipliers": (0.5, 1.0), "depths": (1, 2), "kernels": (3, 5), "expands": (2, 3)}


def made(**changes):
    return mobile((1, 8, 8), 3, **{**SETTINGS, **changes})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.safetensors"
    save(Supernet(made(), seed=4), path)
    return path


def about(path):
    with safe_open(path, framework="pt") as held:
        return held.metadata(), {key: held.get_tensor(key) for key in held.keys()}  # noqa: SIM118  # it is no mapping


def rewritten(path, **changes):
    """The file again, with other words about itself; None leaves one out."""
    said, held = about(path)
    words = {**json.loads(said[KIND]), **changes}
    save_file(held, path, metadata={KIND: json.dumps({k: v for k, v in words.items() if v is not None})})
    return path


@pytest.mark.parametrize("parts", [{}, {"affine": False, "kernels": "transform"}])
def test_what_is_restored_puts_out_the_same(tmp_path, parts):
    net, path, x = Supernet(made(), seed=7, **parts), tmp_path / "new" / "weights.safetensors", torch.randn(4, 1, 8, 8)
    save(net, path)
    again = restored(made(), path)
    assert (again.parts, again.seed, again.training) == (net.parts, 7, False)
    for arch in drawn(net.space, 4):
        given = net.calibrated(arch, [x])
        assert torch.equal(net.eval()(x, arch, given), again(x, arch, given))


def test_what_is_restored_relaxed_puts_out_the_same(tmp_path):
    some = nasbench201((1, 8, 8), 2, 1, 4)
    net, x = Supernet(some, seed=1, norm_after_pool=True, partial=2).eval(), torch.randn(2, 1, 8, 8)
    save(net, tmp_path / "a")
    mix = {name: torch.full((n,), 1 / n) for name, n in mixes(some).items()}
    assert torch.equal(restored(some, tmp_path / "a").relaxed(x, mix), net.relaxed(x, mix))


def test_layout_and_number_format_do_not_matter(tmp_path, file):
    net = Supernet(made(), seed=4).to(memory_format=torch.channels_last)
    save(net, tmp_path / "last")
    assert (tmp_path / "last").read_bytes() == file.read_bytes()
    save(net.double(), tmp_path / "double")
    kept = restored(made(), tmp_path / "double").shared.state_dict()
    assert all(torch.equal(tensor.float(), kept[key]) for key, tensor in net.shared.state_dict().items())


def fails(path, what, space=None, code=2):
    with pytest.raises(nas.UserError, match=what) as refused:
        restored(made() if space is None else space, path)
    assert "\n" not in str(refused.value)
    assert (refused.value.code, bool(refused.value.fix)) == (code, True)


def test_a_file_of_another_space_is_refused(file):
    fails(file, "of the space 'mobile', not of 'nasbench201'", nasbench201())


def test_a_file_of_another_tree_names_the_first_key_both_shapes_and_the_setting(file):
    key = "another tree: stage1.block1.body.depthwise.weight"
    setting = r"the file's space has kernels=\[3, 5\], this one \[3, 7\]"
    fails(file, rf"{key} is \(24, 1, 5, 5\) in the file, \(24, 1, 7, 7\) in the space; {setting}", made(kernels=(3, 7)))
    lacks = r"stage1.block3\S* \(the space has, the file has not\); .* depths=\[1, 2\], .* \[1, 3\]"
    fails(file, lacks, made(depths=(1, 3)))
    more = r"stage1.block2\S* \(the file has, the space has not\); .* depths=\[1, 2\], .* \[1\]"
    fails(file, more, made(depths=(1,)))


def test_a_tree_that_changed_under_the_same_settings_is_said_to(file):
    said, held = about(file)
    del held["stem.conv.weight"]
    save_file(held, file, metadata=said)
    fails(file, "stem.conv.weight .the space has, the file has not.; the space's code has changed")


@pytest.mark.parametrize("left", [0, 4, 100, 20_000, -1])
def test_a_truncated_file_is_refused(file, left):
    file.write_bytes(file.read_bytes()[:left])
    fails(file, "cannot be read", code=ENVIRONMENT)


def test_a_file_that_is_no_supernet_is_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "plain")
    fails(tmp_path / "plain", "is no supernet")
    (tmp_path / "text").write_text("{}" * 50)
    fails(tmp_path / "text", "cannot be read", code=ENVIRONMENT)
    fails(tmp_path / "missing", "cannot be read", code=ENVIRONMENT)
    fails(tmp_path, "cannot be read", code=ENVIRONMENT)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"parts": None}, "is no supernet"),
        ({"settings": "[]"}, "is no supernet"),
        ({"seed": "many"}, "is no supernet"),
        ({"parts": []}, "is no supernet"),
        ({"parts": {"wings": 2}}, 'has parts that no supernet has: {"wings": 2}'),
        ({"parts": {"partial": "two"}}, "partial of a supernet is 'two'"),
    ],
)
def test_a_file_that_says_nonsense_of_itself_is_refused(file, changes, what):
    fails(rewritten(file, **changes), what)


def test_words_that_are_no_json_are_refused(file):
    _, held = about(file)
    for words in ("", "{", "[" * 100_000):
        save_file(held, file, metadata={KIND: words})
        fails(file, "is no supernet")


def test_a_file_is_whole_or_not_there(tmp_path, file, monkeypatch):
    before, net = file.read_bytes(), Supernet(made(), seed=5)

    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(nas.UserError, match="no space left for .*; free some space") as refused:
        save(net, file)
    assert refused.value.code == ENVIRONMENT
    assert file.read_bytes() == before

    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.undo()
    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save(net, file)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == [file.name]  # noqa: PTH208  # the names alone
